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
// The shape is fixed by the width of a page id: four levels of 32 ways below a
// root that grows with the largest id. Narrow nodes keep the copies of a small
// commit small; the upper ones stay in the nearest cache, so that a look-up
// costs little more than one of two wide levels.
type Overlay struct {
	first *overlayUpper   // for the first million pages
	more  []*overlayUpper // for a million each
	owner uint64          // who may change more in place
}

const (
	overlayBits = 5
	overlayWays = 1 << overlayBits
	overlayMask = overlayWays - 1
)

// An overlayLevel is a node that leads to 32 others, or to pages.
type overlayLevel[K any] struct {
	owner uint64
	kids  [overlayWays]*K
}

// An overlayLeaf leads to pages. It has the addresses of their bytes beside them, so that
// these can be asked for at once, and do not wait until the Page has come from memory.
type overlayLeaf struct {
	overlayLevel[Page]
	bytes [overlayWays]*byte
}

type (
	overlayLow   = overlayLevel[overlayLeaf]
	overlayMid   = overlayLevel[overlayLow]
	overlayUpper = overlayLevel[overlayMid]
)

// Empty reports whether the overlay never held a page.
func (o *Overlay) Empty() bool { return o.first == nil && len(o.more) == 0 }

// Get returns the page that stands for id, or nil if the mapping does.
func (o *Overlay) Get(id PageID) *Page {
	if leaf := o.leaf(id); leaf != nil {
		return leaf.kids[id&overlayMask]
	}
	return nil
}

// leaf returns the node that leads to the page that stands for id, if there is one.
func (o *Overlay) leaf(id PageID) *overlayLeaf {
	upper := o.first
	if r := int(id >> (4 * overlayBits)); r > 0 {
		if r > len(o.more) {
			return nil
		}
		upper = o.more[r-1]
	}
	if upper == nil {
		return nil
	}
	mid := upper.kids[id>>(3*overlayBits)&overlayMask]
	if mid == nil {
		return nil
	}
	low := mid.kids[id>>(2*overlayBits)&overlayMask]
	if low == nil {
		return nil
	}
	return low.kids[id>>overlayBits&overlayMask]
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
	top := &o.first
	if r := int(id >> (4 * overlayBits)); r > 0 {
		if o.owner != owner || r > len(o.more) {
			more := make([]*overlayUpper, max(len(o.more), r))
			copy(more, o.more)
			o.more, o.owner = more, owner
		}
		top = &o.more[r-1]
	}
	upper := owned(top, owner)
	mid := owned(&upper.kids[id>>(3*overlayBits)&overlayMask], owner)
	low := owned(&mid.kids[id>>(2*overlayBits)&overlayMask], owner)
	leaf := ownedLeaf(&low.kids[id>>overlayBits&overlayMask], owner)
	i := id & overlayMask
	leaf.kids[i], leaf.bytes[i] = p, nil
	if p != nil && len(p.Buf) > 0 {
		leaf.bytes[i] = &p.Buf[0]
	}
}

// ownedLeaf is owned for a leaf.
func ownedLeaf(p **overlayLeaf, owner uint64) *overlayLeaf {
	n := *p
	if n != nil && n.owner == owner {
		return n
	}
	c := new(overlayLeaf)
	if n != nil {
		*c = *n
	}
	c.owner = owner
	*p = c
	return c
}

// owned makes the node at p one that owner may change, and returns it.
func owned[K any](p **overlayLevel[K], owner uint64) *overlayLevel[K] {
	n := *p
	if n != nil && n.owner == owner {
		return n
	}
	c := &overlayLevel[K]{owner: owner}
	if n != nil {
		c.kids = n.kids
	}
	*p = c
	return c
}

// All calls fn for every page, in ascending order of their ids, until it returns
// false.
func (o *Overlay) All(fn func(*Page) bool) {
	if !eachPage(o.first, fn) {
		return
	}
	for _, upper := range o.more {
		if !eachPage(upper, fn) {
			return
		}
	}
}

func eachPage(n *overlayUpper, fn func(*Page) bool) bool {
	return each(n, func(mid *overlayMid) bool {
		return each(mid, func(low *overlayLow) bool {
			return each(low, func(leaf *overlayLeaf) bool { return each(&leaf.overlayLevel, fn) })
		})
	})
}

func each[K any](n *overlayLevel[K], fn func(*K) bool) bool {
	if n == nil {
		return true
	}
	for _, kid := range n.kids {
		if kid != nil && !fn(kid) {
			return false
		}
	}
	return true
}
