package mapleaf

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// dieAlone makes a database whose process was alone and commits by the log look like
// one that dies: the kernel has given back its locks of the data file, and not yet
// those of the lock file. Somebody is faster than all others and is attached, as one is
// who waits to be let in. gone ends both.
func dieAlone(t *testing.T, path string, commits uint64) (gone func()) {
	t.Helper()
	a, err := Open(path, 0o600, &Options{logAtOnce: true})
	if err != nil {
		t.Fatal(err)
	}
	for n := range commits {
		mustCount(t, a, n+1)
	}
	of := a.store.of
	_ = a.store.fail(errors.New("killed")) // Close shall write nothing
	osf, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := mmapfile.FromOS(osf, mmapfile.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	locks := mmapfile.NewLockSet(f, lockFirst, 0o600, func(int) string { return path + "-third" })
	for _, i := range []int{dataAttached, dataWriter} {
		if err := of.locks.Unlock(i); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := locks.Try(dataAttached, false); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return func() {
		_ = a.Close() // it has failed
		if err := errors.Join(locks.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody joins a process that was alone and has died: what it left is recovered by who
// is next alone. Else two would share a file that has a log.
func TestNobodyJoinsTheDead(t *testing.T) {
	path := tempPath(t)
	gone := dieAlone(t, path, 2)
	b, err := Open(path, 0o600, &Options{Timeout: 100 * time.Millisecond})
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("open: %v", err)
		if err == nil {
			mustClose(t, b)
		}
	}
	gone()
	b = mustOpen(t, path, nil)
	c := mustOpen(t, path, nil)
	mustCount(t, b, 3)
	mustCount(t, c, 4)
	for _, db := range []*DB{b, c} {
		if db.store.logging() {
			t.Error("a shared file has a log")
		}
	}
}

// Who waits to be let in has the lock file open, and opens it once more when the one
// who was there has gone: Close closes both.
func TestWaiterClosesLockFile(t *testing.T) {
	path := tempPath(t)
	gone := dieAlone(t, path, 1)
	var opened []*os.File
	waits := make(chan struct{})
	o := &Options{OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if err == nil && name == path+lockFileSuffix {
			if opened = append(opened, f); len(opened) == 1 {
				close(waits)
			}
		}
		return f, err
	}}
	done := make(chan error, 1)
	go func() {
		db, err := Open(path, 0o600, o)
		if err == nil {
			err = db.Close()
		}
		done <- err
	}()
	<-waits
	gone()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, f := range opened {
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("lock file %d of %d was open: %v", i+1, len(opened), err)
		}
	}
	if len(opened) < 2 {
		t.Error("the lock file was opened once")
	}
}
