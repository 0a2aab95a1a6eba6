package mapleaf_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
)

// hugeValues needs some 10 GB of memory and disk: go test -run TestBigValue . -args -huge
var hugeValues = flag.Bool("huge", false, "also test the largest value, of almost 2 GiB")

func TestKeyLimits(t *testing.T) {
	if mapleaf.MaxKeySize != 32768 || mapleaf.MaxValueSize != math.MaxInt32-1 {
		t.Fatalf("limits are %d and %d", mapleaf.MaxKeySize, int64(mapleaf.MaxValueSize))
	}
	db := openDB(t)
	sizes := []int{1, 2, 3, 4, 5, 255, 256, 257, 1000, 1023, 1024, 1025, 2047, 4095, 4096, 4097,
		8192, 16384, 32767, 32768}
	key := func(size int) []byte { return bytes.Repeat([]byte{'k'}, size) }
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for _, size := range sizes {
			if err := b.Put(key(size), value(size, 10)); err != nil {
				t.Fatalf("key of %d bytes: %v", size, err)
			}
		}
		for _, size := range []int{32769, 32770, 65536, 1 << 20} {
			wantErr(t, fmt.Sprintf("key of %d bytes", size), b.Put(key(size), nil),
				mapleaf.ErrKeyTooLarge)
		}
		wantErr(t, "key of 0 bytes", b.Put(nil, nil), mapleaf.ErrKeyRequired)
		return nil
	})
	db.Reopen()
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		i := 0
		must(t, b.ForEach(func(k, v []byte) error {
			if !bytes.Equal(k, key(sizes[i])) || !bytes.Equal(v, value(sizes[i], 10)) {
				return fmt.Errorf("record %d has a key of %d bytes", i, len(k))
			}
			i++
			return nil
		}))
		for _, size := range sizes {
			wantGet(t, b, string(key(size)), string(value(size, 10)))
			must(t, b.Delete(key(size)))
		}
		wantPairs(t, b, nil)
		return nil
	})
}

func TestLongBucketNames(t *testing.T) {
	db := openDB(t)
	names := []string{
		strings.Repeat("n", 1500), strings.Repeat("n", 4096), strings.Repeat("m", 32768),
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		for _, name := range names {
			fill(t, mustBucket(t, mustBucket(t, tx, name), name), 100, 100)
		}
		return nil
	})
	db.Reopen()
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		for _, name := range names {
			wantFilled(t, tx.Bucket([]byte(name)).Bucket([]byte(name)), 100, 100)
			must(t, tx.DeleteBucket([]byte(name)))
		}
		return nil
	})
}

func TestValueSizes(t *testing.T) {
	db := openDB(t, noSync)
	sizes := []int{0, 1, 2, 127, 128, 500, 1000, 1023, 1024, 1025, 2048, 4063, 4064, 4065, 4096,
		8160, 8192, 65535, 65536, 65537, 1 << 20, 5_000_000}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for _, size := range sizes {
			must(t, b.Put([]byte(key8(size)), value(size, size)))
		}
		for _, size := range sizes {
			wantGet(t, b, key8(size), string(value(size, size)))
		}
		return nil
	})
	db.Reopen()
	db.MustView(func(tx *mapleaf.Tx) error {
		for _, size := range sizes {
			wantGet(t, tx.Bucket([]byte("b")), key8(size), string(value(size, size)))
		}
		return nil
	})
}

// TestBigValue puts, reads, replaces and deletes a value of 64 MiB, or of 4 MiB
// with -short. With the flag -huge it does the same with the largest value.
func TestBigValue(t *testing.T) {
	size := 64 << 20
	if testing.Short() {
		size = 4 << 20
	}
	bigValue(t, size)
	if *hugeValues {
		bigValue(t, mapleaf.MaxValueSize)
	}
}

// bigValue runs one value of size bytes through its life.

func bigValue(t *testing.T, size int) {
	t.Helper()
	db := openDB(t, noSync)
	big := value(7, size)
	for round := range 2 {
		big[size-1] = byte(round)
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			must(t, b.Put([]byte("big"), big))
			return b.Put([]byte("small"), []byte("s"))
		})
		db.MustView(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			if got := b.Get([]byte("big")); !bytes.Equal(got, big) {
				t.Fatalf("round %d: the value of %d bytes came back with %d", round, size, len(got))
			}
			wantGet(t, b, "small", "s")
			return nil
		})
	}
	db.Check()
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		must(t, b.Delete([]byte("big")))
		wantPairs(t, b, []pair{{key: "small", value: "s"}})
		return nil
	})
}

// TestBucketDepthLimit nests buckets as deep as they go.
func TestBucketDepthLimit(t *testing.T) {
	const depth = 16384
	db := openDB(t, noSync)
	name := []byte("b")
	descend := func(tx *mapleaf.Tx) *mapleaf.Bucket {
		t.Helper()
		b := tx.Bucket(name)
		for i := 1; i < depth; i++ {
			if b = b.Bucket(name); b == nil {
				t.Fatalf("there is no bucket at depth %d", i)
			}
		}
		return b
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucket(name)
		must(t, err)
		for i := 1; i < depth; i++ {
			if b, err = b.CreateBucket(name); err != nil {
				t.Fatalf("bucket at depth %d: %v", i, err)
			}
		}
		_, err = b.CreateBucket(name)
		wantErr(t, "a bucket below the deepest", err, mapleaf.ErrBucketTooDeep)
		put(t, b, "k", "v")
		return nil
	})
	db.Reopen()
	db.MustView(func(tx *mapleaf.Tx) error {
		wantGet(t, descend(tx), "k", "v")
		s := tx.Inspect()
		for i := range depth {
			if len(s.Children) != 1 {
				t.Fatalf("Inspect ends at depth %d", i)
			}
			s = s.Children[0]
		}
		return nil
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		put(t, descend(tx), "k", "w")
		return nil
	})
	db.Check()
	db.MustUpdate(func(tx *mapleaf.Tx) error { return tx.DeleteBucket(name) })
}

// TestMoveTooDeep moves a deep tree of buckets below another, which is refused or
// leaves a sound database.
func TestMoveTooDeep(t *testing.T) {
	const depth = 10_000
	db := openDB(t, noSync)
	name := []byte("x")
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		for _, top := range []string{"a", "b"} {
			b := mustBucket(t, tx, top)
			for range depth {
				b = mustBucket(t, b, string(name))
			}
		}
		return nil
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("a"))
		for range depth {
			b = b.Bucket(name)
		}
		wantErr(t, "move a deep tree to a deep place", tx.MoveBucket([]byte("b"), nil, b),
			mapleaf.ErrBucketTooDeep)
		return nil
	})
	db.Check()
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		must(t, tx.MoveBucket([]byte("b"), nil, tx.Bucket([]byte("a"))))
		return tx.DeleteBucket([]byte("a"))
	})
}
