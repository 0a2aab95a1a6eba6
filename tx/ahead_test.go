package tx

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// fillRandom returns a store with a bucket of count random keys, 100 bytes each.
func fillRandom(t *testing.T, shift uint8, count int) (*memStore, [][]byte) {
	s := newMemStore(t, shift)
	r := rand.New(rand.NewPCG(7, uint64(shift)))
	keys := make([][]byte, count)
	s.update(func(t *Tx) error {
		b, err := t.CreateBucket([]byte("b"))
		for i := range keys {
			keys[i] = binary.BigEndian.AppendUint64(nil, r.Uint64())
			if err == nil {
				err = b.Put(keys[i], make([]byte, 100))
			}
		}
		return err
	})
	return s, keys
}

// TestGuessCell counts how often the bytes that are asked for ahead hold the cell
// that is then read.
func TestGuessCell(t *testing.T) {
	s, keys := fillRandom(t, 12, 20_000)
	tx := s.read()
	guesses, hits := 0, 0
	for _, key := range keys {
		n, _, err := tx.Bucket([]byte("b")).rootNode()
		for err == nil && n.branch() {
			var i int
			if i, err = tx.snap.findBranch(n, key); err != nil {
				break
			}
			at, ok := n.guessCell(i, key, tx.snap.PageSize())
			n, _, err = tx.snap.load(n.child(i))
			if err != nil || n.branch() || !ok {
				continue
			}
			j, _, err := tx.snap.findLeaf(n, key)
			if err != nil {
				t.Fatal(err)
			}
			guesses++
			if cell := HeaderSize + n.cellAt(j); cell >= at && cell < at+cellsAhead {
				hits++
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if guesses < len(keys)*9/10 || hits < guesses*2/3 {
		t.Errorf("%d of %d guesses for %d keys led to the cell", hits, guesses, len(keys))
	}
	t.Logf("%d of %d guesses led to the cell", hits, guesses)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// TestAheadOfNothing asks for pages that are none, and for keys anywhere.
func TestAheadOfNothing(t *testing.T) {
	for _, shift := range []uint8{9, 12, 16} {
		s, keys := fillRandom(t, shift, 3000)
		tx := s.read()
		b := tx.Bucket([]byte("b"))
		root, _, err := b.rootNode()
		if err != nil || !root.branch() {
			t.Fatal("the tree is too small", err)
		}
		n := append(node(nil), root...)
		for i := 0; i <= n.count(); i++ {
			for _, id := range []PageID{0, 1, tx.snap.HWM - 1, tx.snap.HWM, math.MaxUint32} {
				ref := Ref{id, n.child(i).Stamp}
				n.setChild(i, ref)
				for _, below := range []uint64{0, 1, math.MaxUint64} {
					n.setBelow(i, below)
					for _, key := range [][]byte{nil, {0}, keys[i], {255, 255, 255, 255, 255}} {
						if page := tx.snap.inMapping(id); page != nil {
							n.searchAhead(&page[0], len(page), i, key)
						}
					}
				}
				tx.snap.leafAhead(ref)
			}
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}
