package tx

import "testing"

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
