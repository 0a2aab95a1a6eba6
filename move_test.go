package mapleaf_test

import (
	"path/filepath"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/errors"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// moveTree builds a/{x{..},key}, b/{taken,x2}, so that every case of a move has
// something to move.
func moveTree(t *testing.T, tx *mapleaf.Tx) (a, b *mapleaf.Bucket) {
	a, b = mustBucket(t, tx, "a"), mustBucket(t, tx, "b")
	put(t, a, "key", "v")
	x := mustBucket(t, a, "x")
	fill(t, x, 1000, 50)
	must(t, x.SetSequence(42))
	put(t, mustBucket(t, x, "deep"), "k", "v")
	mustBucket(t, a, "taken")
	mustBucket(t, b, "taken")
	mustBucket(t, a, "keyed")
	put(t, b, "keyed", "v")
	return a, b
}

func TestMoveBucketErrors(t *testing.T) {
	db := openDB(t)
	other := dbtest.OpenAt(t, filepath.Join(t.TempDir(), "other.db"))
	otherTx, err := other.Begin(true)
	must(t, err)
	defer otherTx.Rollback()
	foreign := mustBucket(t, otherTx, "foreign")
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		a, b := moveTree(t, tx)
		for _, c := range []struct {
			what     string
			name     string
			src, dst *mapleaf.Bucket
			want     error
		}{
			{"missing", "none", a, b, mapleaf.ErrBucketNotFound},
			{"a key", "key", a, b, mapleaf.ErrIncompatibleValue},
			{"onto a bucket", "taken", a, b, mapleaf.ErrBucketExists},
			{"onto a key", "keyed", a, b, mapleaf.ErrIncompatibleValue},
			{"to where it is", "x", a, a, errors.ErrSameBuckets},
			{"to another database", "x", a, foreign, errors.ErrDifferentDB},
			{"missing from the root", "none", nil, a, mapleaf.ErrBucketNotFound},
			{"root to root", "a", nil, nil, errors.ErrSameBuckets},
		} {
			wantErr(t, c.what, tx.MoveBucket([]byte(c.name), c.src, c.dst), c.want)
			if c.src != nil && c.dst != nil {
				wantErr(t, c.what, c.src.MoveBucket([]byte(c.name), c.dst), c.want)
			}
		}
		wantMoved(t, a.Bucket([]byte("x")))
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		wantPairs(t, tx.Bucket([]byte("b")), []pair{
			{key: "keyed", value: "v"}, {key: "taken", bucket: true},
		})
		return nil
	})
}

// wantMoved fails the test unless x is what moveTree built.
func wantMoved(t *testing.T, x *mapleaf.Bucket) {
	t.Helper()
	if x == nil {
		t.Fatal("the bucket is missing")
	}
	wantGet(t, x, key8(0), string(value(0, 50)))
	wantGet(t, x, key8(999), string(value(999, 50)))
	wantGet(t, x.Bucket([]byte("deep")), "k", "v")
	if got := len(pairs(t, x)); got != 1001 {
		t.Fatalf("%d records, want 1001", got)
	}
	if got := x.Sequence(); got != 42 {
		t.Fatalf("sequence %d, want 42", got)
	}
}

func TestMoveBucket(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error { moveTree(t, tx); return nil })
	steps := []struct {
		src, dst string // a bucket of the root, or "" for the root itself
		name     string
	}{
		{"a", "b", "x"}, {"b", "", "x"}, {"", "a", "x"}, {"a", "", "taken"}, {"", "a", "b"},
	}
	for _, s := range steps {
		open := func(tx *mapleaf.Tx, name string) *mapleaf.Bucket {
			if name == "" {
				return nil
			}
			return tx.Bucket([]byte(name))
		}
		child := func(tx *mapleaf.Tx, parent string) *mapleaf.Bucket {
			if parent == "" {
				return tx.Bucket([]byte(s.name))
			}
			return tx.Bucket([]byte(parent)).Bucket([]byte(s.name))
		}
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			return tx.MoveBucket([]byte(s.name), open(tx, s.src), open(tx, s.dst))
		})
		db.MustView(func(tx *mapleaf.Tx) error {
			if child(tx, s.src) != nil {
				t.Fatalf("%s is still in %q", s.name, s.src)
			}
			moved := child(tx, s.dst)
			if s.name == "x" {
				wantMoved(t, moved)
			} else if moved == nil {
				t.Fatalf("%s is not in %q", s.name, s.dst)
			}
			return nil
		})
		db.Check()
	}
}

func TestMoveBucketThenWrite(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		a, b := mustBucket(t, tx, "a"), mustBucket(t, tx, "b")
		put(t, mustBucket(t, a, "sub"), "k", "v")
		return a.MoveBucket([]byte("sub"), b)
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		a, b := tx.Bucket([]byte("a")), tx.Bucket([]byte("b"))
		must(t, b.MoveBucket([]byte("sub"), a))
		if b.Bucket([]byte("sub")) != nil {
			t.Fatal("the moved bucket opens at its old place")
		}
		moved := a.Bucket([]byte("sub"))
		wantGet(t, moved, "k", "v")
		fill(t, moved, 500, 50)
		put(t, b, "sub", "now a key")
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		wantGet(t, tx.Bucket([]byte("b")), "sub", "now a key")
		moved := tx.Bucket([]byte("a")).Bucket([]byte("sub"))
		wantGet(t, moved, "k", "v")
		wantGet(t, moved, key8(499), string(value(499, 50)))
		return nil
	})
}

// TestMovedHandles goes on using a bucket, its sub-buckets and a cursor after a move.
func TestMovedHandles(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		a, b := mustBucket(t, tx, "a"), mustBucket(t, tx, "b")
		moved := mustBucket(t, a, "moved")
		fill(t, moved, 1000, 50)
		deep := mustBucket(t, moved, "sub")
		c := moved.Cursor()
		c.Seek([]byte(key8(500)))
		must(t, a.MoveBucket([]byte("moved"), b))
		put(t, moved, "after", "x")
		put(t, deep, "after", "y")
		must(t, moved.SetSequence(3))
		if k, _ := c.Next(); string(k) != key8(501) {
			t.Fatalf("after the move, the cursor goes to %q", k)
		}
		// A bucket of the same name at the old place is another one.
		put(t, mustBucket(t, a, "moved"), "other", "z")
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		moved := tx.Bucket([]byte("b")).Bucket([]byte("moved"))
		wantGet(t, moved, "after", "x")
		wantGet(t, moved.Bucket([]byte("sub")), "after", "y")
		if moved.Sequence() != 3 {
			t.Fatalf("sequence %d, want 3", moved.Sequence())
		}
		wantPairs(t, tx.Bucket([]byte("a")).Bucket([]byte("moved")), []pair{{key: "other", value: "z"}})
		return nil
	})
}
