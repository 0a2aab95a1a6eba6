package mapleaf_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mapleaf "github.com/mapleafdb/mapleaf"
)

func TestOpenCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.db")
	db, err := mapleaf.Open(path, 0o640, nil)
	must(t, err)
	if db.Path() != path {
		t.Fatalf("path %q, want %q", db.Path(), path)
	}
	if got, want := db.String(), fmt.Sprintf("DB<%q>", path); got != want {
		t.Fatalf("String: %s, want %s", got, want)
	}
	if got := db.GoString(); !strings.Contains(got, fmt.Sprintf("%q", path)) {
		t.Fatalf("GoString: %s", got)
	}
	if db.IsReadOnly() || db.Logger() == nil {
		t.Fatal("a new database is read-only, or has no logger")
	}
	must(t, db.Close())
	wantMode(t, path, 0o640)
	names, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(names) != 2 { // the lock file, too
		t.Fatalf("creation left %d files", len(names))
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := mapleaf.Open("", 0o600, nil); err == nil {
		t.Fatal("an empty path opens")
	}
	if _, err := mapleaf.Open(filepath.Join(dir, "no", "such", "folder"), 0o600, nil); err == nil {
		t.Fatal("a path in a missing folder opens")
	}
	if _, err := mapleaf.Open(dir, 0o600, nil); err == nil {
		t.Fatal("a folder opens")
	}
	missing := filepath.Join(dir, "missing")
	if _, err := mapleaf.Open(missing, 0o600, &mapleaf.Options{ReadOnly: true}); err == nil {
		t.Fatal("a missing file opens for reading")
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Fatalf("a read-only open made the file: %v", err)
	}
}

// TestOpenForeign opens files that are no databases, which stay as they are.
func TestOpenForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "foreign")
	for _, content := range [][]byte{
		[]byte("hello"),
		bytes.Repeat([]byte("not a database\n"), 10_000),
		make([]byte, 64<<10),
		make([]byte, 1),
	} {
		must(t, os.WriteFile(path, content, 0o600))
		for _, readOnly := range []bool{false, true} {
			db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{ReadOnly: readOnly})
			if err == nil {
				db.Close()
				t.Fatalf("%d foreign bytes open", len(content))
			}
			wantErr(t, fmt.Sprintf("open %d foreign bytes", len(content)), err, mapleaf.ErrInvalid)
			got, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(got, content) {
				t.Fatalf("Open changed a foreign file of %d bytes", len(content))
			}
		}
	}
}

func TestOpenEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	must(t, os.WriteFile(path, nil, 0o600))
	db, err := mapleaf.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		_, err := tx.CreateBucket([]byte("b"))
		return err
	}))
	must(t, db.Close())
}

func TestReopenKeepsData(t *testing.T) {
	const rounds = 8
	db := openDB(t, noSync)
	for i := range rounds {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := mustBucket(t, tx, fmt.Sprint("round", i))
			fill(t, b, 200*i, 100)
			return b.SetSequence(uint64(i))
		})
		db.Reopen()
		db.MustView(func(tx *mapleaf.Tx) error {
			for j := range i + 1 {
				b := tx.Bucket([]byte(fmt.Sprint("round", j)))
				wantFilled(t, b, 200*j, 100)
				if b.Sequence() != uint64(j) {
					t.Fatalf("sequence %d, want %d", b.Sequence(), j)
				}
			}
			return nil
		})
	}
}

func TestClosedDB(t *testing.T) {
	db, err := mapleaf.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	must(t, err)
	must(t, db.Close())
	must(t, db.Close())
	nothing := func(*mapleaf.Tx) error {
		t.Error("a transaction runs on a closed database")
		return nil
	}
	closed := mapleaf.ErrDatabaseNotOpen
	wantErr(t, "View", db.View(nothing), closed)
	wantErr(t, "Update", db.Update(nothing), closed)
	wantErr(t, "Batch", db.Batch(nothing), closed)
	_, err = db.Begin(false)
	wantErr(t, "Begin(false)", err, closed)
	_, err = db.Begin(true)
	wantErr(t, "Begin(true)", err, closed)
}

// TestCloseWaits closes while transactions are open, which takes until they end.
func TestCloseWaits(t *testing.T) {
	for _, writable := range []bool{false, true} {
		db, err := mapleaf.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
		must(t, err)
		must(t, db.Update(func(tx *mapleaf.Tx) error {
			put(t, mustBucket(t, tx, "b"), "k", "v")
			return nil
		}))
		tx, err := db.Begin(writable)
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- db.Close() }()
		select {
		case <-done:
			t.Fatalf("Close does not wait for a transaction (writable: %t)", writable)
		case <-time.After(50 * time.Millisecond):
		}
		wantGet(t, tx.Bucket([]byte("b")), "k", "v")
		must(t, tx.Rollback())
		select {
		case err := <-done:
			must(t, err)
		case <-time.After(20 * time.Second):
			t.Fatal("Close does not end after the last transaction")
		}
	}
}

func TestReadOnly(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 1000, 100)
		return nil
	})
	db.Shut()
	before, err := os.ReadFile(db.Path())
	must(t, err)
	var open []*mapleaf.DB
	for range 3 {
		ro, err := mapleaf.Open(db.Path(), 0o600, &mapleaf.Options{
			ReadOnly: true, Timeout: 5 * time.Second,
		})
		must(t, err)
		open = append(open, ro)
	}
	for _, ro := range open {
		if !ro.IsReadOnly() {
			t.Fatal("IsReadOnly is false")
		}
		must(t, ro.View(func(tx *mapleaf.Tx) error {
			wantFilled(t, tx.Bucket([]byte("b")), 1000, 100)
			return nil
		}))
		wantErr(t, "Update", ro.Update(func(*mapleaf.Tx) error { return nil }),
			mapleaf.ErrDatabaseReadOnly)
		wantErr(t, "Batch", ro.Batch(func(*mapleaf.Tx) error { return nil }),
			mapleaf.ErrDatabaseReadOnly)
		_, err := ro.Begin(true)
		wantErr(t, "Begin", err, mapleaf.ErrDatabaseReadOnly)
	}
	for _, ro := range open {
		must(t, ro.Close())
	}
	after, err := os.ReadFile(db.Path())
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Fatal("read-only use changed the file")
	}
	db.Reopen()
}

func TestTimeout(t *testing.T) {
	db := openDB(t, func(o *mapleaf.Options) { o.Exclusive = true })
	for _, readOnly := range []bool{false, true} {
		begin := time.Now()
		_, err := mapleaf.Open(db.Path(), 0o600, &mapleaf.Options{
			Timeout: 100 * time.Millisecond, ReadOnly: readOnly,
		})
		wantErr(t, "open a locked file", err, mapleaf.ErrTimeout)
		if took := time.Since(begin); took < 90*time.Millisecond || took > 30*time.Second {
			t.Fatalf("a timeout of 100 ms took %s", took)
		}
	}
}

// TestTimeoutEnough waits for a lock that is given back in time.
func TestTimeoutEnough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	first, err := mapleaf.Open(path, 0o600, &mapleaf.Options{Exclusive: true})
	must(t, err)
	done := make(chan error, 1)
	go func() {
		time.Sleep(100 * time.Millisecond)
		done <- first.Close()
	}()
	second, err := mapleaf.Open(path, 0o600, &mapleaf.Options{Timeout: 30 * time.Second})
	must(t, err)
	must(t, <-done)
	must(t, second.Close())
}

func TestSyncByHand(t *testing.T) {
	db := openDB(t, noSync)
	if !db.NoSync {
		t.Fatal("Options.NoSync does not set DB.NoSync")
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	must(t, db.Sync())
	db.NoSync = false
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "c"); return nil })
	must(t, db.Sync())
}
