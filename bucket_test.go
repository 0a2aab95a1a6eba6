package mapleaf_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
)

func TestBucketGet(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		mustBucket(t, b, "sub")
		put(t, b, "k", "v")
		wantGet(t, b, "k", "v")
		wantNone(t, b, "missing")
		wantNone(t, b, "")
		wantNone(t, b, "sub")
		if got := b.Get(nil); got != nil {
			t.Fatalf("get nil: %q", got)
		}
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		wantGet(t, b, "k", "v")
		wantNone(t, b, "missing")
		wantNone(t, b, "sub")
		v := b.Get([]byte("k"))
		if cap(v) != len(v) {
			t.Fatalf("a value of %d bytes has capacity %d", len(v), cap(v))
		}
		return nil
	})
}

func TestBucketPutErrors(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		mustBucket(t, b, "sub")
		wantErr(t, "put nil key", b.Put(nil, []byte("v")), mapleaf.ErrKeyRequired)
		wantErr(t, "put empty key", b.Put([]byte{}, []byte("v")), mapleaf.ErrKeyRequired)
		wantErr(t, "put over a bucket", b.Put([]byte("sub"), []byte("v")),
			mapleaf.ErrIncompatibleValue)
		wantErr(t, "delete a bucket as a key", b.Delete([]byte("sub")),
			mapleaf.ErrIncompatibleValue)
		must(t, b.Delete([]byte("missing")))
		must(t, b.Delete(nil))
		wantPairs(t, b, []pair{{key: "sub", bucket: true}})
		return nil
	})
}

func TestBucketOverwrite(t *testing.T) {
	db := openDB(t)
	sizes := []int{0, 1, 100, 900, 1024, 1100, 4000, 4096, 5000, 70_000, 3, 0, 300_000, 8}
	for i, size := range sizes {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			put(t, b, "before", "x")
			must(t, b.Put([]byte("k"), value(i, size)))
			put(t, b, "zbehind", "y")
			wantGet(t, b, "k", string(value(i, size)))
			return nil
		})
		db.MustView(func(tx *mapleaf.Tx) error {
			wantPairs(t, tx.Bucket([]byte("b")), []pair{
				{key: "before", value: "x"},
				{key: "k", value: string(value(i, size))},
				{key: "zbehind", value: "y"},
			})
			return nil
		})
	}
}

func TestBucketDelete(t *testing.T) {
	const n = 3000
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), n, 40)
		return nil
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := 0; i < n; i += 2 {
			must(t, b.Delete([]byte(key8(i))))
			wantNone(t, b, key8(i))
		}
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := range n {
			if i%2 == 0 {
				wantNone(t, b, key8(i))
			} else {
				wantGet(t, b, key8(i), string(value(i, 40)))
			}
		}
		if got := len(pairs(t, b)); got != n/2 {
			t.Fatalf("%d records are left, want %d", got, n/2)
		}
		return nil
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := 1; i < n; i += 2 {
			must(t, b.Delete([]byte(key8(i))))
		}
		wantPairs(t, b, nil)
		return nil
	})
	db.Reopen()
	db.MustView(func(tx *mapleaf.Tx) error {
		wantPairs(t, tx.Bucket([]byte("b")), nil)
		return nil
	})
}

func TestCreateBucketErrors(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		put(t, b, "key", "v")
		mustBucket(t, b, "sub")
		_, err := tx.CreateBucket([]byte("b"))
		wantErr(t, "create a bucket twice", err, mapleaf.ErrBucketExists)
		_, err = tx.CreateBucket(nil)
		wantErr(t, "create a bucket without a name", err, mapleaf.ErrBucketNameRequired)
		_, err = tx.CreateBucketIfNotExists([]byte{})
		wantErr(t, "create a bucket with an empty name", err, mapleaf.ErrBucketNameRequired)
		_, err = b.CreateBucket([]byte("sub"))
		wantErr(t, "create a sub-bucket twice", err, mapleaf.ErrBucketExists)
		_, err = b.CreateBucket([]byte("key"))
		wantErr(t, "create a bucket over a key", err, mapleaf.ErrIncompatibleValue)
		_, err = b.CreateBucketIfNotExists([]byte("key"))
		wantErr(t, "ensure a bucket over a key", err, mapleaf.ErrIncompatibleValue)
		wantErr(t, "delete a key as a bucket", b.DeleteBucket([]byte("key")),
			mapleaf.ErrIncompatibleValue)
		wantErr(t, "delete a missing bucket", b.DeleteBucket([]byte("none")),
			mapleaf.ErrBucketNotFound)
		wantErr(t, "delete a missing bucket", tx.DeleteBucket([]byte("none")),
			mapleaf.ErrBucketNotFound)
		if b.Bucket([]byte("key")) != nil {
			t.Fatal("a key opens as a bucket")
		}
		if b.Bucket([]byte("none")) != nil || tx.Bucket([]byte("none")) != nil {
			t.Fatal("a missing bucket opens")
		}
		wantPairs(t, b, []pair{{key: "key", value: "v"}, {key: "sub", bucket: true}})
		return nil
	})
}

func TestCreateBucketIfNotExists(t *testing.T) {
	db := openDB(t)
	for round := range 3 {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			again, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			put(t, b, fmt.Sprint(round), "x")
			wantGet(t, again, fmt.Sprint(round), "x")
			if got := len(pairs(t, b)); got != round+1 {
				t.Fatalf("%d records in round %d", got, round)
			}
			return nil
		})
	}
}

func TestBucketHandlesAgree(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		a := mustBucket(t, tx, "a")
		first, second := mustBucket(t, a, "sub"), a.Bucket([]byte("sub"))
		put(t, first, "1", "one")
		wantGet(t, second, "1", "one")
		put(t, second, "2", "two")
		wantGet(t, first, "2", "two")
		fill(t, second, 2000, 30)
		wantGet(t, first, key8(1999), string(value(1999, 30)))
		must(t, first.SetSequence(7))
		if got := second.Sequence(); got != 7 {
			t.Fatalf("sequence %d through the other handle, want 7", got)
		}
		return nil
	})
}

func TestNestedDepth(t *testing.T) {
	const depth = 50
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "level-00")
		for i := 1; i <= depth; i++ {
			put(t, b, "here", fmt.Sprint(i-1))
			must(t, b.SetSequence(uint64(i)))
			if i < depth {
				b = mustBucket(t, b, fmt.Sprintf("level-%02d", i))
			}
		}
		return nil
	})
	db.Reopen()
	visit := func(tx *mapleaf.Tx, fn func(level int, b *mapleaf.Bucket)) {
		b := tx.Bucket([]byte("level-00"))
		for i := 1; i <= depth; i++ {
			if b == nil {
				t.Fatalf("no bucket at level %d", i-1)
			}
			fn(i-1, b)
			b = b.Bucket([]byte(fmt.Sprintf("level-%02d", i)))
		}
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		visit(tx, func(level int, b *mapleaf.Bucket) {
			wantGet(t, b, "here", fmt.Sprint(level))
			put(t, b, "big", strings.Repeat("x", 100*level))
		})
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		visit(tx, func(level int, b *mapleaf.Bucket) {
			wantGet(t, b, "here", fmt.Sprint(level))
			wantGet(t, b, "big", strings.Repeat("x", 100*level))
			if got := b.Sequence(); got != uint64(level+1) {
				t.Fatalf("sequence at level %d is %d", level, got)
			}
		})
		return nil
	})
	db.Check()
	db.MustUpdate(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("level-00")) })
}

func TestManySmallBuckets(t *testing.T) {
	const n = 1500
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		for i := range n {
			b := mustBucket(t, tx, key8(i))
			put(t, b, "k", key8(i))
			put(t, mustBucket(t, b, "sub"), "k", "deep"+key8(i))
		}
		return nil
	})
	db.Reopen()
	db.MustView(func(tx *mapleaf.Tx) error {
		i := 0
		must(t, tx.ForEach(func(name []byte, b *mapleaf.Bucket) error {
			if string(name) != key8(i) {
				return fmt.Errorf("bucket %d is %q", i, name)
			}
			wantGet(t, b, "k", key8(i))
			wantGet(t, b.Bucket([]byte("sub")), "k", "deep"+key8(i))
			i++
			return nil
		}))
		if i != n {
			t.Fatalf("%d buckets, want %d", i, n)
		}
		return nil
	})
}

func TestDeleteBucketFreesEverything(t *testing.T) {
	db := openDB(t, noSync)
	build := func() {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := mustBucket(t, tx, "b")
			fill(t, b, 2000, 100)
			sub := mustBucket(t, b, "sub")
			fill(t, sub, 2000, 100)
			must(t, sub.Put([]byte("large"), value(1, 200_000)))
			fill(t, mustBucket(t, sub, "deeper"), 500, 2000)
			return nil
		})
	}
	size := func() (n int64) {
		db.MustView(func(tx *mapleaf.Tx) error { n = tx.Size(); return nil })
		return n
	}
	build()
	first := size()
	for range 6 {
		db.MustUpdate(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("b")) })
		db.MustView(func(tx *mapleaf.Tx) error {
			if tx.Bucket([]byte("b")) != nil {
				t.Fatal("the deleted bucket opens")
			}
			return nil
		})
		build()
	}
	if got := size(); got > 2*first+1<<20 {
		t.Fatalf("six rounds of the same data grew the file from %d to %d bytes", first, got)
	}
}

func TestDeleteAndCreateAgain(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		put(t, b, "old", "x")
		must(t, b.SetSequence(9))
		must(t, tx.DeleteBucket([]byte("b")))
		if tx.Bucket([]byte("b")) != nil {
			t.Fatal("the deleted bucket opens")
		}
		again := mustBucket(t, tx, "b")
		wantPairs(t, again, nil)
		if got := again.Sequence(); got != 0 {
			t.Fatalf("a new bucket begins at sequence %d", got)
		}
		put(t, again, "new", "y")
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		wantPairs(t, tx.Bucket([]byte("b")), []pair{{key: "new", value: "y"}})
		return nil
	})
}

func TestSequence(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		sub := mustBucket(t, b, "sub")
		for i := uint64(1); i <= 3; i++ {
			got, err := b.NextSequence()
			if err != nil || got != i || b.Sequence() != i {
				t.Fatalf("sequence %d, then %d (%v), want %d", got, b.Sequence(), err, i)
			}
		}
		if got := sub.Sequence(); got != 0 {
			t.Fatalf("a sub-bucket has its parent's sequence %d", got)
		}
		return sub.SetSequence(1<<64 - 2)
	})
	db.Reopen()
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		if got := b.Sequence(); got != 3 {
			t.Fatalf("sequence %d after reopening, want 3", got)
		}
		got, err := b.Bucket([]byte("sub")).NextSequence()
		if err != nil || got != 1<<64-1 {
			t.Fatalf("sequence %d (%v), want the largest number", got, err)
		}
		return nil
	})
	fail := errors.New("undo")
	err := db.Update(func(tx *mapleaf.Tx) error {
		must(t, tx.Bucket([]byte("b")).SetSequence(100))
		return fail
	})
	wantErr(t, "update", err, fail)
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		if got := b.Sequence(); got != 3 {
			t.Fatalf("sequence %d after a rollback, want 3", got)
		}
		_, err := b.NextSequence()
		wantErr(t, "NextSequence", err, mapleaf.ErrTxNotWritable)
		wantErr(t, "SetSequence", b.SetSequence(1), mapleaf.ErrTxNotWritable)
		return nil
	})
}

func TestForEach(t *testing.T) {
	db := openDB(t)
	names := []string{"\x00", "\x00\x00", "A", "a", "aa", "b", "z\xff", "\xff", "\xff\xff"}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for i, name := range slices.Backward(names) {
			if i%3 == 0 {
				mustBucket(t, b, name)
			} else {
				put(t, b, name, "v"+name)
			}
		}
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		var want []pair
		var buckets, got []string
		for i, name := range names {
			if i%3 == 0 {
				want = append(want, pair{key: name, bucket: true})
				buckets = append(buckets, name)
			} else {
				want = append(want, pair{key: name, value: "v" + name})
			}
		}
		wantPairs(t, b, want)
		must(t, b.ForEachBucket(func(k []byte) error {
			got = append(got, string(k))
			return nil
		}))
		if !slices.Equal(got, buckets) {
			t.Fatalf("ForEachBucket gives %q, want %q", got, buckets)
		}
		return nil
	})
}

func TestForEachStops(t *testing.T) {
	db := openDB(t)
	stop := errors.New("stop")
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for i := range 10 {
			put(t, b, fmt.Sprint("k", i), "v")
			mustBucket(t, b, fmt.Sprint("b", i))
		}
		mustBucket(t, tx, "c")
		calls := 0
		count := func() error {
			if calls++; calls == 3 {
				return stop
			}
			return nil
		}
		err := b.ForEach(func(_, _ []byte) error { return count() })
		if err != stop || calls != 3 {
			t.Fatalf("ForEach: %v after %d calls", err, calls)
		}
		calls = 0
		err = b.ForEachBucket(func([]byte) error { return count() })
		if err != stop || calls != 3 {
			t.Fatalf("ForEachBucket: %v after %d calls", err, calls)
		}
		calls = 1
		err = tx.ForEach(func([]byte, *mapleaf.Bucket) error { return count() })
		if err != stop || calls != 3 {
			t.Fatalf("Tx.ForEach: %v after %d calls", err, calls)
		}
		return nil
	})
}

func TestBucketAccessors(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		if b.Tx() != tx || !b.Writable() {
			t.Fatal("the bucket does not know its transaction")
		}
		if b.FillPercent != mapleaf.DefaultFillPercent {
			t.Fatalf("FillPercent is %v", b.FillPercent)
		}
		b.FillPercent = 0.9
		fill(t, b, 5000, 20)
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		if b.Tx() != tx || b.Writable() {
			t.Fatal("the bucket does not know its transaction")
		}
		if b.Root() == 0 {
			t.Fatal("a bucket with 5000 records has no page of its own")
		}
		wantFilled(t, b, 5000, 20)
		return nil
	})
}

func TestReadOnlyBucketWrites(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		put(t, b, "k", "v")
		mustBucket(t, b, "sub")
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		b, ro := tx.Bucket([]byte("b")), mapleaf.ErrTxNotWritable
		wantErr(t, "Put", b.Put([]byte("k"), nil), ro)
		wantErr(t, "Delete", b.Delete([]byte("k")), ro)
		wantErr(t, "DeleteBucket", b.DeleteBucket([]byte("sub")), ro)
		wantErr(t, "MoveBucket", b.MoveBucket([]byte("sub"), b.Bucket([]byte("sub"))), ro)
		_, err := b.CreateBucket([]byte("x"))
		wantErr(t, "CreateBucket", err, ro)
		_, err = b.CreateBucketIfNotExists([]byte("sub"))
		wantErr(t, "CreateBucketIfNotExists", err, ro)
		_, err = tx.CreateBucket([]byte("x"))
		wantErr(t, "Tx.CreateBucket", err, ro)
		_, err = tx.CreateBucketIfNotExists([]byte("b"))
		wantErr(t, "Tx.CreateBucketIfNotExists", err, ro)
		wantErr(t, "Tx.DeleteBucket", tx.DeleteBucket([]byte("b")), ro)
		wantErr(t, "Tx.MoveBucket", tx.MoveBucket([]byte("sub"), b, nil), ro)
		c := b.Cursor()
		c.First()
		wantErr(t, "Cursor.Delete", c.Delete(), ro)
		wantErr(t, "Commit", tx.Bucket([]byte("b")).SetSequence(2), ro)
		return nil
	})
}

func TestInspect(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		put(t, b, "1", "x")
		put(t, b, "2", "x")
		put(t, mustBucket(t, b, "sub"), "3", "x")
		mustBucket(t, tx, "a")
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		want := "{root 0 [{a 0 []} {b 2 [{sub 1 []}]}]}"
		if got := fmt.Sprint(tx.Inspect()); got != want {
			t.Fatalf("Tx.Inspect: %s, want %s", got, want)
		}
		want = "{root 2 [{sub 1 []}]}"
		if got := fmt.Sprint(tx.Bucket([]byte("b")).Inspect()); got != want {
			t.Fatalf("Bucket.Inspect: %s, want %s", got, want)
		}
		return nil
	})
}

// TestLongPrefixes puts keys that differ only far behind their beginning, and
// keys that are prefixes of each other.
func TestLongPrefixes(t *testing.T) {
	db := openDB(t, noSync)
	var keys []string
	for _, n := range []int{1, 3, 4, 5, 60, 400, 3000} {
		prefix := strings.Repeat("p", n)
		for i := range 40 {
			keys = append(keys, fmt.Sprintf("%s/%03d", prefix, i))
		}
		keys = append(keys, prefix)
	}
	for i := range 12 {
		keys = append(keys, "zero"+strings.Repeat("\x00", i))
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for i := range keys {
			put(t, b, keys[(i*101)%len(keys)], keys[(i*101)%len(keys)])
		}
		return nil
	})
	slices.Sort(keys)
	db.MustView(func(tx *mapleaf.Tx) error {
		b, i := tx.Bucket([]byte("b")), 0
		must(t, b.ForEach(func(k, v []byte) error {
			if string(k) != keys[i] || !bytes.Equal(k, v) {
				return fmt.Errorf("record %d: key of %d bytes", i, len(k))
			}
			i++
			return nil
		}))
		for _, k := range keys {
			wantGet(t, b, k, k)
			wantNone(t, b, k+"\x01")
		}
		return nil
	})
}
