package tx

// An Overlay maps page ids to the pages in memory that count instead of those
// in the mapping: the dirty pages of a write transaction over the resident
// ones of its parent.
//
// It is a path-copied radix table. Copying the struct is a snapshot of it, in
// constant time; Set and Delete copy the nodes on their path unless those
// already carry the caller's owner mark, so a snapshot is never changed by
// what is built on it. The zero Overlay is empty.
//
// The shape is fixed by the width of a page id: a root that grows with the
// largest id, then 256, 128 and 64 ways. A look-up is four loads, the first
// two of which stay in the nearest cache.
type Overlay struct {
	root  []*overlayUpper
	owner uint64 // who may change root in place
}

const (
	overlayLeafBits  = 6
	overlayMidBits   = 7
	overlayUpperBits = 8
	overlayMidShift  = overlayLeafBits
	overlayUpShift   = overlayMidShift + overlayMidBits
	overlayRootShift = overlayUpShift + overlayUpperBits
)

type overlayUpper struct {
	owner uint64
	kids  [1 << overlayUpperBits]*overlayMid
}

type overlayMid struct {
	owner uint64
	kids  [1 << overlayMidBits]*overlayLeaf
}

type overlayLeaf struct {
	owner uint64
	pages [1 << overlayLeafBits]*Page
}

// Empty reports whether the overlay never held a page.
func (o *Overlay) Empty() bool { return len(o.root) == 0 }

// Get returns the page that stands for id, or nil if the mapping does.
func (o *Overlay) Get(id PageID) *Page {
	r := int(id >> overlayRootShift)
	if r >= len(o.root) {
		return nil
	}
	up := o.root[r]
	if up == nil {
		return nil
	}
	mid := up.kids[id>>overlayUpShift&(1<<overlayUpperBits-1)]
	if mid == nil {
		return nil
	}
	leaf := mid.kids[id>>overlayMidShift&(1<<overlayMidBits-1)]
	if leaf == nil {
		return nil
	}
	return leaf.pages[id&(1<<overlayLeafBits-1)]
}

// Set makes p stand for p.ID. Nodes marked with owner, which is never zero,
// are changed in place.
func (o *Overlay) Set(p *Page, owner uint64) { o.put(p.ID, p, owner) }

// Delete lets the mapping stand for id again.
func (o *Overlay) Delete(id PageID, owner uint64) {
	if o.Get(id) != nil {
		o.put(id, nil, owner)
	}
}

func (o *Overlay) put(id PageID, p *Page, owner uint64) {
	r := int(id >> overlayRootShift)
	if o.owner != owner || r >= len(o.root) {
		root := make([]*overlayUpper, max(len(o.root), r+1))
		copy(root, o.root)
		o.root, o.owner = root, owner
	}
	up := o.root[r]
	switch {
	case up == nil:
		up = &overlayUpper{owner: owner}
		o.root[r] = up
	case up.owner != owner:
		c := *up
		c.owner = owner
		up = &c
		o.root[r] = up
	}
	mid := &up.kids[id>>overlayUpShift&(1<<overlayUpperBits-1)]
	switch {
	case *mid == nil:
		*mid = &overlayMid{owner: owner}
	case (*mid).owner != owner:
		c := **mid
		c.owner = owner
		*mid = &c
	}
	leaf := &(*mid).kids[id>>overlayMidShift&(1<<overlayMidBits-1)]
	switch {
	case *leaf == nil:
		*leaf = &overlayLeaf{owner: owner}
	case (*leaf).owner != owner:
		c := **leaf
		c.owner = owner
		*leaf = &c
	}
	(*leaf).pages[id&(1<<overlayLeafBits-1)] = p
}
