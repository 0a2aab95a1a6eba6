package tx

import (
	"testing"
)

// Redo makes the best of a state that lacks what the operations were noted on.
func TestRedoOnPartOfState(t *testing.T) {
	s := newMemStore(t, 12)
	s.update(func(t *Tx) error {
		b, err := t.CreateBucket([]byte("there"))
		if err != nil {
			return err
		}
		return b.Put([]byte("bucket as key"), nil)
	})
	ops := []byte{
		opOpen, 0, 4, 'l', 'o', 's', 't', // 1, and is not there
		opPut, 1, 1, 'k', 1, 'v',
		opOpen, 1, 2, 'i', 'n', // 2, in it
		opPut, 2, 1, 'k', 1, 'w',
		opSequence, 2, 9,
		opCreate, 0, 5, 't', 'h', 'e', 'r', 'e', // 3, and is there
		opPut, 3, 1, 'k', 1, 'x',
		opDelete, 3, 1, 'n',
		opRange, 3, 3, 1, 'l', 1, 'm',
		opDrop, 0, 4, 'n', 'o', 'n', 'e',
		opPut, 0, 5, 't', 'h', 'e', 'r', 'e', 0, // a bucket is no key
		opMove, 0, 4, 'g', 'o', 'n', 'e', 3, // and left out, too
	}
	if err := ParseOps(ops); err != nil {
		t.Fatal(err)
	}
	s.update(func(tx *Tx) error {
		left, err := Redo(tx, ops)
		if left != 2 {
			t.Errorf("%d operations were left out", left)
		}
		return err
	})
	tx := s.read()
	lost := tx.Bucket([]byte("lost"))
	in := lost.Bucket([]byte("in"))
	if string(lost.Get([]byte("k"))) != "v" || string(in.Get([]byte("k"))) != "w" ||
		in.Sequence() != 9 || string(tx.Bucket([]byte("there")).Get([]byte("k"))) != "x" {
		t.Error("the operations were not carried out")
	}
}

// Whatever bytes are redone, the result is an error or a sound state, and what Replay
// takes ParseOps takes, too.
func FuzzRedo(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{opCreate, 0, 1, 'b', opPut, 1, 1, 'k', 1, 'v', opSequence, 1, 9,
		opCreate, 1, 1, 'c', opMove, 1, 1, 'c', 0, opDelete, 1, 1, 'k',
		opRange, 1, 3, 1, 'a', 1, 'z', opDrop, 0, 1, 'b', opOpen, 0, 1, 'c'})
	f.Add([]byte{opPut, 0, 1, 'k', 1, 'v', opOpen, 0, 1, 'k', opPut, 1, 1, 'k', 0,
		opMove, 1, 1, 'k', 1})
	f.Add([]byte{opOpen, 0, 0, opCreate, 1, 1, 'x', opOpen, 2, 1, 'y'})
	f.Fuzz(func(t *testing.T, ops []byte) {
		parsed := ParseOps(ops)
		s := newMemStore(t, 9)
		tx := s.begin()
		left, err := Redo(tx, ops)
		if (err == nil) != (parsed == nil) {
			t.Errorf("Redo returns %v, ParseOps %v", err, parsed)
		}
		if err != nil {
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		} else if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		s.check()
		again := newMemStore(t, 9)
		tx = again.begin()
		if err := Replay(tx, ops); err == nil && (left > 0 || parsed != nil) {
			t.Errorf("Replay takes what Redo leaves out %d of, and ParseOps %v", left, parsed)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	})
}
