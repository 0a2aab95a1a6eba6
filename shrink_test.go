package mapleaf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// shrinkValue is what the tests of this file put under a key.
func shrinkValue(key uint64) []byte {
	return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, key), 12)
}

// fillAtRandom puts n records in random order, 2,000 in a transaction, into a bucket that
// is nested in another, with a long value now and then.
func fillAtRandom(t *testing.T, db *DB, n int) {
	t.Helper()
	for from := 0; from < n; from += 2000 {
		err := db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("outer"))
			if err == nil {
				b, err = b.CreateBucketIfNotExists([]byte("inner"))
			}
			for i := from; i < min(from+2000, n) && err == nil; i++ {
				key := uint64(i+1) * 0x9e3779b97f4a7c15
				value := shrinkValue(key)
				if i%500 == 0 {
					value = bytes.Repeat(value, 100)
				}
				err = b.Put(binary.BigEndian.AppendUint64(nil, key), value)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantFilled fails the test unless the records of fillAtRandom are there. It returns how
// many pages the database reaches.
func wantFilled(t *testing.T, db *DB, n int) (pages int64) {
	t.Helper()
	err := db.View(func(r *Tx) error {
		got := 0
		for k, v := range r.Bucket([]byte("outer")).Bucket([]byte("inner")).All() {
			if want := shrinkValue(binary.BigEndian.Uint64(k)); !bytes.HasPrefix(v, want) {
				return fmt.Errorf("key %x has the value %.40x", k, v)
			}
			got++
		}
		if got != n {
			return fmt.Errorf("%d records, want %d", got, n)
		}
		return tx.Reach(r, func(_ tx.PageID, count uint32, _ tx.Kind) error {
			pages += int64(count)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Who has loaded at random leaves a file without much free room behind, whatever the log
// and the readers were.
func TestCloseShrinks(t *testing.T) {
	t.Parallel()
	const n = 40000
	for name, o := range map[string]Options{
		"pages":  {NoSync: true, LogSize: -1},
		"log":    {NoSync: true, logAtOnce: true, LogSize: 1 << 20},
		"synced": {},
		"alone":  {NoSync: true, Exclusive: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := tempPath(t)
			db := mustOpen(t, path, &o)
			fillAtRandom(t, db, n)
			size := int64(db.store.free.top()) * 4096
			reader, err := db.Begin(false)
			if err != nil {
				t.Fatal(err)
			}
			closed := make(chan error)
			go func() { closed <- db.Close() }()
			<-db.store.closing
			k, v := reader.Bucket([]byte("outer")).Bucket([]byte("inner")).Cursor().First()
			want := shrinkValue(binary.BigEndian.Uint64(k))
			if err := reader.Rollback(); err != nil || !bytes.HasPrefix(v, want) {
				t.Error(err, v)
			}
			if err := <-closed; err != nil {
				t.Fatal(err)
			}
			db = mustOpen(t, path, nil)
			used := wantFilled(t, db, n) * 4096
			// Who has written less than most moves less (Z1).
			if got := fileSize(t, path); got > size*4/5 || o.LogSize < 0 && got > used*5/4 {
				t.Errorf("the file has %d KiB, of which %d are used, and had %d",
					got>>10, used>>10, size>>10)
			}
			mustCheck(t, db)
		})
	}
}

// Who has written little moves nothing (Z1).
func TestCloseDoesNotShrink(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	const n = 20000
	db := mustOpen(t, path, &Options{NoSync: true, LogSize: -1})
	fillAtRandom(t, db, n)
	db.store.output.Store(0)
	mustClose(t, db)
	size := fileSize(t, path)
	db = mustOpen(t, path, nil)
	if used := wantFilled(t, db, n) * 4096; size < used*5/4 {
		t.Fatalf("of %d bytes, %d are used: there is nothing to gain", size, used)
	}
	if err := db.Update(func(tx *Tx) error {
		_, err := tx.CreateBucket([]byte("another"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	if got := fileSize(t, path); db.store.shrunk || got < size*9/10 {
		t.Errorf("the file has %d bytes, and had %d", got, size)
	}
}

// Whatever the file holds, and however little there is to gain, a database that shrinks
// each time it is closed keeps all of it.
func TestCloseShrinksAlways(t *testing.T) {
	t.Parallel()
	r := testRand(t, 61)
	shrunk := 0
	for round := range 6 {
		o := Options{shrinkAtOnce: true, PageSize: 4096 << (round % 3), logAtOnce: round%2 == 0}
		path := tempPath(t)
		m := model{}
		for range 12 {
			db := mustOpen(t, path, &o)
			for range 1 + r.IntN(5) {
				m = m.mustUpdate(t, db, r, 1+r.IntN(60))
			}
			mustClose(t, db)
			if db.store.shrunk {
				shrunk++
			}
			db = mustOpen(t, path, &Options{ReadOnly: r.IntN(2) == 0})
			if err := m.compare(db); err != nil {
				t.Fatal(err)
			}
			mustCheck(t, db)
			mustClose(t, db)
		}
	}
	if shrunk < 6 {
		t.Errorf("pages were moved %d times", shrunk)
	}
}

// What DB.Sync made durable survives a loss of power in Close, and in a checkpoint that
// nobody has asked for, also with NoSync.
func TestSyncedStays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    Options
		idle bool
	}{
		"pages": {o: Options{NoSync: true, LogSize: -1, shrinkAtOnce: true}},
		"log": {o: Options{
			NoSync: true, logAtOnce: true, LogSize: 64 << 10, shrinkAtOnce: true,
		}},
		"idle checkpoint": {Options{NoSync: true, logAtOnce: true, LogSize: 256 << 10}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := testRand(t, 63)
			path := tempPath(t)
			for range 6 {
				h, db, rec := beginHistory(t, r, c.o)
				m := h.states[0]
				for range 12 {
					m = m.mustUpdate(t, db, r, 1+r.IntN(60))
				}
				h.states = append(h.states, m)
				if err := db.Sync(); err != nil {
					t.Fatal(err)
				}
				rec.note(1)
				from := len(rec.noted())
				if c.idle && !db.store.tryCheckpoint() {
					t.Fatal("the database is not idle")
				}
				mustClose(t, db)
				for at := from; at <= len(rec.ops); at++ {
					for name, keep := range survivors(r) {
						img := crashImage(h.base, rec.ops, at, keep)
						if err := h.reopen(path, img, 1, Options{}, r); err != nil {
							t.Fatalf("crash before op %d of %d, %s survive: %v",
								at, len(rec.ops), name, err)
						}
					}
				}
			}
		})
	}
}

// StrictMode panics where it finds damage. Close moves pages on a goroutine of its own, where
// nobody could recover: so that is left to the transactions of the caller.
func TestCloseShrinksStrict(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	db := mustOpen(t, path, &Options{LogSize: -1})
	fillAtRandom(t, db, 3000)
	mustClose(t, db)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for off := 2 * 4096; off < len(file); off += 4096 {
		page := file[off:][:4096]
		h := decodePageHeader(page)
		view, err := tx.ViewNode(page[headerSize:])
		if h.kind != tx.KindNode || int(h.id) != off/4096 || err != nil || !view.Branch() {
			continue
		}
		prefix := int(binary.LittleEndian.Uint16(page[headerSize+4:]))
		below := headerSize + 12 + (prefix+3)&^3 + 12*(view.Len()-1) + 8
		page[below]++ // the count of the first child
		h.seal(page)
		damaged++
	}
	if err := os.WriteFile(path, file, 0o600); err != nil || damaged == 0 {
		t.Fatal(damaged, err)
	}
	db = mustOpen(t, path, &Options{shrinkAtOnce: true, LogSize: -1})
	for _, change := range []func(r *Tx) error{
		func(r *Tx) error {
			b, err := r.CreateBucket([]byte("behind"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), make([]byte, 1<<20))
		},
		func(r *Tx) error { return r.DeleteBucket([]byte("behind")) },
	} {
		if err := db.Update(change); err != nil {
			t.Fatal(err)
		}
	}
	db.StrictMode = true
	if mustClose(t, db); !db.store.shrunk {
		t.Error("nothing was moved")
	}
}

// vacant says from where on a file can be made free.
func TestFreelistVacant(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 62))
		var f freelist
		f.reset(4)
		size := 50 + r.IntN(2000)
		whole, _ := f.take(uint32(size))
		used := make(map[tx.PageID]bool)
		for i := range whole.count {
			if id := whole.first + tx.PageID(i); r.IntN(3) > 0 {
				used[id] = true
			} else {
				f.give(extent{id, 1})
			}
		}
		limit, spare := uint64(r.IntN(size)), uint64(r.IntN(20))
		moves := func(from tx.PageID) (moved, room uint64) {
			for id := tx.PageID(4); uint64(id) < f.top(); id++ {
				switch {
				case id < from && !used[id]:
					room++
				case id >= from && used[id]:
					moved++
				}
			}
			return moved, room
		}
		fits := func(from tx.PageID) bool {
			moved, room := moves(from)
			return moved <= limit && moved+moved/vacantPart+spare <= room
		}
		want := tx.PageID(f.top())
		for from := want; from >= 4 && fits(from); from-- {
			if !used[from] && (from == 4 || used[from-1]) {
				want = from
			}
		}
		if got := f.vacant(limit, spare); got != want && fits(tx.PageID(f.top())) {
			t.Errorf("seed %d: from page %d on, want %d of %d", seed, got, want, f.top())
		}
	}
}

// takeBelow finds room below a page wherever it is, and not behind it.
func TestFreelistTakeBelow(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 64))
		var f freelist
		f.reset(4)
		whole, _ := f.take(uint32(50 + r.IntN(500)))
		f.setFloor(whole.end())
		free := make(map[tx.PageID]bool)
		for i := range whole.count {
			if id := whole.first + tx.PageID(i); r.IntN(3) > 0 {
				free[id] = true
				f.give(extent{id, 1})
			}
		}
		limit := whole.first + tx.PageID(r.IntN(int(whole.count)))
		room := func(count uint32) bool {
			for id, run := tx.PageID(4), uint32(0); id < limit; id++ {
				if run++; !free[id] {
					run = 0
				}
				if run == count {
					return true
				}
			}
			return false
		}
		for range 400 {
			want, exact := uint32(1+r.IntN(6)), r.IntN(2) == 0
			least := uint32(1)
			if exact {
				least = want
			}
			e, ok := f.takeBelow(limit, want, exact)
			if ok != room(least) || ok && (e.count < least || e.count > want || e.end() > uint64(limit)) {
				t.Fatalf("seed %d: %v, %v below %d, want %d pages, exactly: %v",
					seed, e, ok, limit, want, exact)
			}
			for i := range e.count {
				if id := e.first + tx.PageID(i); !free[id] {
					t.Fatalf("seed %d: page %d is taken twice", seed, id)
				} else {
					delete(free, id)
				}
			}
		}
	}
}
