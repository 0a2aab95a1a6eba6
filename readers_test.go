package mapleaf_test

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// TestReaderBesideGrowth holds a reader while Updates of the same goroutine grow
// the file 100-fold, and begins new readers meanwhile.
func TestReaderBesideGrowth(t *testing.T) {
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 1000, 100)
		return nil
	})
	size := func() int64 {
		info, err := os.Stat(db.Path())
		must(t, err)
		return info.Size()
	}
	tx, err := db.Begin(false)
	must(t, err)
	defer tx.Rollback()
	held := tx.Bucket([]byte("b")).Get([]byte(key8(500)))
	before, begin := tx.Size(), size()
	for i := 0; i < 200 && size() < 100*begin; i++ {
		db.MustUpdate(func(w *mapleaf.Tx) error {
			b := mustBucket(t, w, fmt.Sprint("grow", i))
			first := w.Bucket([]byte("b")).Get([]byte(key8(1)))
			for j := range 40 {
				must(t, b.Put([]byte(key8(j)), value(i, 100_000)))
			}
			if string(first) != string(value(1, 100)) {
				t.Fatal("a slice of the growing transaction changed")
			}
			return nil
		})
		db.MustView(func(r *mapleaf.Tx) error {
			wantGet(t, r.Bucket([]byte(fmt.Sprint("grow", i))), key8(39), string(value(i, 100_000)))
			return nil
		})
		wantGet(t, tx.Bucket([]byte("b")), key8(999), string(value(999, 100)))
	}
	if size() < 100*begin {
		t.Fatalf("the file grew from %d to %d bytes only", begin, size())
	}
	if tx.Size() != before || string(held) != string(value(500, 100)) {
		t.Fatal("the reader's state changed while the file grew")
	}
	wantFilled(t, tx.Bucket([]byte("b")), 1000, 100)
}

// TestGrowthInOneUpdate grows the file 100-fold by one transaction, beside a reader.
func TestGrowthInOneUpdate(t *testing.T) {
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 100, 100)
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		before := tx.Size()
		db.MustUpdate(func(w *mapleaf.Tx) error {
			fill(t, mustBucket(t, w, "grow"), 60_000, 200)
			return nil
		})
		db.MustView(func(r *mapleaf.Tx) error {
			if r.Size() < 100*before {
				t.Fatalf("the database grew from %d to %d bytes only", before, r.Size())
			}
			wantFilled(t, r.Bucket([]byte("grow")), 60_000, 200)
			return nil
		})
		wantFilled(t, tx.Bucket([]byte("b")), 100, 100)
		return nil
	})
}

func TestManyReaders(t *testing.T) {
	const n = 10_000
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 100, 100)
		return nil
	})
	var open []*mapleaf.Tx
	states := map[int]string{}
	for i := range n {
		if i%1000 == 0 {
			db.MustUpdate(func(tx *mapleaf.Tx) error {
				return tx.Bucket([]byte("b")).Put([]byte("state"), []byte(fmt.Sprint(i)))
			})
		}
		tx, err := db.Begin(false)
		must(t, err)
		open = append(open, tx)
		states[tx.ID()] = fmt.Sprint(i / 1000 * 1000)
	}
	if got := db.Stats().OpenTxN; got != n {
		t.Fatalf("Stats says %d readers are open, want %d", got, n)
	}
	if len(states) != n/1000 {
		t.Fatalf("the readers see %d states, want %d", len(states), n/1000)
	}
	for i := range open {
		tx := open[(i*7919)%n]
		wantGet(t, tx.Bucket([]byte("b")), "state", states[tx.ID()])
		must(t, tx.Rollback())
	}
	if got := db.Stats().OpenTxN; got != 0 {
		t.Fatalf("Stats says %d readers are open after the last has ended", got)
	}
}

// TestReadersWriterGrowth runs readers that scan, readers that come and go, and a
// writer that grows the file, all at once. It is meant for the race detector.
func TestReadersWriterGrowth(t *testing.T) {
	const states = 60
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	var done atomic.Bool
	var group sync.WaitGroup
	read := func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		state := b.Sequence()
		seen := uint64(0)
		for k, v := range b.All() {
			if len(v) == 0 || uint64(v[0]) > state {
				return fmt.Errorf("state %d holds %q of state %d", state, k, v[0])
			}
			seen++
		}
		if seen != b.Count() || seen < 3*state {
			return fmt.Errorf("state %d has %d records, counted %d", state, seen, b.Count())
		}
		return nil
	}
	for range 3 {
		group.Go(func() {
			for !done.Load() {
				if err := db.View(read); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for state := range states {
		err := db.Update(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			if err := b.SetSequence(uint64(state)); err != nil {
				return err
			}
			for i := range 3 + state%7*10 {
				key := fmt.Appendf(nil, "%d/%d", i%3, state*100+i)
				v := value(state, 200*(i%9)+1)
				v[0] = byte(state)
				if err := b.Put(key, v); err != nil {
					return err
				}
			}
			return b.Put([]byte("large"), append([]byte{byte(state)}, value(1, 20_000*state)...))
		})
		if err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	group.Wait()
}

// TestReuseBetweenReaders overwrites the same records under two readers, one old
// and one young: the pages of the states between them are used again, so that
// the file does not grow with the number of states.
func TestReuseBetweenReaders(t *testing.T) {
	db := openDB(t, noSync)
	overwrite := func(round int) {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			for i := range 200 {
				must(t, b.Put([]byte(key8(i)), value(round, 500)))
			}
			return b.Put([]byte("large"), value(round, 50_000))
		})
	}
	look := func(tx *mapleaf.Tx, round int) {
		t.Helper()
		b := tx.Bucket([]byte("b"))
		wantGet(t, b, key8(199), string(value(round, 500)))
		wantGet(t, b, "large", string(value(round, 50_000)))
	}
	overwrite(0)
	old, err := db.Begin(false)
	must(t, err)
	defer old.Rollback()
	for round := 1; round <= 10; round++ {
		overwrite(round)
	}
	young, err := db.Begin(false)
	must(t, err)
	defer young.Rollback()
	var before, after int64
	for round := 11; round <= 200; round++ {
		overwrite(round)
		db.MustView(func(tx *mapleaf.Tx) error {
			if round == 30 {
				before = tx.Size()
			}
			after = tx.Size()
			return nil
		})
		if round%50 == 0 {
			look(old, 0)
			look(young, 10)
		}
	}
	if after > before+before/10 {
		t.Fatalf("170 overwrites between two readers grew the file from %d to %d bytes",
			before, after)
	}
}

// TestFreedByReader ends the only reader, after which the pages that it held
// back are used again.
func TestFreedByReader(t *testing.T) {
	db := openDB(t, noSync)
	rewrite := func(rounds int) (size int64) {
		for i := range rounds {
			db.MustUpdate(func(tx *mapleaf.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("b"))
				must(t, err)
				return b.Put([]byte("large"), value(i, 1<<20))
			})
		}
		db.MustView(func(tx *mapleaf.Tx) error { size = tx.Size(); return nil })
		return size
	}
	rewrite(3)
	tx, err := db.Begin(false)
	must(t, err)
	rewrite(5)
	must(t, tx.Rollback())
	first := rewrite(5)
	if last := rewrite(40); last > first+2<<20 {
		t.Fatalf("40 overwrites without readers grew the file from %d to %d bytes", first, last)
	}
}

// TestFreeSpaceSurvives frees much, reopens, and fills the space again. What lies
// in the middle of the free space may leave no room for the large value, but
// only once: from then on there are two places for it.
func TestFreeSpaceSurvives(t *testing.T) {
	const large = 3 << 20
	db := openDB(t, noSync)
	build := func() (size int64) {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			fill(t, mustBucket(t, tx, "keep"), 100, 100)
			b := mustBucket(t, tx, "gone")
			fill(t, b, 10_000, 200)
			return b.Put([]byte("large"), value(1, large))
		})
		db.MustView(func(tx *mapleaf.Tx) error { size = tx.Size(); return nil })
		return size
	}
	first := build()
	for round := range 8 {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			must(t, tx.DeleteBucket([]byte("gone")))
			return tx.DeleteBucket([]byte("keep"))
		})
		db.Reopen()
		if got := build(); got > first+first/4+large {
			t.Errorf("round %d: the same data after reopening grew the file from %d to %d", round,
				first, got)
		}
	}
}

// TestRandomReaders holds readers of random states for random times.
func TestRandomReaders(t *testing.T) {
	rng := dbtest.Rand(t, 0)
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	var open []*mapleaf.Tx
	defer func() {
		for _, tx := range open {
			must(t, tx.Rollback())
		}
	}()
	look := func(tx *mapleaf.Tx) {
		b := tx.Bucket([]byte("b"))
		state := int(b.Sequence())
		if v := b.Get([]byte("state")); string(v) != fmt.Sprint(state) {
			t.Fatalf("state %d holds %q", state, v)
		}
		for k, v := range b.All() {
			if string(k) != "state" && int(v[1])<<8+int(v[0]) > state {
				t.Fatalf("state %d holds a record of the future", state)
			}
		}
	}
	for state := range 400 {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			must(t, b.SetSequence(uint64(state)))
			put(t, b, "state", fmt.Sprint(state))
			for range 20 {
				v := value(0, 2+rng.IntN(2000))
				v[0], v[1] = byte(state), byte(state>>8)
				must(t, b.Put([]byte(key8(rng.IntN(300))), v))
			}
			return nil
		})
		if rng.IntN(2) == 0 {
			tx, err := db.Begin(false)
			must(t, err)
			open = append(open, tx)
		}
		if len(open) > 0 && rng.IntN(2) == 0 {
			i := rng.IntN(len(open))
			look(open[i])
			must(t, open[i].Rollback())
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
}
