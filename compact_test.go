package mapleaf_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

func TestCompact(t *testing.T) {
	src := openDB(t, noSync)
	src.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		fill(t, b, 5000, 200)
		must(t, b.SetSequence(77))
		sub := mustBucket(t, b, "sub")
		must(t, sub.SetSequence(78))
		fill(t, mustBucket(t, sub, "deep"), 300, 50)
		must(t, sub.Put([]byte("large"), value(9, 100_000)))
		fill(t, mustBucket(t, tx, "gone"), 20_000, 100)
		return nil
	})
	src.MustUpdate(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("gone")) })
	for _, txMaxSize := range []int64{0, 1, 10_000, 1 << 30} {
		dst := openDB(t, noSync)
		must(t, mapleaf.Compact(dst.DB, src.DB, txMaxSize))
		var before, after int64
		src.MustView(func(tx *mapleaf.Tx) error { before = tx.Size(); return nil })
		dst.MustView(func(tx *mapleaf.Tx) error {
			after = tx.Size()
			if tx.Bucket([]byte("gone")) != nil {
				t.Fatal("a deleted bucket was copied")
			}
			b := tx.Bucket([]byte("b"))
			sub := b.Bucket([]byte("sub"))
			if b.Sequence() != 77 || sub.Sequence() != 78 {
				t.Fatalf("sequences %d and %d", b.Sequence(), sub.Sequence())
			}
			wantGet(t, b, key8(4999), string(value(4999, 200)))
			wantGet(t, sub, "large", string(value(9, 100_000)))
			wantFilled(t, sub.Bucket([]byte("deep")), 300, 50)
			return nil
		})
		if after >= before {
			t.Fatalf("compaction took the file from %d to %d bytes", before, after)
		}
		dst.Check()
	}
}

// mixed fills a bucket with runs of records of many forms, and with buckets between them,
// which it fills in the same way.
func mixed(t *testing.T, rng *rand.Rand, b *mapleaf.Bucket, levels int) {
	t.Helper()
	must(t, b.SetSequence(rng.Uint64N(100)))
	for i := range rng.IntN(12) {
		prefix := fmt.Sprintf("%02d", rng.IntN(100))
		if levels > 0 && i%3 == 0 {
			kid, err := b.CreateBucketIfNotExists([]byte(prefix + "bucket"))
			must(t, err)
			mixed(t, rng, kid, levels-1)
		}
		n, long, size := rng.IntN(300), rng.IntN(20), rng.IntN(200)
		if i%4 == 0 {
			n, long, size = rng.IntN(5), rng.IntN(4000), rng.IntN(50_000)
		}
		for j := range n {
			key := fmt.Sprintf("%s%04d%s", prefix, j, strings.Repeat("k", rng.IntN(long+1)))
			must(t, b.Put([]byte(key), value(i+j, rng.IntN(size+1))))
		}
	}
}

// listed appends what a bucket holds, and the buckets in it hold, in order.
func listed(list []pair, b *mapleaf.Bucket, path string) []pair {
	list = append(list, pair{path, fmt.Sprint("sequence ", b.Sequence()), true})
	for k, v := range b.All() {
		if v == nil {
			list = listed(list, b.Bucket(k), path+"/"+string(k))
		} else {
			list = append(list, pair{key: string(k), value: string(v)})
		}
	}
	return list
}

// contents returns what a database holds, in order.
func contents(t *testing.T, db *mapleaf.DB) (list []pair) {
	t.Helper()
	must(t, db.View(func(tx *mapleaf.Tx) error {
		return tx.ForEach(func(name []byte, b *mapleaf.Bucket) error {
			list = listed(list, b, string(name))
			return nil
		})
	}))
	return list
}

// transactions returns how many a copy of the list takes.
func transactions(list []pair, txMaxSize int64) (n int) {
	size := int64(0)
	for _, p := range list {
		more := int64(len(p.key) + len(p.value))
		if p.bucket {
			more = int64(len(p.key[strings.LastIndex(p.key, "/")+1:]))
		}
		if size += more; n == 0 || txMaxSize != 0 && size > txMaxSize {
			n, size = n+1, more
		}
	}
	return n
}

// A copy holds what its source does, and took as many transactions as was said, also
// where these write pages before they end.
func TestCompactCopies(t *testing.T) {
	rng := dbtest.Rand(t, 740)
	for i, txMaxSize := range []int64{0, 1, 700, 20_000, 300_000, 1 << 30} {
		src := openDB(t, noSync, pageSize(4096<<(i%3)))
		src.MustUpdate(func(tx *mapleaf.Tx) error {
			for _, name := range []string{"a", "empty", "z"} {
				b := mustBucket(t, tx, name)
				if name != "empty" {
					mixed(t, rng, b, 2)
				}
			}
			return nil
		})
		want := contents(t, src.DB)
		dst := openDB(t, noSync, func(o *mapleaf.Options) {
			o.PageSize = 4096 << rng.IntN(3)
			o.CheckpointBytes = []int{0, 64 << 10}[rng.IntN(2)]
		})
		id := func() (id int) {
			dst.MustView(func(tx *mapleaf.Tx) error { id = tx.ID(); return nil })
			return id
		}
		before := id()
		must(t, mapleaf.Compact(dst.DB, src.DB, txMaxSize))
		if n := id() - before; n != transactions(want, txMaxSize) {
			t.Errorf("txMaxSize %d: %d transactions, want %d", txMaxSize, n,
				transactions(want, txMaxSize))
		}
		if got := contents(t, dst.DB); !slices.Equal(got, want) {
			t.Errorf("txMaxSize %d: the copy differs: %d entries, want %d", txMaxSize,
				len(got), len(want))
		}
		dst.Check()
	}
}

// A copy of a damaged database ends with the damage, and does not pass for a whole one.
func TestCompactDamaged(t *testing.T) {
	rng := dbtest.Rand(t, 741)
	d := newDamageable(t, false)
	path := filepath.Join(t.TempDir(), "db")
	found := 0
	for range 40 {
		content := slices.Clone(d.content)
		page := 8 + rng.IntN(len(content)/d.pageSize-8)
		clear(content[page*d.pageSize:][:d.pageSize])
		must(t, os.WriteFile(path, content, 0o600))
		src, err := mapleaf.Open(path, 0o600, &mapleaf.Options{ReadOnly: true})
		must(t, err)
		for _, txMaxSize := range []int64{0, 5_000} {
			dst := openDB(t, noSync)
			err := mapleaf.Compact(dst.DB, src, txMaxSize)
			var corrupt *mapleaf.CorruptError
			switch {
			case err == nil:
				for name, want := range d.all() {
					dst.MustView(func(tx *mapleaf.Tx) error {
						wantPairs(t, bucketAt(tx, name), want)
						return nil
					})
				}
			case !errors.As(err, &corrupt):
				t.Errorf("page %d: %v", page, err)
			default:
				found++
				if n := len(contents(t, dst.DB)); txMaxSize == 0 && n > 0 {
					t.Errorf("page %d: %d entries were committed", page, n)
				}
			}
			dst.Shut()
		}
		must(t, src.Close())
	}
	if found == 0 {
		t.Error("no damage was met")
	}
}

// A copy that does not fit ends with the error, after what was committed until then.
func TestCompactTooLarge(t *testing.T) {
	src := openDB(t, noSync)
	src.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 50_000, 100)
		return nil
	})
	for _, txMaxSize := range []int64{0, 100_000} {
		dst := openDB(t, noSync)
		dst.MaxSize = 4 << 20
		wantErr(t, "Compact", mapleaf.Compact(dst.DB, src.DB, txMaxSize),
			mapleaf.ErrMaxSizeReached)
		if n := len(contents(t, dst.DB)); (n > 0) != (txMaxSize > 0) || n > 50_000 {
			t.Errorf("txMaxSize %d: there are %d entries", txMaxSize, n)
		}
		dst.Check()
	}
}

// Who deletes the bucket that is being filled, between two transactions, ends the copy.
func TestCompactLosesBucket(t *testing.T) {
	src, dst := openDB(t, noSync), openDB(t, noSync)
	src.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, mustBucket(t, tx, "b"), "kid")
		fill(t, b, 50_000, 10)
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- mapleaf.Compact(dst.DB, src.DB, 1) }()
	for deleted := false; !deleted; {
		dst.MustUpdate(func(tx *mapleaf.Tx) error {
			deleted = tx.DeleteBucket([]byte("b")) == nil
			return nil
		})
	}
	wantErr(t, "Compact", <-done, mapleaf.ErrBucketNotFound)
}
