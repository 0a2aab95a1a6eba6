package tx

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// vacate moves everything from page from on, limit pages a transaction, and returns how
// many transactions that took.
func (s *memStore) vacate(from PageID, limit int) (n int) {
	s.t.Helper()
	s.below = from
	defer func() { s.below = 0 }()
	for way := []int(nil); ; n++ {
		t := s.begin()
		var err error
		if way, err = Vacate(t, from, way, limit); err != nil {
			s.t.Fatal(err)
		}
		if err := t.Commit(); err != nil {
			s.t.Fatal(err)
		}
		if way == nil {
			return n + 1
		}
	}
}

// last returns the page behind the last one that is reached.
func (s *memStore) last() (end PageID) {
	s.t.Helper()
	t := s.read()
	err := Reach(t, func(first PageID, count uint32, _ Kind) error {
		end = max(end, first+PageID(count))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return end
}

// fillVacate puts records of all kinds into nested buckets, and deletes every second one
// in an order of its own, so that there are holes everywhere.
func fillVacate(s *memStore, r *rand.Rand) map[string][]byte {
	s.t.Helper()
	values := make(map[string][]byte)
	limit := inlineLimit(s.state.PageSize() - HeaderSize)
	bucket := func(t *Tx, i int) *Bucket {
		b, err := t.CreateBucketIfNotExists([]byte{byte('a' + i%3)})
		for depth := 0; err == nil && depth < i%4; depth++ {
			b, err = b.CreateBucketIfNotExists([]byte("deeper"))
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return b
	}
	for round := range 3 {
		s.update(func(t *Tx) error {
			for i := range 600 {
				k, v := fmt.Appendf(nil, "%d-%05d", i%12, i), make([]byte, r.IntN(60))
				switch r.IntN(20) {
				case 0:
					k = append(k, bytes.Repeat([]byte("long"), limit/2)...)
				case 1:
					v = make([]byte, r.IntN(8*limit))
				}
				for j := range v {
					v[j] = byte(r.Uint32())
				}
				name := fmt.Sprintf("%d %s", i%12, k)
				var err error
				if r.IntN(3) == round%2 {
					err = bucket(t, i).Delete(k)
					delete(values, name)
				} else {
					err = bucket(t, i).Put(k, v)
					values[name] = v
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return values
}

func TestVacate(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			s := newMemStore(t, 9+uint8(seed%2))
			values := fillVacate(s, r)
			pages := 0
			for _, count := range s.used {
				pages += int(count)
			}
			end := s.last()
			from := memFirstPage + PageID(pages)*5/4
			if end < from*4/3 {
				t.Fatalf("%d of %d pages are in use: there is nothing to move", pages, end)
			}
			limit := 1 + r.IntN(1+pages/3)
			if n := s.vacate(from, limit); limit < 20 && n < 5 {
				t.Errorf("%d transactions moved %d pages each at most", n, limit)
			}
			s.check()
			// What is longer than limit stays, and so does an extent that fits nowhere.
			if after := s.last(); limit > 16 && after > from+from/8 {
				t.Errorf("the last page was %d, and is %d, want about %d", end, after, from)
			}
			s.holds(values)
		})
	}
}

// holds fails the test if the records of fillVacate are not those in values.
func (s *memStore) holds(values map[string][]byte) {
	s.t.Helper()
	t, n := s.read(), 0
	for i := range 12 {
		b := t.Bucket([]byte{byte('a' + i%3)})
		for depth := 0; b != nil && depth < i%4; depth++ {
			b = b.Bucket([]byte("deeper"))
		}
		for k, v := range b.Prefix(fmt.Appendf(nil, "%d-", i)) {
			if v == nil {
				continue
			}
			if !bytes.Equal(v, values[fmt.Sprintf("%d %s", i, k)]) {
				s.t.Errorf("bucket %d, key %.40q has another value", i, k)
			}
			n++
		}
	}
	if n != len(values) || t.Err() != nil {
		s.t.Errorf("%d records, want %d (%v)", n, len(values), t.Err())
	}
}

// A tree that leads in a circle is damage, and not followed for ever.
func TestVacateCircle(t *testing.T) {
	s := newMemStore(t, 9)
	s.update(func(t *Tx) error {
		b, err := t.CreateBucket([]byte("b"))
		for i := 0; i < 200 && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "%05d", i), make([]byte, 30))
		}
		return err
	})
	rd := s.read()
	root := rd.Bucket([]byte("b")).header.Root
	n, _, err := rd.snap.load(root)
	if err != nil || !n.branch() {
		t.Fatal(n, err)
	}
	n.setChild(1, root)
	s.hostile = true
	w := s.begin()
	defer w.Rollback()
	if _, err := Vacate(w, memFirstPage, nil, 1000); !errors.Is(err, ErrCorrupt) || w.Err() == nil {
		t.Errorf("%v, and the transaction goes on with %v", err, w.Err())
	}
}

// A branch may pass its check while one separator lies within another, out of order. The
// place that is written into one of them must not become the length of the other.
func TestVacateOverlap(t *testing.T) {
	s := newMemStore(t, 12)
	s.hostile = true
	long := bytes.Repeat([]byte("k"), inlineLimit(s.state.PageSize()-HeaderSize)+50)
	s.update(func(t *Tx) error {
		b, err := t.CreateBucket([]byte("b"))
		for i := 0; i < 90 && err == nil; i++ {
			err = b.Put(fmt.Appendf(bytes.Clone(long), "%05d", i), make([]byte, 700))
		}
		return err
	})
	for range 18 { // so that the stamp is a length that does not fit
		s.update(func(t *Tx) error { return t.root.SetSequence(t.root.Sequence() + 1) })
	}
	rd := s.read()
	n, _, err := rd.snap.load(rd.Bucket([]byte("b")).header.Root)
	if err != nil || !n.branch() || n.count() < 2 {
		t.Fatal(n, err)
	}
	// Separator 1 begins in the last byte of the id that separator 0 has for its place:
	// its length is 256 times the stamp.
	from, to := n.sepOffsets(), n.low()-600
	copy(n[to:], n[u16(n[from:]):][:branchCell+longRefSize])
	setU16(n[from:], to)
	n.setLow(to)
	setU16(n[from+2:], to+branchCell+3)
	cells := 0
	for i := range n.count() {
		a := u16(n[u16(n[from+2*i:]):])
		if cells += branchCell + a&lengthMask - headSize; a&longBit != 0 {
			cells += longRefSize
		}
	}
	n.setLow(n.low() + min(0, len(n)-n.low()-cells))
	n.setDead(len(n) - n.low() - cells)
	if err := n.check(); err != nil {
		t.Fatal(err)
	}
	w := s.begin()
	defer w.Rollback()
	s.below = memFirstPage
	if _, err := Vacate(w, memFirstPage, nil, 1000); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}
