//go:build (amd64 || 386) && unix

package mapleaf

import (
	"errors"
	"os"
	"testing"
)

// The address of a fault is exact on the processors that are named above.

// A lock file that is cut short under a database that is alone: its next commit
// fails, and reading goes on.
func TestLockFileFaultAlone(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, nil)
	mustCount(t, db, 1)
	if err := os.Truncate(path+lockFileSuffix, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := count(db); !errors.Is(err, ErrFailed) || !errors.Is(err, ErrLockFile) {
		t.Errorf("count: %v", err)
	}
	wantCounted(t, db, 1)
	if err := db.Close(); err != nil && !errors.Is(err, ErrLockFile) {
		t.Error(err)
	}
	wantCounted(t, mustOpen(t, path, nil), 1)
}

// A lock file that is cut short while readers are in it: what they read stays, and
// they end.
func TestLockFileFaultUnderReaders(t *testing.T) {
	path := tempPath(t)
	a, err := Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustCount(t, b, 1)
	reader, err := a.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path+lockFileSuffix, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Begin(false); !errors.Is(err, ErrLockFile) {
		t.Errorf("begin: %v", err)
	}
	if v := reader.Bucket(testBucket).Get(counterKey); number(v) != 1 {
		t.Errorf("the reader sees %x", v)
	}
	rollback(reader)
	if _, err := count(a); !errors.Is(err, ErrLockFile) {
		t.Errorf("count: %v", err)
	}
	for _, db := range []*DB{a, b} {
		if err := db.Close(); err != nil && !errors.Is(err, ErrLockFile) {
			t.Error(err)
		}
	}
	wantCounted(t, mustOpen(t, path, nil), 1)
}
