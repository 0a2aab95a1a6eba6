//go:build (amd64 || 386) && unix

package mapleaf

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// FuzzLockFile changes the lock file as somebody may who can write to it: before others
// open the database, and under those who have it open. The input is a flag and patches
// of six bytes: an offset and four bytes to put there. Nothing leads outside the file,
// panics or hangs; what goes wrong is an error; and the data stays whole, since the lock
// file holds nothing of it. The address of a fault is exact on the processors that are
// named above.
func FuzzLockFile(f *testing.F) {
	patch := func(flags byte, words ...uint32) []byte {
		b := []byte{flags}
		for i := 0; i+1 < len(words); i += 2 {
			b = binary.LittleEndian.AppendUint16(b, uint16(words[i]))
			b = binary.LittleEndian.AppendUint32(b, words[i+1])
		}
		return b
	}
	for _, flags := range []byte{0, 1, 2, 3} {
		f.Add(patch(flags))
		for _, off := range []uint32{lockMagic, lockVersion, lockGeneration, lockFileID, lockBlocks,
			lockRecoveries, lockDirty, lockWaiter, lockWish, lockSeal, 4096, 4160} {
			f.Add(patch(flags, off, 0xffffffff))
			f.Add(patch(flags, off, 1, off+4, 0x7fffffff))
		}
	}
	f.Add(patch(0, lockPublished, 0x7fffffff)) // under open files this is tried for seconds
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 0 && len(input) < 80 {
			fuzzLockFile(t, input[0], input[1:])
		}
	})
}

// putPatches puts the patches into the file at path, and may cut it.
func putPatches(t *testing.T, path string, patches []byte, cut bool) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size, err := file.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(patches) >= 6; patches = patches[6:] {
		off := int64(binary.LittleEndian.Uint16(patches)) % max(1, size)
		if cut {
			err = file.Truncate(off)
			cut = false
		} else {
			_, err = file.WriteAt(patches[2:6], off)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func fuzzLockFile(t *testing.T, flags byte, patches []byte) {
	watchdog := time.AfterFunc(time.Minute, func() { panic("a lock file hangs the database") })
	defer watchdog.Stop()
	path := tempPath(t)
	o := &Options{Timeout: 50 * time.Millisecond, wrapFile: wrapLazy}
	a, err := Open(path, 0o600, o)
	if err != nil {
		t.Fatal(err)
	}
	work := &powerWork{seed: 1}
	step := func(db *DB) {
		_, err := work.step(db, nil)
		if err == nil {
			_, err = work.compare(db, 0, 1<<40)
		}
		if err != nil {
			wantLockError(t, err)
		}
	}
	step(a)
	open := flags&1 != 0 // the patches come while two have it open
	if !open {
		putPatches(t, path+lockFileSuffix, patches, flags&2 != 0)
	}
	b, err := Open(path, 0o600, o)
	if err != nil {
		wantLockError(t, err)
	}
	for i := range 3 {
		if open && i == 1 {
			putPatches(t, path+lockFileSuffix, patches, flags&2 != 0)
		}
		for _, db := range []*DB{a, b} {
			if db != nil && db.store.failed() == nil {
				stepBounded(t, db, step)
			}
		}
	}
	for _, db := range []*DB{a, b} {
		if db != nil {
			_ = db.Close() // it may tell of the lock file
		}
	}
	db, err := Open(path, 0o600, &Options{Exclusive: true, wrapFile: wrapLazy})
	if err != nil {
		t.Fatalf("the database itself: %v", err)
	}
	defer db.Close()
	if _, err := work.compare(db, 1, 1<<40); err != nil {
		t.Errorf("the database itself: %v", err)
	}
	if err := checkErrors(db); err != nil {
		t.Errorf("the database itself: %v", err)
	}
}

// stepBounded makes a step that waits for nobody longer than a while: a forged word may
// say that nobody asks, and the others then notice late.
func stepBounded(t *testing.T, db *DB, step func(*DB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		step(db)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("a step waits for ever")
		<-done
	}
}

// wantLockError fails the test unless err is one of those that a spoilt lock file may
// cause.
func wantLockError(t *testing.T, err error) {
	t.Helper()
	var fault *mmapfile.FaultError
	if !isOneOf(err, ErrLockFile, ErrTimeout, ErrFailed, ErrCorrupt, ErrVersionMismatch) &&
		!errors.As(err, &fault) {
		t.Errorf("a spoilt lock file gives %v", err)
	}
}

func isOneOf(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
