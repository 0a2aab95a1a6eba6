package mapleaf

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// A transaction that takes more memory than it may writes pages early. It sees itself
// as always, what it has handed out stays, and commit and rollback are whole.
func TestSpill(t *testing.T) {
	for _, commit := range []bool{true, false} {
		db := mustOpen(t, tempPath(t), &Options{CheckpointBytes: 256 << 10})
		r := testRand(t, 95)
		m := model{}.mustUpdate(t, db, r, 100)
		w, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		b := w.Bucket(testBucket)
		next := m
		type lent struct{ got, want []byte }
		var out []lent
		for range 60 {
			if next, err = next.change(b, r, 200); err != nil {
				t.Fatal(err)
			}
			for k, v := range next {
				got := b.Get([]byte(k))
				out = append(out, lent{got, []byte(v)})
				break
			}
		}
		if err := next.compareTx(w); err != nil {
			t.Fatal(err)
		}
		for i, l := range out {
			if !bytes.Equal(l.got, l.want) {
				t.Fatalf("bytes that were handed out changed (%d of %d)", i, len(out))
			}
		}
		if w.Stats().Spill == 0 {
			t.Fatal("nothing was spilled")
		}
		if err := m.compare(db); err != nil {
			t.Fatalf("a reader beside it: %v", err)
		}
		if commit {
			m = next
			err = w.Commit()
		} else {
			err = w.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := m.compare(db); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, db)
		m = m.mustUpdate(t, db, r, 50)
		path := db.Path()
		mustClose(t, db)
		db = mustOpen(t, path, nil)
		if err := m.compare(db); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, db)
	}
}

// A spilled transaction is as atomic as any other, whatever a crash leaves.
func TestSpillCrashStates(t *testing.T) {
	t.Parallel()
	r := testRand(t, 96)
	o := Options{CheckpointBytes: 64 << 10}
	h := recordHistory(t, r, 3, o)
	path := tempPath(t)
	for at := 0; at <= len(h.ops); at += crashStep() {
		for name, keep := range survivors(r) {
			img := crashImage(h.base, h.ops, at, keep)
			if err := h.reopen(path, img, acknowledged(h.ops, at), o, r); err != nil {
				t.Fatalf("crash before op %d of %d, %s survive: %v", at, len(h.ops), name, err)
			}
		}
	}
}

var spillFlag = flag.Int("spill", 200_000, "puts of the transaction in TestSpillMemory")

// Memory stays bounded however large a transaction is.
func TestSpillMemory(t *testing.T) {
	limit, puts := 4<<20, *spillFlag
	if testing.Short() {
		limit, puts = 1<<20, 30_000
	}
	before, heapMax := heapInUse(), uint64(0) // other tests leave some behind
	db := mustOpen(t, tempPath(t), &Options{CheckpointBytes: limit, wrapFile: wrapLazy})
	r := rand.New(rand.NewPCG(*seedFlag, 97))
	err := db.Update(func(tx *Tx) error {
		b, err := tx.CreateBucket(testBucket)
		if err != nil {
			return err
		}
		for i := range puts {
			k := binary.BigEndian.AppendUint64(nil, r.Uint64())
			if err := b.Put(k, make([]byte, 100)); err != nil {
				return fmt.Errorf("put %d: %w", i, err)
			}
			if i%(puts/20) == 0 {
				heapMax = max(heapMax, heapInUse())
			}
		}
		heapMax = max(heapMax, heapInUse())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d puts, at most %d MiB of heap besides %d MiB of buffers", puts, heapMax>>20,
		db.store.buffers.bytes>>20)
	if limit := before + uint64(8<<20+4*puts); heapMax > limit {
		t.Errorf("%d bytes of heap, want at most %d", heapMax, limit)
	}
	if n := db.store.buffers.bytes; n > 2*limit+slabBytesHuge {
		t.Errorf("buffers take %d bytes, the limit is %d", n, limit)
	}
	mustCheck(t, db)
	err = db.View(func(tx *Tx) error {
		if n := tx.Bucket(testBucket).Count(); n != uint64(puts) {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// heapInUse returns the bytes of the heap that are in use, garbage left out.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// One that is rolled back leaves a gap in the txids, since its own stands in pages of
// the file. The log goes on over that.
func TestSpillRollbackWithLog(t *testing.T) {
	dir := t.TempDir()
	o := logOptions()
	o.CheckpointBytes = 512 << 10
	db := mustOpen(t, filepath.Join(dir, "running.db"), o)
	r := testRand(t, 98)
	m := model{}.mustUpdate(t, db, r, 40).smallUpdate(t, db, r)
	w, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	b := w.Bucket(testBucket)
	for w.Stats().Spill == 0 {
		k := binary.BigEndian.AppendUint64(nil, r.Uint64())
		if err := b.Put(k, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Rollback(); err != nil {
		t.Fatal(err)
	}
	m = m.smallUpdate(t, db, r).smallUpdate(t, db, r)
	path := filepath.Join(dir, "killed.db")
	copyFile(t, db.Path(), path)
	killed := mustOpen(t, path, nil)
	if err := m.compare(killed); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, killed)
}

// A state whose transaction has spilled pages says so, also when an older epoch is in the
// file only after that: else those pages would seem to come from nowhere.
func TestSpillBesideLateCheckpoint(t *testing.T) {
	s := &store{}
	head := s.pruned(tx.Snapshot{TxID: 37, Written: 36}, nil, 35)
	if head.Written != 36 {
		t.Errorf("the file ends with %d, want 36", head.Written)
	}
	r := testRand(t, 650)
	for range 20 { // transactions that spill beside checkpoints
		newPowerRun(t, powerPlans[6], r)
	}
}
