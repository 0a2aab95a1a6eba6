package mapleaf_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// cursorSizes are the bucket sizes at which the cursor tests run: without
// records, one leaf, two levels, three levels.
var cursorSizes = []int{0, 1, 2, 30, 700, 9000}

// cursorBucket opens a database whose bucket b has n records with odd numbers.
func cursorBucket(t *testing.T, n int) *dbtest.DB {
	t.Helper()
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for i := range n {
			put(t, b, key8(2*i+1), fmt.Sprint("v", i))
		}
		return nil
	})
	return db
}

// inBoth runs fn on bucket b of a read transaction, and of a write transaction.
func inBoth(t *testing.T, db *dbtest.DB, fn func(t *testing.T, b *mapleaf.Bucket)) {
	t.Helper()
	run := func(tx *mapleaf.Tx) error {
		fn(t, tx.Bucket([]byte("b")))
		return nil
	}
	db.MustView(run)
	db.MustUpdate(run)
}

func TestCursorEmpty(t *testing.T) {
	inBoth(t, cursorBucket(t, 0), func(t *testing.T, b *mapleaf.Bucket) {
		c := b.Cursor()
		if c.Bucket() != b {
			t.Fatal("the cursor does not know its bucket")
		}
		for range 2 {
			k, v := c.First()
			wantAt(t, "First", k, v, "", "")
			k, v = c.Next()
			wantAt(t, "Next", k, v, "", "")
			k, v = c.Last()
			wantAt(t, "Last", k, v, "", "")
			k, v = c.Prev()
			wantAt(t, "Prev", k, v, "", "")
			k, v = c.Seek([]byte("x"))
			wantAt(t, "Seek", k, v, "", "")
			k, v = c.Seek(nil)
			wantAt(t, "Seek nil", k, v, "", "")
		}
	})
}

func TestCursorForward(t *testing.T) {
	for _, n := range cursorSizes {
		inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
			c := b.Cursor()
			i := 0
			for k, v := c.First(); k != nil; k, v = c.Next() {
				wantAt(t, "Next", k, v, key8(2*i+1), fmt.Sprint("v", i))
				i++
			}
			if i != n {
				t.Fatalf("forward over %d records gives %d", n, i)
			}
			k, v := c.Next()
			wantAt(t, "Next behind the end", k, v, "", "")
		})
	}
}

func TestCursorBackward(t *testing.T) {
	for _, n := range cursorSizes {
		inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
			c := b.Cursor()
			i := n
			for k, v := c.Last(); k != nil; k, v = c.Prev() {
				i--
				wantAt(t, "Prev", k, v, key8(2*i+1), fmt.Sprint("v", i))
			}
			if i != 0 {
				t.Fatalf("backward over %d records leaves %d", n, i)
			}
			k, v := c.Prev()
			wantAt(t, "Prev before the beginning", k, v, "", "")
		})
	}
}

func TestCursorSeek(t *testing.T) {
	for _, n := range cursorSizes[1:] {
		inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
			c := b.Cursor()
			step := max(1, n/500)
			for i := 0; i < n; i += step {
				k, v := c.Seek([]byte(key8(2*i + 1)))
				wantAt(t, "Seek a key", k, v, key8(2*i+1), fmt.Sprint("v", i))
				k, v = c.Seek([]byte(key8(2 * i)))
				wantAt(t, "Seek a gap", k, v, key8(2*i+1), fmt.Sprint("v", i))
				k, v = c.Next()
				if i+1 < n {
					wantAt(t, "Next after Seek", k, v, key8(2*i+3), fmt.Sprint("v", i+1))
				} else {
					wantAt(t, "Next after Seek", k, v, "", "")
				}
			}
			k, v := c.Seek(nil)
			wantAt(t, "Seek nil", k, v, key8(1), "v0")
			k, v = c.Seek([]byte(key8(2 * n)))
			wantAt(t, "Seek behind the end", k, v, "", "")
			k, v = c.Seek([]byte("\xff"))
			wantAt(t, "Seek far behind the end", k, v, "", "")
		})
	}
}

func TestCursorPrevAfterSeek(t *testing.T) {
	const n = 3000
	inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
		c := b.Cursor()
		for i := 1; i < n; i += 3 {
			c.Seek([]byte(key8(2 * i)))
			k, v := c.Prev()
			wantAt(t, "Prev after Seek", k, v, key8(2*i-1), fmt.Sprint("v", i-1))
			k, v = c.Next()
			wantAt(t, "Next after Prev", k, v, key8(2*i+1), fmt.Sprint("v", i))
		}
	})
}

// TestCursorTurns changes direction at every record, and at both ends.
func TestCursorTurns(t *testing.T) {
	for _, n := range cursorSizes[2:] {
		inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
			c := b.Cursor()
			c.First()
			for i := 1; i < n; i++ {
				k, v := c.Next()
				wantAt(t, "Next", k, v, key8(2*i+1), fmt.Sprint("v", i))
				k, v = c.Prev()
				wantAt(t, "Prev", k, v, key8(2*i-1), fmt.Sprint("v", i-1))
				c.Next()
			}
			k, v := c.Next()
			wantAt(t, "Next at the end", k, v, "", "")
			k, v = c.Next()
			wantAt(t, "Next at the end again", k, v, "", "")
			k, v = c.Prev()
			wantAt(t, "Prev from the end", k, v, key8(2*n-3), fmt.Sprint("v", n-2))

			c.First()
			k, v = c.Prev()
			wantAt(t, "Prev at the beginning", k, v, "", "")
			k, v = c.Prev()
			wantAt(t, "Prev at the beginning again", k, v, "", "")
			k, v = c.Next()
			wantAt(t, "Next from the beginning", k, v, key8(3), "v1")
		})
	}
}

// TestCursorFresh moves a cursor that has no place yet.
func TestCursorFresh(t *testing.T) {
	inBoth(t, cursorBucket(t, 10), func(t *testing.T, b *mapleaf.Bucket) {
		k, v := b.Cursor().Next()
		wantAt(t, "Next of a fresh cursor", k, v, "", "")
		k, v = b.Cursor().Prev()
		wantAt(t, "Prev of a fresh cursor", k, v, "", "")
	})
}

func TestCursorBuckets(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		put(t, b, "1", "one")
		put(t, mustBucket(t, b, "2"), "inside", "x")
		put(t, b, "3", "")
		return nil
	})
	inBoth(t, db, func(t *testing.T, b *mapleaf.Bucket) {
		c := b.Cursor()
		c.First()
		if k, v := c.Next(); string(k) != "2" || v != nil {
			t.Fatalf("a sub-bucket shows as %q %q", k, v)
		}
		if k, v := c.Next(); string(k) != "3" || len(v) != 0 {
			t.Fatalf("an empty value shows as %q %q", k, v)
		}
		if k, v := c.Seek([]byte("2")); string(k) != "2" || v != nil {
			t.Fatalf("Seek shows a sub-bucket as %q %q", k, v)
		}
		if k, v := c.Prev(); string(k) != "1" || string(v) != "one" {
			t.Fatalf("Prev gives %q %q", k, v)
		}
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		c := tx.Bucket([]byte("b")).Cursor()
		c.Seek([]byte("2"))
		wantErr(t, "delete a bucket by cursor", c.Delete(), mapleaf.ErrIncompatibleValue)
		return nil
	})
}

func TestCursorRoot(t *testing.T) {
	db := openDB(t)
	names := []string{"a", "b", "c"}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		for _, name := range names {
			put(t, mustBucket(t, tx, name), "k", "v")
		}
		return nil
	})
	walk := func(tx *mapleaf.Tx) error {
		var got []string
		c := tx.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if v != nil {
				t.Fatalf("bucket %q has the value %q", k, v)
			}
			got = append(got, string(k))
		}
		if !slices.Equal(got, names) {
			t.Fatalf("root cursor gives %q, want %q", got, names)
		}
		return nil
	}
	db.MustView(walk)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		c := tx.Cursor()
		c.First()
		wantErr(t, "delete a bucket of the root", c.Delete(), mapleaf.ErrIncompatibleValue)
		if c.Bucket() == nil || c.Bucket().Tx() != tx {
			t.Fatal("the root cursor has no bucket")
		}
		return walk(tx)
	})
}

func TestCursorDelete(t *testing.T) {
	const n = 2000
	db := cursorBucket(t, n)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		c := tx.Bucket([]byte("b")).Cursor()
		for i := 0; i < n; i += 2 {
			k, _ := c.Seek([]byte(key8(2*i + 1)))
			if string(k) != key8(2*i+1) {
				t.Fatalf("seek record %d: %q", i, k)
			}
			must(t, c.Delete())
		}
		return nil
	})
	inBoth(t, db, func(t *testing.T, b *mapleaf.Bucket) {
		got := pairs(t, b)
		if len(got) != n/2 {
			t.Fatalf("%d records are left, want %d", len(got), n/2)
		}
		for j, p := range got {
			if want := key8(2*(2*j+1) + 1); p.key != want {
				t.Fatalf("record %d is %q, want %q", j, p.key, want)
			}
		}
	})
}

// TestCursorDeleteFromEnds empties a bucket through First, and through Last.
func TestCursorDeleteFromEnds(t *testing.T) {
	for _, fromEnd := range []bool{false, true} {
		db := cursorBucket(t, 3000)
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			c, n := b.Cursor(), 0
			move := c.First
			if fromEnd {
				move = c.Last
			}
			for k, _ := move(); k != nil; k, _ = move() {
				must(t, c.Delete())
				n++
			}
			if n != 3000 {
				t.Fatalf("deleted %d records, want 3000", n)
			}
			wantPairs(t, b, nil)
			return nil
		})
		db.MustView(func(tx *mapleaf.Tx) error {
			wantPairs(t, tx.Bucket([]byte("b")), nil)
			return nil
		})
	}
}

func TestCursorsAreIndependent(t *testing.T) {
	const n = 1000
	inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
		up, down := b.Cursor(), b.Cursor()
		k, _ := up.First()
		l, _ := down.Last()
		for i := range n {
			if string(k) != key8(2*i+1) || string(l) != key8(2*(n-1-i)+1) {
				t.Fatalf("step %d: %q and %q", i, k, l)
			}
			k, _ = up.Next()
			l, _ = down.Prev()
		}
	})
}

// TestCursorKeysStay holds all keys and values of a scan until the transaction ends.
func TestCursorKeysStay(t *testing.T) {
	const n = 5000
	inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
		var keys, values [][]byte
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			keys, values = append(keys, k), append(values, v)
		}
		for i := range keys {
			if string(keys[i]) != key8(2*i+1) || string(values[i]) != fmt.Sprint("v", i) {
				t.Fatalf("record %d became %q %q", i, keys[i], values[i])
			}
		}
	})
}

// TestCursorLargeRecords scans records whose keys or values do not fit a page.
func TestCursorLargeRecords(t *testing.T) {
	db := openDB(t, noSync)
	var want []pair
	for i := range 60 {
		key := key8(i)
		if i%3 == 1 {
			key += string(bytes.Repeat([]byte{'k'}, 500*i))
		}
		size := 10
		if i%4 == 2 {
			size = 3000 * i
		}
		want = append(want, pair{key: key, value: string(value(i, size))})
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for i := range want {
			p := want[(i*7)%len(want)]
			put(t, b, p.key, p.value)
		}
		return nil
	})
	inBoth(t, db, func(t *testing.T, b *mapleaf.Bucket) {
		wantPairs(t, b, want)
		c := b.Cursor()
		for _, p := range slices.Backward(want) {
			k, v := c.Seek([]byte(p.key))
			wantAt(t, "Seek", k, v, p.key, p.value)
			if len(p.key) > 20 {
				k, v = c.Seek([]byte(p.key[:len(p.key)-1]))
				wantAt(t, "Seek a little before", k, v, p.key, p.value)
			}
		}
	})
}
