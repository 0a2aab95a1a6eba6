package mapleaf_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
)

// wantCount fails the test unless the bucket counts exactly want records.
func wantCount(t testing.TB, b *mapleaf.Bucket, want int) {
	t.Helper()
	if got := b.Count(); got != uint64(want) {
		t.Fatalf("Count is %d, want %d", got, want)
	}
}

// removeRange deletes the records from lo up to hi and returns how many.
func removeRange(t testing.TB, b *mapleaf.Bucket, lo, hi string) uint64 {
	t.Helper()
	n, err := b.DeleteRange([]byte(lo), []byte(hi))
	must(t, err)
	return n
}

// walkDelete walks over a bucket that holds names, and deletes those that del
// names inside the loop. It fails the test if the loop skips or repeats a record.
func walkDelete(
	t testing.TB, b *mapleaf.Bucket, back bool, names []string, del func(string) bool,
) {
	t.Helper()
	c := b.Cursor()
	first, next := c.First, c.Next
	if back {
		first, next = c.Last, c.Prev
		slices.Reverse(names)
	}
	i := 0
	for k, _ := first(); k != nil; k, _ = next() {
		if i >= len(names) || string(k) != names[i] {
			t.Fatalf("step %d of %d of a loop that deletes is at %.30q", i, len(names), k)
		}
		if del(names[i]) {
			must(t, c.Delete())
		}
		i++
	}
	if i != len(names) {
		t.Fatalf("a loop that deletes saw %d of %d records", i, len(names))
	}
}

// collect returns the keys of an iterator.
func collect(seq iter.Seq2[[]byte, []byte]) (keys []string) {
	for k := range seq {
		keys = append(keys, string(k))
	}
	return keys
}

func TestIterators(t *testing.T) {
	for _, n := range cursorSizes {
		inBoth(t, cursorBucket(t, n), func(t *testing.T, b *mapleaf.Bucket) {
			var all []string
			for i := range n {
				all = append(all, key8(2*i+1))
			}
			between := func(lo, hi string) []string {
				i, _ := slices.BinarySearch(all, lo)
				j, _ := slices.BinarySearch(all, hi)
				return all[i:max(i, j)]
			}
			same := func(what string, got, want []string) {
				t.Helper()
				if !slices.Equal(got, want) {
					t.Fatalf("%s over %d records gives %d, want %d", what, n, len(got), len(want))
				}
			}
			same("All", collect(b.All()), all)
			same("Range without bounds", collect(b.Range(nil, nil)), all)
			back := slices.Clone(all)
			slices.Reverse(back)
			same("Backward", collect(b.Backward()), back)
			for i := 0; i <= 2*n+2; i += max(1, n/9) {
				at := key8(i)
				same("Range from", collect(b.Range([]byte(at), nil)), between(at, "\xff"))
				same("Range to", collect(b.Range(nil, []byte(at))), between("", at))
				lo, hi := key8(i/2), key8(i)
				same("Range", collect(b.Range([]byte(lo), []byte(hi))), between(lo, hi))
				same("Range reversed", collect(b.Range([]byte(hi), []byte(lo))), between(hi, lo))
			}
			same("Range of nothing", collect(b.Range([]byte{}, []byte{})), nil)
			same("Prefix of all", collect(b.Prefix(nil)), all)
			same("Prefix", collect(b.Prefix([]byte("key-000001"))),
				between("key-000001", "key-000002"))
			same("Prefix of none", collect(b.Prefix([]byte("key-9"))), nil)
		})
	}
}

// TestPrefixOfFF looks for prefixes whose successor is not simply one byte larger.
func TestPrefixOfFF(t *testing.T) {
	db := openDB(t)
	keys := []string{"a", "a\xff", "a\xff\x00", "a\xff\xff", "b", "\xff", "\xff\x00", "\xff\xff\xff"}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for _, k := range keys {
			put(t, b, k, k)
		}
		return nil
	})
	inBoth(t, db, func(t *testing.T, b *mapleaf.Bucket) {
		for prefix, want := range map[string][]string{
			"a": keys[:4], "a\xff": keys[1:4], "a\xff\xff": keys[3:4], "\xff": keys[5:],
			"\xff\xff": keys[7:], "": keys,
		} {
			if got := collect(b.Prefix([]byte(prefix))); !slices.Equal(got, want) {
				t.Fatalf("prefix %q gives %q, want %q", prefix, got, want)
			}
		}
	})
}

func TestIteratorStops(t *testing.T) {
	inBoth(t, cursorBucket(t, 700), func(t *testing.T, b *mapleaf.Bucket) {
		for name, seq := range map[string]iter.Seq2[[]byte, []byte]{
			"All": b.All(), "Range": b.Range([]byte(key8(5)), []byte(key8(999))),
			"Prefix": b.Prefix([]byte("key")), "Backward": b.Backward(),
		} {
			for range 2 {
				n := 0
				for range seq {
					if n++; n == 7 {
						break
					}
				}
				if n != 7 {
					t.Fatalf("%s stops after %d records, and not after 7", name, n)
				}
			}
			next, stop := iter.Pull2(seq)
			for range 3 {
				if _, _, ok := next(); !ok {
					t.Fatalf("%s ends early under iter.Pull2", name)
				}
			}
			stop()
		}
	})
}

func TestIteratorBuckets(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		put(t, b, "1", "")
		mustBucket(t, b, "2")
		put(t, b, "3", "x")
		wantCount(t, b, 3)
		return nil
	})
	inBoth(t, db, func(t *testing.T, b *mapleaf.Bucket) {
		got := ""
		for k, v := range b.All() {
			got += fmt.Sprintf("%s:%t:%d ", k, v == nil, len(v))
		}
		if want := "1:false:0 2:true:0 3:false:1 "; got != want {
			t.Fatalf("All gives %s, want %s", got, want)
		}
		wantCount(t, b, 3)
	})
}

// TestWriteWhileIterating changes the bucket inside the loops over it.
func TestWriteWhileIterating(t *testing.T) {
	const n = 3000
	db := cursorBucket(t, n)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		i := 0
		for k, v := range b.All() {
			if string(k) != key8(2*i+1) || string(v) != fmt.Sprint("v", i) {
				t.Fatalf("step %d is at %q %q", i, k, v)
			}
			// Behind the place, at it and before it; never in front of it.
			put(t, b, "a"+string(k), "behind")
			put(t, b, string(k), "changed"+string(v))
			if i%3 == 0 {
				must(t, b.Delete(k))
			}
			i++
		}
		if i != n {
			t.Fatalf("the loop saw %d of %d records", i, n)
		}
		wantCount(t, b, n+n-n/3)
		i = n
		for k := range b.Backward() {
			if string(k) < "b" {
				break
			}
			if i--; i%3 == 0 {
				i--
			}
			if string(k) != key8(2*i+1) {
				t.Fatalf("backward at record %d: %q", i, k)
			}
			put(t, b, "z"+string(k), "in front")
			if i%2 == 0 {
				must(t, b.Delete(k))
			}
		}
		return nil
	})
}

// TestDeleteInLoops deletes every record, every other, or blocks of records, in
// loops in both directions.
func TestDeleteInLoops(t *testing.T) {
	const n = 3000
	for name, del := range map[string]func(i int) bool{
		"all": func(int) bool { return true }, "none": func(int) bool { return false },
		"even": func(i int) bool { return i%2 == 0 }, "odd": func(i int) bool { return i%2 == 1 },
		"blocks": func(i int) bool { return i/200%2 == 0 },
		"most":   func(i int) bool { return i%97 != 0 },
		"ends":   func(i int) bool { return i < 500 || i > n-500 },
	} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprint(name, back), func(t *testing.T) {
				db := cursorBucket(t, n)
				var names, left []string
				index := map[string]int{}
				for i := range n {
					names, index[key8(2*i+1)] = append(names, key8(2*i+1)), i
					if !del(i) {
						left = append(left, key8(2*i+1))
					}
				}
				db.MustUpdate(func(tx *mapleaf.Tx) error {
					b := tx.Bucket([]byte("b"))
					walkDelete(t, b, back, names, func(k string) bool { return del(index[k]) })
					wantCount(t, b, len(left))
					return nil
				})
				inBoth(t, db, func(t *testing.T, b *mapleaf.Bucket) {
					if got := collect(b.All()); !slices.Equal(got, left) {
						t.Fatalf("%d records are left, want %d", len(got), len(left))
					}
				})
			})
		}
	}
}

// TestCursorUnset deletes where there is no record.
func TestCursorUnset(t *testing.T) {
	db := cursorBucket(t, 10)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		c := b.Cursor()
		wantErr(t, "delete by a fresh cursor", c.Delete(), mapleaf.ErrCursorUnset)
		c.First()
		must(t, c.Delete())
		wantErr(t, "delete twice", c.Delete(), mapleaf.ErrCursorUnset)
		if k, _ := c.Next(); string(k) != key8(3) {
			t.Fatalf("after a delete, Next is at %q", k)
		}
		must(t, c.Delete())
		c.Seek([]byte("z"))
		wantErr(t, "delete behind the end", c.Delete(), mapleaf.ErrCursorUnset)
		wantCount(t, b, 8)
		empty := mustBucket(t, b, "empty").Cursor()
		empty.First()
		wantErr(t, "delete in an empty bucket", empty.Delete(), mapleaf.ErrCursorUnset)
		return nil
	})
}

func TestDeleteRange(t *testing.T) {
	const n = 4000
	for _, c := range []struct{ lo, hi int }{
		{0, 0}, {0, 1}, {0, 2 * n}, {1, 2}, {100, 101}, {101, 102}, {0, n}, {n, 2*n + 1},
		{777, 3333}, {3, 2*n - 2}, {500, 400},
	} {
		db := cursorBucket(t, n)
		var left []string
		for i := range n {
			if k := 2*i + 1; k < c.lo || k >= c.hi {
				left = append(left, key8(k))
			}
		}
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			if got := removeRange(t, b, key8(c.lo), key8(c.hi)); got != uint64(n-len(left)) {
				t.Fatalf("range %v: %d records deleted, want %d", c, got, n-len(left))
			}
			wantCount(t, b, len(left))
			return nil
		})
		inBoth(t, db, func(t *testing.T, b *mapleaf.Bucket) {
			if got := collect(b.All()); !slices.Equal(got, left) {
				t.Fatalf("range %v leaves %d records, want %d", c, len(got), len(left))
			}
		})
	}
}

func TestDeleteRangeBounds(t *testing.T) {
	const n = 1000
	db := cursorBucket(t, n)
	undo := errors.New("undo")
	try := func(lo, hi []byte, want int) {
		t.Helper()
		err := db.Update(func(tx *mapleaf.Tx) error {
			got, err := tx.Bucket([]byte("b")).DeleteRange(lo, hi)
			must(t, err)
			if got != uint64(want) {
				t.Fatalf("range %q to %q: %d records deleted, want %d", lo, hi, got, want)
			}
			return undo
		})
		wantErr(t, "update", err, undo)
	}
	try(nil, nil, n)
	try(nil, []byte(key8(101)), 50)
	try([]byte(key8(1001)), nil, 500)
	try([]byte{}, []byte{}, 0)
	try([]byte(key8(1)), []byte(key8(1)), 0)
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		wantCount(t, b, n)
		_, err := b.DeleteRange(nil, nil)
		wantErr(t, "DeleteRange", err, mapleaf.ErrTxNotWritable)
		return nil
	})
}

// TestDeleteRangeFreesEverything deletes sub-buckets and large values by range.
func TestDeleteRangeFreesEverything(t *testing.T) {
	db := openDB(t, noSync)
	build := func() (size int64) {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			for i := range 20 {
				fill(t, mustBucket(t, mustBucket(t, b, fmt.Sprint("sub", i)), "deep"), 200, 100)
				must(t, b.Put([]byte(fmt.Sprint("large", i)), value(i, 50_000)))
			}
			return nil
		})
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			wantCount(t, b, 40)
			if got := removeRange(t, b, "a", "z"); got != 40 {
				t.Fatalf("%d records deleted, want 40", got)
			}
			wantPairs(t, b, nil)
			if b.Bucket([]byte("sub1")) != nil {
				t.Fatal("a deleted sub-bucket opens")
			}
			size = tx.Size()
			return nil
		})
		return size
	}
	first := build()
	for range 5 {
		if got := build(); got > 2*first+1<<20 {
			t.Fatalf("the same data again took the file from %d to %d bytes", first, got)
		}
	}
}
