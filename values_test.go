package mapleaf_test

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
	"github.com/mapleafdb/mapleaf/internal/invariant"
)

// TestEmptyValues tells an empty value from a missing key, in every state.
func TestEmptyValues(t *testing.T) {
	db := openDB(t)
	look := func(tx *mapleaf.Tx) {
		b := tx.Bucket([]byte("b"))
		for _, key := range []string{"empty", "nil"} {
			if v := b.Get([]byte(key)); v == nil || len(v) != 0 {
				t.Fatalf("the value of %s is %v, want empty and not nil", key, v)
			}
			if k, v := b.Cursor().Seek([]byte(key)); string(k) != key || v == nil || len(v) != 0 {
				t.Fatalf("a cursor shows %s as %q %v", key, k, v)
			}
		}
		wantNone(t, b, "missing")
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		must(t, b.Put([]byte("empty"), []byte{}))
		must(t, b.Put([]byte("nil"), nil))
		look(tx)
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error { look(tx); return nil })
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, tx.Bucket([]byte("b")), 2000, 0)
		look(tx)
		return nil
	})
	db.Reopen()
	db.MustView(func(tx *mapleaf.Tx) error { look(tx); return nil })
}

// TestBuffersAreCopied reuses the same two buffers for every call.
func TestBuffersAreCopied(t *testing.T) {
	const n = 3000
	db := openDB(t, noSync)
	key, val := make([]byte, 0, 64), make([]byte, 0, 8<<10)
	size := func(i int) int { return []int{0, 10, 200, 1500, 6000}[i%5] }
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		key = append(key[:0], "bucket"...)
		b, err := tx.CreateBucket(key)
		must(t, err)
		key = append(key[:0], "xxxxxx"...)
		for i := range n {
			key = append(key[:0], key8(i*7%n)...)
			val = append(val[:0], value(i*7%n, size(i*7%n))...)
			must(t, b.Put(key, val))
			clear(key)
			clear(val)
		}
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("bucket"))
		for i := range n {
			wantGet(t, b, key8(i), string(value(i, size(i))))
		}
		return nil
	})
}

// held is a slice that a transaction gave out, and what it must go on holding.
type held struct {
	got  []byte
	want string
}

// TestBytesStayInWriter changes everything around slices that the same write
// transaction has given out, which must not change until it ends.
func TestBytesStayInWriter(t *testing.T) {
	for stream := range uint64(4) {
		rng := dbtest.Rand(t, stream)
		db := openDB(t, noSync)
		sizes := func(i int) int { return []int{3, 40, 900, 3000, 20_000}[i%5] }
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := mustBucket(t, tx, "b")
			for i := range 800 {
				must(t, b.Put([]byte(key8(i)), value(i, sizes(i))))
			}
			return nil
		})
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			var all []held
			hold := func(p []byte) { all = append(all, held{p, string(p)}) }
			c := b.Cursor()
			for range 6000 {
				i := rng.IntN(1200)
				key := []byte(key8(i))
				switch rng.IntN(6) {
				case 0:
					hold(b.Get(key))
				case 1:
					k, v := c.Seek(key)
					hold(k)
					hold(v)
				case 2:
					k, v := c.Next()
					hold(k)
					hold(v)
				case 3:
					must(t, b.Delete(key))
				default:
					must(t, b.Put(key, value(rng.IntN(1000), sizes(rng.IntN(5)))))
				}
			}
			removeRange(t, b, key8(0), key8(600))
			for j, h := range all {
				if string(h.got) != h.want {
					t.Fatalf("slice %d of %d changed before the transaction ended", j, len(all))
				}
			}
			return nil
		})
	}
}

// TestValuesAreNotCopied reads a large value twice, at one address.
func TestValuesAreNotCopied(t *testing.T) {
	db := openDB(t, noSync)
	large := value(5, 1<<20)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		return mustBucket(t, tx, "b").Put([]byte("large"), large)
	})
	at := func(tx *mapleaf.Tx) uintptr {
		v := tx.Bucket([]byte("b")).Get([]byte("large"))
		if !bytes.Equal(v, large) || cap(v) != len(v) {
			t.Fatalf("the value has %d bytes of %d", len(v), cap(v))
		}
		return uintptr(unsafe.Pointer(unsafe.SliceData(v)))
	}
	db.MustView(func(tx *mapleaf.Tx) error {
		if first, second := at(tx), at(tx); first != second {
			t.Fatalf("a value is at %#x and then at %#x", first, second)
		}
		b := tx.Bucket([]byte("b"))
		key := []byte("large")
		if n := testing.AllocsPerRun(100, func() { b.Get(key) }); n != 0 {
			t.Fatalf("reading a value of 1 MiB allocates %.1f times", n)
		}
		return nil
	})
}

// TestReadAllocations counts what a read transaction of its own costs.
func TestReadAllocations(t *testing.T) {
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 3000, 100)
		return nil
	})
	name, key := []byte("b"), []byte(key8(1500))
	read := func(tx *mapleaf.Tx) error {
		if tx.Bucket(name).Get(key) == nil {
			return fmt.Errorf("the key is missing")
		}
		return nil
	}
	limit := 2.0
	if invariant.Enabled { // which keeps the stack of whoever begins
		limit = 6
	}
	n := testing.AllocsPerRun(500, func() { must(t, db.View(read)) })
	if n > limit {
		t.Fatalf("View with one Get allocates %.1f times, at most %.0f are allowed", n, limit)
	}
}

// TestLargeValueStays changes the neighbours of a large value: its bytes are not
// written again, so that little is written.
func TestLargeValueStays(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		must(t, b.Put([]byte("large"), value(1, 8<<20)))
		fill(t, b, 50, 50)
		return nil
	})
	before := db.Stats()
	for i := range 20 {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			return tx.Bucket([]byte("b")).Put([]byte(key8(i)), value(i, 60))
		})
	}
	now := db.Stats()
	diff := now.Sub(&before)
	if got := diff.TxStats.GetPageAlloc(); got > 8<<20 {
		t.Fatalf("20 small puts beside a value of 8 MiB allocated %d bytes", got)
	}
}

// TestReadPastReservation reads pages for the first time in a transaction that has
// already allocated more than the mapping reserves behind the end of the file.
func TestReadPastReservation(t *testing.T) {
	const count, reserved = 2000, 64 << 20
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), count, 100)
		return nil
	})
	db.Reopen()
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		large := mustBucket(t, tx, "large")
		must(t, large.Put([]byte("value"), make([]byte, reserved)))
		wantFilled(t, tx.Bucket([]byte("b")), count, 100)
		return large.Delete([]byte("value"))
	})
}

// TestTwiceTheSame puts a record that is there already.
func TestTwiceTheSame(t *testing.T) {
	db := openDB(t)
	for range 3 {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			fill(t, b, 500, 100)
			must(t, b.Put([]byte("z"), value(1, 10_000)))
			wantCount(t, b, 501)
			return nil
		})
	}
}

// TestPutOwnBytes puts keys and values that the same transaction has given out,
// and which lie in the pages that the put changes.
func TestPutOwnBytes(t *testing.T) {
	for stream := range uint64(6) {
		rng := dbtest.Rand(t, stream)
		db := openDB(t, noSync)
		fixed := stream%3 == 2
		size := func() int {
			if fixed {
				return 8
			}
			return rng.IntN(700) * (1 + rng.IntN(2)*rng.IntN(2)*10)
		}
		want := map[string]string{}
		for range 4 {
			db.MustUpdate(func(tx *mapleaf.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("b"))
				must(t, err)
				c := b.Cursor()
				for range 700 {
					key := []byte(key8(rng.IntN(400))[8:])
					k, v := c.Seek([]byte(key8(rng.IntN(400))[8:]))
					switch rng.IntN(5) {
					case 0:
						v = value(rng.IntN(99), size())
					case 1:
						if len(k) > 1 && !fixed {
							key, v = k[:len(k)-1], k[1:]
						}
					case 2:
						if k != nil {
							must(t, b.Delete(k))
							delete(want, string(k))
							continue
						}
					}
					expect := string(v)
					must(t, b.Put(key, v))
					want[string(key)] = expect
				}
				return nil
			})
			db.MustView(func(tx *mapleaf.Tx) error {
				b := tx.Bucket([]byte("b"))
				wantCount(t, b, len(want))
				for k, v := range b.All() {
					if want[string(k)] != string(v) {
						t.Fatalf("%q has %d bytes, want %d", k, len(v), len(want[string(k)]))
					}
				}
				return nil
			})
		}
	}
}
