package mapleaf

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// openTwice opens a database at path twice, which then share the file.
func openTwice(t *testing.T, path string, o *Options) (a, b *DB) {
	t.Helper()
	a = mustOpen(t, path, o)
	began := time.Now()
	b = mustOpen(t, path, o)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the second open took %s", took)
	}
	return a, b
}

// count adds one to the counter of the test bucket, and returns it.
func count(db *DB) (n uint64, err error) {
	err = db.Update(func(t *Tx) error {
		b, err := t.CreateBucketIfNotExists(testBucket)
		if err != nil {
			return err
		}
		n, err = addOne(b)
		return err
	})
	return n, err
}

// counted returns the counter as a reader sees it.
func counted(db *DB) (n uint64, err error) {
	err = db.View(func(t *Tx) error {
		if b := t.Bucket(testBucket); b != nil {
			n = binary.LittleEndian.Uint64(b.Get(counterKey))
		}
		return nil
	})
	return n, err
}

func mustCount(t *testing.T, db *DB, want uint64) {
	t.Helper()
	if n, err := count(db); err != nil || n != want {
		t.Fatalf("counted to %d, %v, want %d", n, err, want)
	}
}

func wantCounted(t *testing.T, db *DB, want uint64) {
	t.Helper()
	if n, err := counted(db); err != nil || n != want {
		t.Fatalf("a reader sees %d, %v, want %d", n, err, want)
	}
}

// Two databases on one file take turns, and each sees at once what the other did.
func TestShareTakesTurns(t *testing.T) {
	a, b := openTwice(t, tempPath(t), nil)
	for n := uint64(1); n < 200; n += 2 {
		mustCount(t, a, n)
		wantCounted(t, b, n)
		mustCount(t, b, n+1)
		wantCounted(t, a, n+1)
	}
	mustCheck(t, a)
	mustCheck(t, b)
}

// A reader that began while its database was alone keeps its state when another
// one has come and writes.
func TestShareKeepsOldReaders(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, nil)
	r := testRand(t, 80)
	m := model{}.mustUpdate(t, a, r, 300)
	old, err := a.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(old)
	b := mustOpen(t, path, nil)
	later := m
	for range 100 {
		later = later.mustUpdate(t, b, r, 30)
	}
	young, err := b.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		later = later.mustUpdate(t, a, r, 30)
	}
	if err := m.compareTx(old); err != nil {
		t.Errorf("the reader from before: %v", err)
	}
	if pending := b.Stats().PendingPageN + a.Stats().PendingPageN; pending == 0 {
		t.Error("two open readers hold no page")
	}
	rollback(young)
	rollback(old)
	if err := later.compare(a); err != nil {
		t.Error(err)
	}
	if err := later.compare(b); err != nil {
		t.Error(err)
	}
	mustCount(t, a, 1)
	mustCount(t, b, 2)
	if n := b.Stats().PendingPageN; n > 20 {
		t.Errorf("%d pages are held without a reader", n)
	}
	mustCheck(t, a)
	mustCheck(t, b)
}

// Random work of two databases, each of which compares all the time.
func TestShareModel(t *testing.T) {
	path := tempPath(t)
	o := &Options{wrapFile: wrapLazy}
	a, b := openTwice(t, path, o)
	r := testRand(t, 81)
	m := model{}
	dbs := []*DB{a, b}
	var held []*Tx
	var models []model
	for i := range 600 {
		db := dbs[r.IntN(2)]
		m = m.mustUpdate(t, db, r, 1+r.IntN(30))
		if r.IntN(4) == 0 {
			tx, err := dbs[r.IntN(2)].Begin(false)
			if err != nil {
				t.Fatal(err)
			}
			held, models = append(held, tx), append(models, m)
		}
		if len(held) > 0 && r.IntN(4) == 0 {
			at := r.IntN(len(held))
			if err := models[at].compareTx(held[at]); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			rollback(held[at])
			held = append(held[:at], held[at+1:]...)
			models = append(models[:at], models[at+1:]...)
		}
		if r.IntN(50) == 0 {
			mustCheck(t, dbs[r.IntN(2)])
		}
		if r.IntN(60) == 0 && len(held) == 0 {
			at := r.IntN(2)
			mustClose(t, dbs[at])
			dbs[at] = mustOpen(t, path, o)
		}
	}
	for _, tx := range held {
		rollback(tx)
	}
	for _, db := range dbs {
		if err := m.compare(db); err != nil {
			t.Error(err)
		}
	}
}

// Many goroutines on several databases of one file lose no update.
func TestShareCounter(t *testing.T) {
	path := tempPath(t)
	o := &Options{wrapFile: wrapLazy}
	const each = 40
	var workers sync.WaitGroup
	for range 3 {
		db := mustOpen(t, path, o)
		for range 3 {
			workers.Go(func() {
				for range each {
					n, err := count(db)
					if err == nil {
						var seen uint64
						if seen, err = counted(db); seen < n {
							err = fmt.Errorf("counted to %d, then saw %d", n, seen)
						}
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	workers.Wait()
	db := mustOpen(t, path, o)
	wantCounted(t, db, 9*each)
	mustCheck(t, db)
}

// An idle database, and one with an idle writer lock, let others in.
func TestShareWithIdle(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, nil)
	mustCount(t, a, 1)
	began := time.Now()
	b := mustOpen(t, path, nil)
	mustCount(t, b, 2)
	if took := time.Since(began); took > time.Second {
		t.Errorf("attaching and writing took %s", took)
	}
	began = time.Now()
	mustCount(t, a, 3)
	if took := time.Since(began); took > time.Second {
		t.Errorf("taking the turn took %s", took)
	}
}

// A reader takes part: it sees what is written, keeps nobody out, and is seen.
func TestShareReadOnly(t *testing.T) {
	path := tempPath(t)
	mustClose(t, mustOpen(t, path, nil))
	reader := mustOpen(t, path, &Options{ReadOnly: true})
	a := mustOpen(t, path, nil)
	mustCount(t, a, 1)
	wantCounted(t, reader, 1)
	old, err := reader.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	r := testRand(t, 82)
	m := model{string(counterKey): "\x01\x00\x00\x00\x00\x00\x00\x00"}
	for range 300 {
		m = m.mustUpdate(t, a, r, 20)
	}
	if v := old.Bucket(testBucket).Get(counterKey); binary.LittleEndian.Uint64(v) != 1 {
		t.Errorf("the reader's state has changed: %x", v)
	}
	if n := a.Stats().PendingPageN; n == 0 {
		t.Error("the reader holds no page")
	}
	if err := old.Err(); err != nil {
		t.Error(err)
	}
	rollback(old)
	if err := m.compare(reader); err != nil {
		t.Error(err)
	}
	mustCheck(t, reader)
	mustCheck(t, a)
}

// When the others have gone, a database is alone again, and its new readers leave
// the lock file.
func TestShareRegain(t *testing.T) {
	path := tempPath(t)
	a, b := openTwice(t, path, nil)
	mustCount(t, b, 1)
	if !a.store.peers.shared.Load() {
		t.Fatal("the first database did not leave its mode")
	}
	old, err := a.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, b)
	if !mmapfile.ConvertsLocks {
		rollback(old)
		mustCount(t, a, 2) // it is alone again when it is opened again
		return
	}
	deadline := time.Now().Add(20 * time.Second)
	for a.store.peers.shared.Load() {
		if time.Now().After(deadline) {
			t.Fatal("the database is not alone again")
		}
		time.Sleep(10 * time.Millisecond)
	}
	mustCount(t, a, 2)
	if v := old.Bucket(testBucket).Get(counterKey); binary.LittleEndian.Uint64(v) != 1 {
		t.Errorf("the reader's state has changed: %x", v)
	}
	c := mustOpen(t, path, nil)
	mustCount(t, c, 3)
	if v := old.Bucket(testBucket).Get(counterKey); binary.LittleEndian.Uint64(v) != 1 {
		t.Errorf("the reader's state has changed: %x", v)
	}
	rollback(old)
	wantCounted(t, a, 3)
	mustCheck(t, c)
}

// A database that fails on the way lets the others go on, from a state that is
// whole.
func TestShareFailure(t *testing.T) {
	path := tempPath(t)
	rec := &recorder{}
	a := mustOpen(t, path, &Options{wrapFile: rec.wrap})
	b := mustOpen(t, path, nil)
	mustCount(t, a, 1)
	mustCount(t, b, 2)
	for i := range 6 {
		rec.failIn(1 + i)
		_, err := count(a)
		rec.failIn(0)
		if err == nil {
			continue
		}
		n, err := counted(b)
		if err != nil {
			t.Fatal(err)
		}
		next, err := count(b)
		if err != nil || next != n+1 && next != n+2 {
			t.Fatalf("after a failure: counted from %d to %d, %v", n, next, err)
		}
		mustCheck(t, b)
		wantCounted(t, a, next)
		if _, err := count(a); errors.Is(err, ErrFailed) {
			mustClose(t, a)
			a = mustOpen(t, path, &Options{wrapFile: rec.wrap})
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Two names of one file must not have two lock files; a lock file that was removed
// is made again by who is alone, and else is an error by name.
func TestShareLockFileLost(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, nil)
	mustCount(t, a, 1)
	if err := os.Remove(path + lockFileSuffix); err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, path, nil) // a notices, and makes another
	mustCount(t, b, 2)
	if err := os.Remove(path + lockFileSuffix); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		o := &Options{Timeout: 10 * time.Second, ReadOnly: readOnly}
		if _, err := Open(path, 0o600, o); !errors.Is(err, ErrLockFile) {
			t.Errorf("open without the lock file: %v", err)
		}
	}
	link := path + "2"
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, 0o600, nil); !errors.Is(err, ErrLockFile) {
		t.Errorf("open by another name: %v", err)
	}
	mustCount(t, a, 3)
	mustCount(t, b, 4)
	mustClose(t, a)
	mustClose(t, b)
	c := mustOpen(t, link, nil)
	wantCounted(t, c, 4)
}

// What stands at the path of the lock file and is none stays as it is.
func TestShareForeignLockFile(t *testing.T) {
	path := tempPath(t)
	mustClose(t, mustOpen(t, path, nil))
	lock := path + lockFileSuffix
	if err := os.WriteFile(lock, []byte("my notes, of some length"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0o600, nil); !errors.Is(err, ErrLockFile) {
		t.Errorf("open: %v", err)
	}
	if b, err := os.ReadFile(lock); err != nil || string(b) != "my notes, of some length" {
		t.Errorf("the file has changed: %q, %v", b, err)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	target := path + "-target"
	if err := os.Symlink(target, lock); err != nil {
		return // not granted here
	}
	if _, err := Open(path, 0o600, nil); !errors.Is(err, ErrLockFile) {
		t.Errorf("open: %v", err)
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the link was followed")
	}
}

const readerID = "reader"

// readerChild begins a read transaction, says so, and stays until it is killed.
func readerChild(path string) error {
	db, err := Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	if _, err := db.Begin(false); err != nil {
		return err
	}
	fmt.Println("reading")
	select {}
}

// The pages that a killed reader has held come back.
func TestShareKilledReader(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, nil)
	r := testRand(t, 83)
	m := model{}.mustUpdate(t, db, r, 300)
	cmd, err := childCommand(tortureEnv+"="+path, tortureIDEnv+"="+readerID)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "reading\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	for range 50 {
		m = m.mustUpdate(t, db, r, 100)
	}
	held := db.Stats().PendingPageN
	if held < 20 {
		t.Errorf("the reader holds %d pages", held)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	m = m.mustUpdate(t, db, r, 1)
	if n := db.Stats().PendingPageN; n > held/5 {
		t.Errorf("%d pages are held after the end of the reader that held %d", n, held)
	}
	if err := m.compare(db); err != nil {
		t.Error(err)
	}
}

// A data file that was renamed while it is open: nobody gets in by the new name,
// whose lock file is another one, until it was closed.
func TestShareRenamed(t *testing.T) {
	path := tempPath(t)
	a, b := openTwice(t, path, nil)
	mustCount(t, a, 1)
	renamed := filepath.Join(filepath.Dir(path), "renamed.db")
	if err := os.Rename(path, renamed); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(renamed, 0o600, nil); !errors.Is(err, ErrLockFile) {
		t.Errorf("open by the new name: %v", err)
	}
	mustCount(t, b, 2)
	if _, err := Open(path, 0o600, nil); !errors.Is(err, ErrLockFile) {
		t.Errorf("a new database under the old name: %v", err)
	}
	mustCount(t, a, 3)
	mustClose(t, a)
	mustClose(t, b)
	c := mustOpen(t, renamed, nil)
	wantCounted(t, c, 3)
	wantCounted(t, mustOpen(t, path, nil), 0)
}

// Who may not write beside the file, or to it, reads without a slot and keeps
// writers out meanwhile.
func TestShareUnlisted(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, nil)
	mustCount(t, db, 1)
	mustClose(t, db)
	o := &Options{ReadOnly: true, OpenFile: func(name string, flag int, mode os.FileMode) (
		*os.File, error) {
		if flag&(os.O_RDWR|os.O_WRONLY) != 0 {
			return nil, os.ErrPermission
		}
		return os.OpenFile(name, flag, mode)
	}}
	first, second := mustOpen(t, path, o), mustOpen(t, path, o)
	wantCounted(t, first, 1)
	wantCounted(t, second, 1)
	short := &Options{Timeout: 300 * time.Millisecond}
	if _, err := Open(path, 0o600, short); !errors.Is(err, ErrTimeout) {
		t.Errorf("write beside such readers: %v", err)
	}
	reader := mustOpen(t, path, &Options{ReadOnly: true})
	wantCounted(t, reader, 1)
	mustClose(t, first)
	mustClose(t, second)
	mustClose(t, reader)
	db = mustOpen(t, path, short)
	mustCount(t, db, 2)
	if _, err := Open(path, 0o600, &Options{ReadOnly: true, OpenFile: o.OpenFile,
		Timeout: 300 * time.Millisecond}); !errors.Is(err, ErrTimeout) {
		t.Errorf("read without a slot beside a writer: %v", err)
	}
}

// Without a lock file a database is the only one that is open.
func TestShareWithoutLockFile(t *testing.T) {
	path := tempPath(t)
	mustClose(t, mustOpen(t, path, nil))
	if err := os.Remove(path + lockFileSuffix); err != nil {
		t.Fatal(err)
	}
	o := &Options{OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if filepath.Base(name) == filepath.Base(path)+lockFileSuffix {
			return nil, os.ErrPermission
		}
		return os.OpenFile(name, flag, mode)
	}}
	db := mustOpen(t, path, o)
	mustCount(t, db, 1)
	if _, err := Open(path, 0o600, &Options{Timeout: 100 * time.Millisecond}); !errors.Is(err,
		ErrTimeout) {
		t.Errorf("second open: %v", err)
	}
	mustClose(t, db)
	wantCounted(t, mustOpen(t, path, &Options{ReadOnly: true}), 1)
}

// Who waits in vain learns which process is in the way.
func TestShareTimeoutNamesHolder(t *testing.T) {
	path := tempPath(t)
	a, b := openTwice(t, path, nil)
	mustCount(t, b, 1)
	w, err := a.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		o := &Options{Timeout: 300 * time.Millisecond, ReadOnly: readOnly}
		_, err = Open(path, 0o600, o)
		if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("open beside a write transaction: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.BeginContext(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("begin beside a write transaction: %v", err)
	}
	wantCounted(t, b, 1) // readers do not wait
	rollback(w)
	mustCount(t, b, 2)
}

// A program that is executed inherits no descriptor of a database.
func TestShareLeaksNoDescriptor(t *testing.T) {
	path := tempPath(t)
	openTwice(t, path, nil)
	mustOpen(t, path, &Options{ReadOnly: true})
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil || runtime.GOOS != "linux" {
		return // not this kind of system, or, under Wine, not this process's descriptors
	}
	found := 0
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err != nil || !strings.HasPrefix(target, path) {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		if err != nil {
			t.Fatal(err)
		}
		var pos, flags uint64
		if _, err := fmt.Sscanf(string(info), "pos:%d\nflags:%o", &pos, &flags); err != nil {
			t.Fatalf("%s: %v", info, err)
		}
		const closeOnExec = 0o2000000
		if found++; flags&closeOnExec == 0 {
			t.Errorf("%s stays open", target)
		}
	}
	if found < 6 {
		t.Errorf("only %d descriptors were found", found)
	}
}
