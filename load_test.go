package mapleaf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// load loads up to n records, most of them behind all others, and returns the model
// afterwards.
func (m model) load(b *Bucket, r *rand.Rand, n int) (model, error) {
	next := maps.Clone(m)
	start, size, between := r.IntN(1_000_000), r.IntN(300), r.IntN(3) == 0
	err := b.Load(func(yield func(k, v []byte) bool) {
		for i := range 1 + r.IntN(n) {
			k, v := fmt.Appendf(nil, "load%07d", start+i), make([]byte, r.IntN(size+1))
			if between && r.IntN(100) == 0 {
				k = fmt.Appendf(nil, "key%04d", r.IntN(400))
				b.Get(k)
			}
			for j := range v {
				v[j] = byte(r.Uint32())
			}
			next[string(k)] = string(v)
			if !yield(k, v) {
				return
			}
			clear(v)
		}
	})
	return next, err
}

// mustLoad commits a load with some other changes.
func (m model) mustLoad(t *testing.T, db *DB, r *rand.Rand, n int) model {
	t.Helper()
	next, err := m.tryLoad(db, r, n)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func (m model) tryLoad(db *DB, r *rand.Rand, n int) (model, error) {
	next := m
	err := db.Update(func(t *Tx) error {
		b, err := t.CreateBucketIfNotExists(testBucket)
		if err != nil {
			return err
		}
		if r.IntN(3) == 0 {
			if _, err := b.DeleteRange([]byte("load"), nil); err != nil {
				return err
			}
			next = maps.Clone(next)
			maps.DeleteFunc(next, func(k, _ string) bool { return k[0] == 'l' })
		}
		if next, err = next.load(b, r, n); err == nil {
			next, err = next.change(b, r, 5)
		}
		return err
	})
	return next, err
}

var loadOptions = []Options{
	{}, {CheckpointBytes: 64 << 10}, {CheckpointBytes: 1 << 20, PageSize: 16384},
	{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 128 << 10}, {NoSync: true},
}

// Loads are as whole as other transactions, committed or not, with readers beside them.
func TestLoad(t *testing.T) {
	for i, o := range loadOptions {
		r := testRand(t, uint64(710+i))
		db := mustOpen(t, tempPath(t), &o)
		m := model{}.mustUpdate(t, db, r, 50)
		for range 8 {
			reader, err := db.Begin(false)
			if err != nil {
				t.Fatal(err)
			}
			next, stop := m, errors.New("stop")
			err = db.Update(func(w *Tx) error {
				b, err := w.CreateBucketIfNotExists(testBucket)
				if err != nil {
					return err
				}
				if next, err = m.load(b, r, 6000); err != nil {
					return err
				}
				if r.IntN(3) == 0 {
					return stop
				}
				return next.compareTx(w)
			})
			if e := m.compareTx(reader); e != nil {
				t.Fatalf("a reader beside it: %v", e)
			}
			if e := reader.Rollback(); e != nil {
				t.Fatal(e)
			}
			switch {
			case err == nil:
				m = next
			case err != stop:
				t.Fatal(err)
			}
			if err := m.compare(db); err != nil {
				t.Fatal(err)
			}
			mustCheck(t, db)
			m = m.mustUpdate(t, db, r, 10)
		}
		path := db.Path()
		mustClose(t, db)
		db = mustOpen(t, path, nil)
		if err := m.compare(db); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, db)
	}
}

// A load in key order takes little memory, and a file that is not larger than that of as
// many calls of Put.
func TestLoadSize(t *testing.T) {
	const records = 100_000
	sizes := map[bool]int64{}
	for _, load := range []bool{false, true} {
		db := mustOpen(t, tempPath(t), &Options{NoSync: true, wrapFile: wrapLazy})
		all := func(yield func(k, v []byte) bool) {
			k, v := make([]byte, 16), make([]byte, 100)
			for i := range uint64(records) {
				binary.BigEndian.PutUint64(k, i*0x9e3779b97f4a)
				if !yield(k, v) {
					return
				}
			}
		}
		err := db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucket(testBucket)
			if err != nil {
				return err
			}
			if load {
				err = b.Load(all)
				if tx.Stats().Spill == 0 {
					t.Error("nothing was written early")
				}
				return err
			}
			for k, v := range all {
				if err := b.Put(k, v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := db.store.buffers.bytes; load && n > 12<<20 {
			t.Errorf("it took %d bytes of memory", n)
		}
		mustCheck(t, db)
		err = db.View(func(tx *Tx) error {
			if n := tx.Bucket(testBucket).Count(); n != records {
				t.Errorf("%d records", n)
			}
			sizes[load] = tx.Size()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if sizes[true] > sizes[false] {
		t.Errorf("%d bytes, and %d by Put", sizes[true], sizes[false])
	}
}

// A load is as atomic as any other transaction, whatever a crash leaves.
func TestLoadCrashStates(t *testing.T) {
	t.Parallel()
	for i, o := range []Options{
		{CheckpointBytes: 64 << 10},
		{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 64 << 10},
	} {
		r := testRand(t, uint64(720+i))
		h, db, rec := beginHistory(t, r, o)
		m := h.states[0]
		for i := range 4 {
			m = m.mustLoad(t, db, r, 1500)
			h.states = append(h.states, m)
			rec.note(i + 1)
		}
		mustClose(t, db)
		h.ops = rec.ops
		path := tempPath(t)
		for at := 0; at <= len(h.ops); at += crashStep() {
			for name, keep := range survivors(r) {
				img := crashImage(h.base, h.ops, at, keep)
				if err := h.reopen(path, img, acknowledged(h.ops, at), o, r); err != nil {
					t.Fatalf("%v, crash before op %d of %d, %s survive: %v",
						&o, at, len(h.ops), name, err)
				}
			}
		}
	}
}

// Each call of the file fails once: then the load is rolled back, or the database refuses
// further writes, and what it held before is there.
func TestLoadEveryCallFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	origin, path := filepath.Join(dir, "origin.db"), filepath.Join(dir, "work.db")
	db := mustOpen(t, origin, nil)
	start := model{}.mustUpdate(t, db, testRand(t, 730), 100)
	mustClose(t, db)
	for at := 1; ; at++ {
		copyFile(t, origin, path)
		rec := &recorder{failAt: at}
		o := &Options{CheckpointBytes: 128 << 10, wrapFile: rec.wrap}
		allowed := []model{start}
		db, err := Open(path, 0o600, o)
		if err == nil {
			r, m := testRand(t, 731), start
			for range 3 {
				var next model
				if next, err = m.tryLoad(db, r, 3000); err == nil {
					m, allowed = next, []model{next}
				} else if errors.Is(err, ErrFailed) {
					allowed = append(allowed, next)
					break
				}
			}
			if e := m.compare(db); e != nil {
				t.Fatalf("read after %v: %v", err, e)
			}
			_ = db.Close()
		}
		if rec.calls < at {
			if at < 20 {
				t.Fatalf("only %d calls", at)
			}
			return
		}
		db = mustOpen(t, path, nil)
		ok := false
		for _, m := range allowed {
			ok = ok || m.compare(db) == nil
		}
		if !ok {
			t.Fatalf("failure of call %d, %s: reopened with another state", at, rec.failed)
		}
		mustCheck(t, db)
		mustClose(t, db)
	}
}
