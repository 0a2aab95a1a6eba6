package tx

import (
	"fmt"
	"testing"
)

// A stale branch that is written is counted by the pages of its own epoch. What it notes
// of an older one stays: the memory of that may hold something else by now.
func TestCountedOfOwnEpoch(t *testing.T) {
	page := func(id PageID, stamp uint32) *Page {
		p := &Page{Buf: make([]byte, 4096), ID: id, Stamp: stamp, Kind: KindNode}
		return p
	}
	leaf := func(p *Page, n int) *Page {
		var items []item
		for i := range n {
			items = append(items, item{key: []byte{byte(p.ID), byte(i)}, kind: valueInline})
		}
		node(p.Body()).buildLeaf(items)
		return p
	}
	own, older := leaf(page(20, 9), 3), leaf(page(21, 4), 7)
	branch := page(22, 9)
	node(branch.Body()).buildBranch([]link{
		{child: own.Ref(), below: 2}, {sep: item{key: []byte{21}}, child: older.Ref(), below: 5},
	})
	branch.stale.Store(true)
	var o Overlay
	for _, p := range []*Page{own, older, branch} {
		o.Set(p, 1)
	}
	epoch := func(p *Page) bool { return p.Stamp >= 9 }
	n := node(branch.Counted(&o, epoch).Body())
	if n.below(0) != 3 || n.below(1) != 5 {
		t.Errorf("%d and %d records are noted, want 3 and 5", n.below(0), n.below(1))
	}
	n = node(branch.Counted(&o, nil).Body())
	if n.below(0) != 3 || n.below(1) != 7 {
		t.Errorf("%d and %d records are noted, want 3 and 7", n.below(0), n.below(1))
	}
}

// A leaf that takes in its neighbour may be spilled, and is not counted any more then. So
// what the branch above notes of it is right at once, also if the branch is stale: other
// transactions of the epoch have changed the neighbour alone.
func TestMergedBelowStaleIsSpilled(t *testing.T) {
	for start := 300; start < 370; start++ {
		s := newMemStore(t, 12)
		s.resident = true
		value := make([]byte, 60)
		s.update(func(t *Tx) error {
			b, err := t.CreateBucket([]byte("b"))
			for i := 0; i < 1000 && err == nil; i++ {
				err = b.Put(fmt.Appendf(nil, "key %04d", i), value)
			}
			return err
		})
		s.update(func(t *Tx) error {
			for i := 0; i < 1000; i += 2 {
				if err := t.Bucket([]byte("b")).Delete(fmt.Appendf(nil, "key %04d", i)); err != nil {
					return err
				}
			}
			return nil
		})
		s.spillLimit = 30 << 12
		s.update(func(t *Tx) error {
			b := t.Bucket([]byte("b"))
			between := func(i int) []byte { return fmt.Appendf(nil, "key %04d+%03d", start, i) }
			for i := range 200 {
				if err := b.Put(between(i), value); err != nil {
					return err
				}
			}
			for i := 199; i >= 0; i-- {
				if err := b.Delete(between(i)); err != nil {
					return err
				}
			}
			other, err := t.CreateBucket([]byte("other"))
			for i := 0; i < 200 && err == nil; i++ {
				err = other.Put([]byte{byte(i)}, make([]byte, 1000))
			}
			return err
		})
		s.check()
	}
}
