//go:build (amd64 || 386) && unix

package mapleaf_test

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// TestTruncatedWhileOpen cuts the file short under an open database: what lay
// behind the cut is a fault, which every method turns into an error. The address
// of a fault is exact on the processors that are named above.
func TestTruncatedWhileOpen(t *testing.T) {
	db, path := cutDB(t)
	tx, err := db.Begin(false)
	must(t, err)
	must(t, os.Truncate(path, 40_960))
	cuts := 0
	look := func(what string, err error) {
		t.Helper()
		var fault *mapleaf.FaultError
		if err != nil && !isDamage(err) {
			t.Fatalf("%s in a file that was cut returns %v", what, err)
		}
		if errors.As(err, &fault) {
			cuts++
		}
	}
	for i := range 40 {
		look("View", db.View(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			if v := b.Get([]byte(key8(i * 100))); v == nil && tx.Err() == nil {
				return fmt.Errorf("record %d is gone", i*100)
			}
			return nil
		}))
	}
	look("Update", db.Update(func(tx *mapleaf.Tx) error {
		return tx.Bucket([]byte("b")).Put([]byte(key8(3000)), []byte("x"))
	}))
	look("Check", db.View(func(tx *mapleaf.Tx) error {
		for err := range tx.Check() {
			look("Check", err)
		}
		return nil
	}))
	// By hand, every method arms itself.
	b := tx.Bucket([]byte("b"))
	if b != nil {
		next, stop := iter.Pull2(b.All())
		for _, _, ok := next(); ok; _, _, ok = next() {
			continue
		}
		stop()
		for range b.Backward() {
			continue
		}
		b.Get([]byte(key8(3999)))
	}
	look("a transaction by hand", tx.Err())
	must(t, tx.Rollback())
	if cuts == 0 {
		t.Fatal("the cut was never met")
	}
	if err := db.Close(); err != nil {
		look("Close", err)
	}
}

// TestTruncatedInLoop cuts the file while the body of a loop over it reads a value: the
// fault passes through the iterator, and becomes the error of the transaction.
func TestTruncatedInLoop(t *testing.T) {
	db, path := cutDB(t)
	for name, all := range map[string]func(*mapleaf.Bucket) iter.Seq2[[]byte, []byte]{
		"All": (*mapleaf.Bucket).All, "Backward": (*mapleaf.Bucket).Backward,
	} {
		var fault *mapleaf.FaultError
		sum := 0
		err := db.View(func(tx *mapleaf.Tx) error {
			for _, v := range all(tx.Bucket([]byte("b"))) {
				must(t, os.Truncate(path, 4096))
				sum += int(v[0])
			}
			return nil
		})
		if !errors.As(err, &fault) {
			t.Errorf("%s: %v, after reading %d", name, err, sum)
		}
	}
	if err := db.Close(); err != nil && !isDamage(err) {
		t.Error(err)
	}
}

// TestTruncatedInCompact compacts a file that was cut: what the source lacks is the error,
// and the target goes on.
func TestTruncatedInCompact(t *testing.T) {
	db, path := cutDB(t)
	must(t, os.Truncate(path, 40_960))
	dst := dbtest.Open(t, noSync)
	if err := mapleaf.Compact(dst.DB, db, 0); !isDamage(err) {
		t.Errorf("Compact: %v", err)
	}
	dst.MustUpdate(func(tx *mapleaf.Tx) error {
		mustBucket(t, tx, "b")
		return nil
	})
	if err := db.Close(); err != nil && !isDamage(err) {
		t.Error(err)
	}
}

// cutDB opens a database whose pages are not yet in use by this process.
func cutDB(t *testing.T) (*mapleaf.DB, string) {
	t.Helper()
	d := dbtest.Open(t, noSync)
	d.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 4000, 100)
		return nil
	})
	path := d.Path() + ".cut"
	d.MustView(func(tx *mapleaf.Tx) error { return tx.CopyFile(path, 0o600) })
	db, err := mapleaf.Open(path, 0o600, nil)
	must(t, err)
	return db, path
}

// TestForeignPanics lets the user's own faults through: they are not the file's.
func TestForeignPanics(t *testing.T) {
	db := openDB(t)
	for name, run := range map[string]func(func(*mapleaf.Tx) error) error{
		"view": db.View, "update": db.Update,
	} {
		func() {
			defer func() {
				if r := recover(); r == nil {
					t.Errorf("%s: a nil pointer of the user's was swallowed", name)
				}
			}()
			err := run(func(*mapleaf.Tx) error {
				var p *int
				return fmt.Errorf("read %d", *p)
			})
			t.Errorf("%s returned %v", name, err)
		}()
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
}
