package tx

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// opsMax is how many bytes of operations the tests note.
const opsMax = 1 << 20

// follow replays the operations of a transaction that is about to be committed.
func (s *memStore) follow(ops []byte) {
	s.t.Helper()
	if len(ops) == 0 {
		s.dropped = true
	}
	if s.dropped {
		return
	}
	t := s.follower.begin()
	if err := Replay(t, ops); err != nil {
		s.t.Fatal(err)
	}
	if err := t.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// sameContents compares two buckets with all that they hold.
func sameContents(a, b *Bucket) error {
	ca, cb := a.Cursor(), b.Cursor()
	ka, va := ca.First()
	kb, vb := cb.First()
	for ka != nil || kb != nil {
		if !bytes.Equal(ka, kb) || !bytes.Equal(va, vb) || (va == nil) != (vb == nil) {
			return fmt.Errorf("record %.40q is %.40q, and %.40q is %.40q", ka, va, kb, vb)
		}
		if va == nil {
			if err := sameContents(a.Bucket(ka), b.Bucket(kb)); err != nil {
				return fmt.Errorf("in %.40q: %w", ka, err)
			}
		}
		ka, va = ca.Next()
		kb, vb = cb.Next()
	}
	if a.Sequence() != b.Sequence() || a.Count() != b.Count() {
		return fmt.Errorf("sequence %d and %d, count %d and %d",
			a.Sequence(), b.Sequence(), a.Count(), b.Count())
	}
	return errors.Join(a.tx.Err(), b.tx.Err())
}

// Beyond its limit the list is dropped (O2), and nothing else changes.
func TestOperationLimit(t *testing.T) {
	s := newMemStore(t, 12)
	s.follower = newMemStore(t, 12)
	s.update(func(t *Tx) error {
		b, err := t.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		return b.Put([]byte("large"), make([]byte, opsMax))
	})
	if !s.dropped {
		t.Fatal("the list was not dropped")
	}
	s.check()
}

// A moved bucket keeps its number, and those opened below it are found.
func TestReplayMove(t *testing.T) {
	s := newMemStore(t, 12)
	s.follower = newMemStore(t, 12)
	s.update(func(t *Tx) error {
		a, err := t.CreateBucket([]byte("a"))
		if err != nil {
			return err
		}
		in, err := a.CreateBucket([]byte("in"))
		if err != nil {
			return err
		}
		_, err = in.CreateBucket([]byte("deep"))
		return err
	})
	s.update(func(t *Tx) error {
		a := t.Bucket([]byte("a"))
		in := a.Bucket([]byte("in"))
		deep := in.Bucket([]byte("deep"))
		if err := t.MoveBucket([]byte("in"), a, nil); err != nil {
			return err
		}
		if err := deep.Put([]byte("k"), []byte("v")); err != nil {
			return err
		}
		if err := a.Put([]byte("k"), []byte("w")); err != nil {
			return err
		}
		return in.SetSequence(7)
	})
	x, y := s.read(), s.follower.read()
	if err := sameContents(&x.root, &y.root); err != nil || s.dropped {
		t.Fatal(err, s.dropped)
	}
}

// Whatever bytes are replayed, the result is an error or a sound state.
func FuzzReplay(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{opCreate, 0, 1, 'b', opPut, 1, 1, 'k', 1, 'v', opSequence, 1, 9,
		opCreate, 1, 1, 'c', opMove, 1, 1, 'c', 0, opDelete, 1, 1, 'k',
		opRange, 1, 3, 1, 'a', 1, 'z', opDrop, 0, 1, 'b', opOpen, 0, 1, 'c'})
	f.Add([]byte{opPut, 200, 1})
	f.Add([]byte{opOpen, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	r := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		ops := make([]byte, r.IntN(60))
		for i := range ops {
			ops[i] = byte(r.IntN(12))
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := newMemStore(t, 9)
		tx := s.begin()
		if err := Replay(tx, ops); err != nil {
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		} else if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		s.check()
	})
}
