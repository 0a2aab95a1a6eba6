package mapleaf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runWithFailure opens the database at path, works on it and closes it, while
// one call of the file fails. It returns the errors that were seen, in order,
// and the models that the file may hold afterwards.
func runWithFailure(t *testing.T, path string, rec *recorder, start model, o Options) (
	errs []error, allowed []model) {
	t.Helper()
	r := testRand(t, 11)
	allowed = []model{start}
	o.wrapFile = rec.wrap
	db, err := Open(path, 0o600, &o)
	if err != nil {
		return []error{err}, allowed
	}
	m := start
	for range 6 {
		next, err := m.update(db, r, 40)
		if err == nil {
			m, allowed = next, []model{next}
			continue
		}
		errs = append(errs, err)
		if !errors.Is(err, ErrFailed) {
			continue // rolled back, the database stays usable
		}
		allowed = append(allowed, next)
		break
	}
	// Readers go on at the last published state.
	if err := m.compare(db); err != nil {
		t.Errorf("read after %v: %v", errs, err)
	}
	if len(errs) > 0 && errors.Is(errs[len(errs)-1], ErrFailed) {
		if _, err := m.update(db, r, 1); !errors.Is(err, ErrFailed) {
			t.Errorf("update after a failed write: %v", err)
		}
		db.store.log.clearing.settle() // that write was under way
		before := rec.len()
		if err := db.Close(); err != nil {
			t.Errorf("close after a failed write: %v", err)
		}
		if n, _ := rec.count(opWrite, before); n > 0 {
			t.Errorf("close after a failed write has written %d times", n)
		}
		return errs, allowed
	}
	if err := db.Close(); err != nil {
		errs = append(errs, err)
	}
	return errs, allowed
}

// Each call of the file fails once, in a run of its own: the failure surfaces,
// nothing unacknowledged is seen, and the file opens again with a state that was
// acknowledged or was under way.
func TestEveryCallFails(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"pages": {LogSize: -1},
		"log":   {logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 256 << 10},
	} {
		t.Run(name, func(t *testing.T) { everyCallFails(t, o) })
	}
}

func everyCallFails(t *testing.T, o Options) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin.db")
	db := mustOpen(t, origin, nil)
	start := model{}.mustUpdate(t, db, testRand(t, 10), 100)
	mustClose(t, db)
	// A file that was not closed, so that opening it has a log to replay.
	if db = mustOpen(t, origin, &o); o.logAtOnce {
		for range 3 {
			start = start.mustUpdate(t, db, testRand(t, 10), 20)
		}
		if err := abandon(db); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, db)
	path := filepath.Join(dir, "work.db")
	for at := 1; ; at++ {
		copyFile(t, origin, path)
		rec := &recorder{failAt: at}
		errs, allowed := runWithFailure(t, path, rec, start, o)
		if rec.calls < at {
			if at < 20 {
				t.Fatalf("only %d calls", at)
			}
			return
		}
		retried := rec.failed == opAllocate // with no more than is needed
		if len(errs) == 0 && !retried && rec.failed != opAsk {
			t.Fatalf("failure of call %d, %s, did not surface", at, rec.failed)
		}
		if len(errs) > 0 && !errors.Is(errs[0], errInjected) {
			t.Errorf("failure of call %d, %s, came as %v", at, rec.failed, errs[0])
		}
		db := mustOpen(t, path, nil)
		ok := false
		for _, m := range allowed {
			ok = ok || m.compare(db) == nil
		}
		if !ok {
			t.Errorf("failure of call %d, %s: reopened with another state", at, rec.failed)
		}
		mustCheck(t, db)
		mustClose(t, db)
		if t.Failed() {
			return
		}
	}
}

// A failure to make room is a clean rollback: of this transaction alone, also
// when a batch is being filled.
func TestFullDiskRollsBack(t *testing.T) {
	rec := &recorder{}
	db := mustOpen(t, tempPath(t), &Options{wrapFile: rec.wrap})
	r := testRand(t, 12)
	m := model{}.mustUpdate(t, db, r, 100)
	fail := &fullFile{file: db.store.file}
	db.store.file = fail
	_, err := m.bigUpdate(db)
	if !errors.Is(err, errInjected) || errors.Is(err, ErrFailed) {
		t.Fatalf("update on a full disk: %v", err)
	}
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
	fail.free = true
	if m, err = m.bigUpdate(db); err != nil {
		t.Fatal(err)
	}
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
}

// fullFile is a file on a disk without room.
type fullFile struct {
	file
	free bool
}

func (f *fullFile) Allocate(size int64) error {
	if !f.free {
		return errInjected
	}
	return f.file.Allocate(size)
}

// bigUpdate puts a value that makes the file grow.
func (m model) bigUpdate(db *DB) (model, error) {
	big := strings.Repeat("x", 5<<20)
	err := db.Update(func(t *Tx) error {
		return t.Bucket(testBucket).Put([]byte("big"), []byte(big))
	})
	if err != nil {
		return m, err
	}
	next := model{"big": big}
	for k, v := range m {
		next[k] = v
	}
	return next, nil
}

// Creation fails at each of its calls and leaves nothing behind.
func TestEveryCallOfCreationFails(t *testing.T) {
	for at := 1; ; at++ {
		dir := t.TempDir()
		rec := &recorder{failAt: at}
		db, err := Open(filepath.Join(dir, "new.db"), 0o600, &Options{wrapFile: rec.wrap})
		if err == nil {
			mustClose(t, db)
			if rec.calls >= at {
				t.Fatalf("failure of call %d, %s, did not surface", at, rec.failed)
			}
			return
		}
		if !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if at <= creationCalls || !strings.HasPrefix(e.Name(), "new.db") {
				t.Errorf("failure of call %d has left %s behind", at, e.Name())
			}
		}
	}
}

// creationCalls are the write and the sync of a new file; what comes after
// opens a database that is whole.
const creationCalls = 2

func TestMaxSize(t *testing.T) {
	db := mustOpen(t, tempPath(t), &Options{MaxSize: 2 << 20})
	r := testRand(t, 13)
	m := model{}.mustUpdate(t, db, r, 50)
	if _, err := m.bigUpdate(db); !errors.Is(err, ErrMaxSizeReached) {
		t.Fatalf("update beyond the limit: %v", err)
	}
	for range 200 { // frees as much as it takes
		m = m.mustUpdate(t, db, r, 10)
	}
	if size, err := db.store.file.Size(); err != nil || size > 2<<20 {
		t.Fatalf("file has %d bytes, %v", size, err)
	}
	db.MaxSize = 0
	if _, err := m.bigUpdate(db); err != nil {
		t.Fatal(err)
	}
}

// A sync that fails in DB.Sync is told once by the system: nobody may write, and
// nothing may be taken for durable, afterwards.
func TestFailedSyncCall(t *testing.T) {
	rec := &recorder{}
	db := mustOpen(t, tempPath(t), &Options{wrapFile: rec.wrap, NoSync: true})
	r := testRand(t, 14)
	m := model{}.mustUpdate(t, db, r, 20)
	rec.failIn(1)
	if err := db.Sync(); !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
		t.Errorf("sync: %v", err)
	}
	if err := db.Sync(); !errors.Is(err, ErrFailed) {
		t.Errorf("second sync: %v", err)
	}
	if _, err := m.update(db, r, 1); !errors.Is(err, ErrFailed) {
		t.Errorf("update: %v", err)
	}
	if err := m.compare(db); err != nil {
		t.Error(err)
	}
}

// Close of a database with NoSync makes everything durable before it says so.
func TestCloseSyncs(t *testing.T) {
	path := tempPath(t)
	mustClose(t, mustOpen(t, path, nil))
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	db := mustOpen(t, path, &Options{wrapFile: rec.wrap, NoSync: true})
	m := model{}
	r := testRand(t, 15)
	for range 10 {
		m = m.mustUpdate(t, db, r, 20)
	}
	mustClose(t, db)
	img := crashImage(base, rec.ops, len(rec.ops), func() bool { return false })
	if err := os.WriteFile(path, img, 0o600); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, path, nil)
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
}

func TestMlock(t *testing.T) {
	db, err := Open(tempPath(t), 0o600, &Options{Mlock: true})
	if err != nil {
		if strings.Contains(err.Error(), "lock database in memory") {
			return // not granted here, and Open says so
		}
		t.Fatal(err)
	}
	m := model{}.mustUpdate(t, db, testRand(t, 16), 200)
	if err := m.compare(db); err != nil {
		t.Error(err)
	}
	mustClose(t, db)
}
