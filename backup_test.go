package mapleaf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// backupDB opens a database with every kind of page, and with free space.
func backupDB(t *testing.T) *dbtest.DB {
	t.Helper()
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "gone"), 2000, 300)
		b := mustBucket(t, tx, "b")
		fill(t, b, 3000, 100)
		must(t, b.SetSequence(5))
		sub := mustBucket(t, b, "sub")
		must(t, sub.Put([]byte("large"), value(1, 300_000)))
		return nil
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("gone")) })
	return db
}

// wantBackup fails the test unless the file at path is a database with what
// backupDB put, which can be written.
func wantBackup(t *testing.T, path string) {
	t.Helper()
	db := dbtest.OpenAt(t, path)
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		if b.Sequence() != 5 {
			t.Fatalf("sequence %d", b.Sequence())
		}
		wantGet(t, b, key8(2999), string(value(2999, 100)))
		wantGet(t, b.Bucket([]byte("sub")), "large", string(value(1, 300_000)))
		if got := len(pairs(t, b)); got != 3001 {
			t.Fatalf("%d records, want 3001", got)
		}
		return nil
	})
	db.Check()
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "new"), 1000, 100)
		return tx.Bucket([]byte("b")).Delete([]byte(key8(0)))
	})
}

func TestWriteTo(t *testing.T) {
	db := backupDB(t)
	path := filepath.Join(t.TempDir(), "copy")
	db.MustView(func(tx *mapleaf.Tx) error {
		// The backup is of this transaction's state, whatever is written meanwhile.
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			return tx.Bucket([]byte("b")).Delete([]byte(key8(2999)))
		})
		var buf bytes.Buffer
		n, err := tx.WriteTo(&buf)
		must(t, err)
		if n != tx.Size() || int64(buf.Len()) != n {
			t.Fatalf("WriteTo says %d and wrote %d bytes, Size is %d", n, buf.Len(), tx.Size())
		}
		var again bytes.Buffer
		//lint:ignore SA1019 the old name is part of the API
		must(t, tx.Copy(&again))
		if again.Len() != buf.Len() {
			t.Fatalf("Copy wrote %d bytes, WriteTo %d", again.Len(), buf.Len())
		}
		return os.WriteFile(path, buf.Bytes(), 0o600)
	})
	wantBackup(t, path)
}

func TestCopyFile(t *testing.T) {
	db := backupDB(t)
	path := filepath.Join(t.TempDir(), "copy")
	db.MustView(func(tx *mapleaf.Tx) error { return tx.CopyFile(path, 0o640) })
	wantMode(t, path, 0o640)
	wantBackup(t, path)
	err := db.View(func(tx *mapleaf.Tx) error {
		return tx.CopyFile(filepath.Join(t.TempDir(), "no", "folder", "copy"), 0o600)
	})
	if err == nil {
		t.Fatal("a copy into a missing folder succeeds")
	}
}

func TestBackupOfBackups(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 500, 100)
		return nil
	})
	for i := range 4 {
		path := filepath.Join(dir, fmt.Sprint("copy", i))
		db.MustView(func(tx *mapleaf.Tx) error { return tx.CopyFile(path, 0o600) })
		db = dbtest.OpenAt(t, path)
		db.MustView(func(tx *mapleaf.Tx) error {
			wantFilled(t, tx.Bucket([]byte("b")), 500, 100)
			return nil
		})
	}
}

// shortWriter fails after n bytes.
type shortWriter struct{ n int }

var errFull = errors.New("the writer is full")

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		n := w.n
		w.n = 0
		return n, errFull
	}
	w.n -= len(p)
	return len(p), nil
}

func TestWriteToErrors(t *testing.T) {
	db := backupDB(t)
	db.MustView(func(tx *mapleaf.Tx) error {
		size := int(tx.Size())
		for _, limit := range []int{0, 1, 4096, 4097, 40_000, size / 2, size - 1} {
			n, err := tx.WriteTo(&shortWriter{limit})
			wantErr(t, fmt.Sprintf("write to %d bytes", limit), err, errFull)
			if n > int64(limit) {
				t.Fatalf("WriteTo says %d of %d bytes", n, limit)
			}
		}
		n, err := tx.WriteTo(io.Discard)
		must(t, err)
		if n != tx.Size() {
			t.Fatalf("WriteTo wrote %d of %d bytes", n, tx.Size())
		}
		return nil
	})
}

// TestWriteToOfWriter copies what a write transaction has not committed yet.
func TestWriteToOfWriter(t *testing.T) {
	db := backupDB(t)
	path := filepath.Join(t.TempDir(), "copy")
	undo := errors.New("undo")
	err := db.Update(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		put(t, b, "uncommitted", "x")
		fill(t, mustBucket(t, tx, "many"), 2000, 200)
		must(t, b.Put([]byte("uncommitted and large"), value(3, 60_000)))
		must(t, b.DeleteBucket([]byte("sub")))
		must(t, tx.CopyFile(path, 0o600))
		// The transaction goes on as if nothing had been.
		wantGet(t, b, "uncommitted", "x")
		put(t, b, "later", "y")
		return undo
	})
	wantErr(t, "update", err, undo)
	copied := dbtest.OpenAt(t, path)
	copied.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		wantGet(t, b, "uncommitted", "x")
		wantGet(t, b, "uncommitted and large", string(value(3, 60_000)))
		wantNone(t, b, "later")
		if b.Bucket([]byte("sub")) != nil {
			t.Fatal("the copy has a bucket that was deleted before")
		}
		wantFilled(t, tx.Bucket([]byte("many")), 2000, 200)
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		wantNone(t, tx.Bucket([]byte("b")), "uncommitted")
		return nil
	})
}
