package mapleaf

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

func TestSlotSize(t *testing.T) {
	if n := reflect.TypeOf(slot{}).Size(); n != slotSize {
		t.Errorf("a slot has %d bytes", n)
	}
}

func TestSlotTable(t *testing.T) {
	var table slotTable
	table.init(true, func() { t.Error("nobody waits") })
	r := testRand(t, 50)
	count := map[tx.TxID]int{}
	var open []*slot
	for range 20_000 {
		if r.IntN(5) < 3 {
			id := tx.TxID(1 + r.IntN(50))
			open = append(open, table.claim(id))
			count[id]++
			continue
		}
		if len(open) == 0 {
			continue
		}
		i := r.IntN(len(open))
		id := tx.TxID(open[i].txid.Load())
		open[i].End()
		if count[id]--; count[id] == 0 {
			delete(count, id)
		}
		open[i] = open[len(open)-1]
		open = open[:len(open)-1]
	}
	live := table.live(nil)
	if len(live) != len(count) {
		t.Fatalf("%d txids are live, want %d", len(live), len(count))
	}
	for i, id := range live {
		if count[id] == 0 || i > 0 && live[i-1] >= id {
			t.Fatalf("live %v", live)
		}
	}
	if n := len(*table.blocks.Load()); n&(n-1) != 0 {
		t.Errorf("%d blocks", n)
	}
}

func TestManyReaders(t *testing.T) {
	db := mustOpen(t, tempPath(t), &Options{wrapFile: wrapLazy})
	r := testRand(t, 51)
	m := model{}.mustUpdate(t, db, r, 50)
	type reader struct {
		tx   *Tx
		want model
	}
	var readers []reader
	for i := range 10_000 {
		if i%500 == 0 {
			m = m.mustUpdate(t, db, r, 20)
		}
		tx, err := db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, reader{tx, m})
	}
	if n := db.Stats().OpenTxN; n != 10_000 {
		t.Errorf("%d read transactions are open", n)
	}
	for i, rd := range readers {
		if i%97 == 0 {
			if err := rd.want.compareTx(rd.tx); err != nil {
				t.Fatalf("reader %d: %v", i, err)
			}
		}
		if err := rd.tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

// Between two readers the space that neither sees is used again: the file does
// not grow.
func TestSpaceBetweenReadersIsReused(t *testing.T) {
	db := mustOpen(t, tempPath(t), &Options{wrapFile: wrapLazy, LogSize: -1})
	r := testRand(t, 52)
	m := model{}.mustUpdate(t, db, r, 800)
	begin := func() (*Tx, model) {
		t.Helper()
		tx, err := db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		return tx, m
	}
	old, oldModel := begin()
	for range 20 {
		m = m.mustUpdate(t, db, r, 20)
	}
	young, youngModel := begin()
	for range 50 {
		m = m.mustUpdate(t, db, r, 20)
	}
	high := db.store.free.top()
	for range 200 {
		m = m.mustUpdate(t, db, r, 20)
	}
	if now := db.store.free.top(); now > high+high/4 {
		t.Errorf("high-water mark went from %d to %d", high, now)
	}
	for _, check := range []struct {
		tx *Tx
		m  model
	}{{old, oldModel}, {young, youngModel}} {
		if err := check.m.compareTx(check.tx); err != nil {
			t.Error(err)
		}
		if err := check.tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
	m.mustUpdate(t, db, r, 1)
	if n := db.Stats().PendingPageN; n != 0 {
		t.Errorf("%d pages are still pending", n)
	}
}

// A reader and an Update in one goroutine: the file grows a hundredfold, the
// reader sees what it saw, and its mapping goes when it ends.
func TestGrowthBesideReaders(t *testing.T) {
	before := liveMappings.Load()
	path := tempPath(t)
	db := mustOpen(t, path, &Options{wrapFile: wrapLazy})
	r := testRand(t, 53)
	m := model{}.mustUpdate(t, db, r, 100)
	shrinkMapping(t, db)
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	seen := reader.Bucket(testBucket).Get([]byte("big"))
	big := strings.Repeat("0123456789abcdef", 1<<12)
	first := db.store.published.Load().HWM
	err = db.Update(func(t *Tx) error {
		b := t.Bucket(testBucket)
		own := b.Get([]byte("key0001"))
		was := string(own)
		for i := range int(first) * 100 / 16 {
			if err := b.Put(fmt.Appendf(nil, "grow%06d", i), []byte(big)); err != nil {
				return err
			}
		}
		if string(own) != was {
			return errors.New("a slice of the write transaction has changed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if now := db.store.published.Load().HWM; now < 100*first {
		t.Errorf("the file went from %d to %d pages", first, now)
	}
	if n := liveMappings.Load() - before; n != 2 {
		t.Errorf("%d mappings are live beside a reader of the old one", n)
	}
	if err := m.compareTx(reader); err != nil || seen != nil {
		t.Errorf("old reader: %v", err)
	}
	young, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := liveMappings.Load() - before; n != 1 {
		t.Errorf("%d mappings are live after the reader has ended", n)
	}
	if v := young.Bucket(testBucket).Get([]byte("grow000000")); string(v) != big {
		t.Error("new reader does not see the new state")
	}
	if err := young.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
	mustClose(t, db)
	if n := liveMappings.Load() - before; n != 0 {
		t.Errorf("%d mappings are live after close", n)
	}
}

// A checkpoint notes in the newest mapping which pages it has written. That mapping may be
// replaced, and unused, before it is done.
func TestMarkBesideGrowth(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	s := db.store
	model{}.mustUpdate(t, db, testRand(t, 66), 100)
	page := &tx.Page{ID: 2, Kind: tx.KindNode}
	w := &write{pages: slices.Repeat([]*tx.Page{page}, 1<<19)}
	for range 4 {
		marked := make(chan struct{})
		go func() {
			defer close(marked)
			s.mark(w)
		}()
		for replaced := s.mappedAt(); s.mappedAt() == replaced; {
			err := db.Update(func(t *Tx) error {
				size := int64(len(s.newestMapping().data)) + 1
				err := s.cover(size, s.published.Load().TxID)
				if errors.Is(err, ErrInvalidMapping) { // not every system maps beyond the file
					err = errors.Join(s.growFile(size), s.cover(size, s.published.Load().TxID))
				}
				if err != nil {
					return err
				}
				return t.Bucket(testBucket).Put([]byte("key"), nil)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		<-marked
	}
	mustCheck(t, db)
	mustClose(t, db)
}

// shrinkMapping replaces the mapping of a database by one that just covers it,
// so that the next growth needs another.
func shrinkMapping(t *testing.T, db *DB) {
	t.Helper()
	s := db.store
	m, err := s.mapBytes(int64(s.meta.hwm) << s.shift)
	if err != nil {
		t.Fatal(err)
	}
	s.maps.mu.Lock()
	s.maps.mu.newest.last = s.meta.txid
	s.maps.mu.old = append(s.maps.mu.old, s.maps.mu.newest)
	s.maps.mu.newest = m
	s.maps.mu.Unlock()
	snap := *s.published.Load()
	s.publish(&snap)
	s.mu.head = snap
}

// Readers, a writer and growth together, for the race detector.
func TestReadersWriterGrowth(t *testing.T) {
	db := mustOpen(t, tempPath(t), &Options{wrapFile: wrapLazy})
	r := testRand(t, 54)
	m := model{}.mustUpdate(t, db, r, 100)
	var models sync.Map // by txid
	models.Store(int(db.store.published.Load().TxID), m)
	var stop atomic.Bool
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop.Store(true) // also when the test fails: Close waits for readers
	for range 4 {
		readers.Go(func() {
			for !stop.Load() {
				tx, err := db.Begin(false)
				if err != nil {
					t.Error(err)
					return
				}
				if want, ok := models.Load(tx.ID()); ok {
					if err := want.(model).compareTx(tx); err != nil {
						t.Errorf("state %d: %v", tx.ID(), err)
					}
				}
				if err := tx.Rollback(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 150 {
		if i%25 == 0 {
			shrinkMappingLater(t, db)
		}
		w, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		next, err := m.change(w.Bucket(testBucket), r, 30)
		if err != nil {
			t.Fatal(err)
		}
		models.Store(w.ID(), next)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		m = next
	}
	mustCheck(t, db)
}

// shrinkMappingLater makes the newest mapping just large enough, as if the
// system could not reserve more; the next commit that grows makes another.
func shrinkMappingLater(t *testing.T, db *DB) {
	t.Helper()
	s := db.store
	s.writer <- struct{}{}
	defer func() { <-s.writer }()
	m, err := s.mapBytes(s.fileSize)
	if err != nil {
		t.Fatal(err)
	}
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	s.maps.mu.newest.last = s.mu.head.TxID
	s.maps.mu.old = append(s.maps.mu.old, s.maps.mu.newest)
	s.maps.mu.newest = m
}

// Close waits for a reader, and keeps its mapping until then.
func TestCloseWaitsForReaders(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	m := model{}.mustUpdate(t, db, testRand(t, 55), 50)
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	for db.store.published.Load() != nil { // Close has begun
	}
	if err := m.compareTx(reader); err != nil {
		t.Error(err)
	}
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	if err := reader.Rollback(); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func BenchmarkBeginRead(b *testing.B) {
	db, err := Open(b.TempDir()+"/bench.db", 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, slot, _ := db.store.beginRead()
			slot.End()
		}
	})
}

func BenchmarkView(b *testing.B) {
	db, err := Open(b.TempDir()+"/bench.db", 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.ReportAllocs()
	fn := func(*Tx) error { return nil }
	for b.Loop() {
		if err := db.View(fn); err != nil {
			b.Fatal(err)
		}
	}
}
