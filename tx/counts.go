package tx

import "github.com/mapleafdb/mapleaf/internal/invariant"

// A branch notes how many records lie below each child. While its page is resident, a
// record that comes or goes in a leaf would have every page above it copied for that
// alone. So the leaf is changed by itself, and what is above it is marked stale.
//
//	C1 What a branch notes for a child is right, unless its page is in memory and
//	   marked stale: then it is right for children in the mapping, and those in
//	   memory are counted.
//	C2 A page is marked only by transactions of its own epoch. All pages above one of
//	   an epoch in memory are of that epoch, too (T2), so each is marked, and is
//	   written together with what it leads to.
//	C3 A copy for a later epoch is made right, as the children of the older one leave
//	   memory when they are written. What is written is right.
//	C4 A page that was born in the running transaction is not stale, and its count is
//	   right above it: both are owned. So such pages can be spilled as they are.

// adjust adds delta to the record counts on the way to the current leaf.
func (b *Bucket) adjust(delta int) {
	t := b.tx
	for i := range t.path[:max(0, len(t.path)-1)] {
		f := &t.path[i]
		switch {
		case t.owns(f.page):
			f.node.setBelow(f.idx, f.node.below(f.idx)+uint64(delta))
		case !f.page.stale.Load():
			if invariant.Enabled && !t.stays(f.page) {
				panic("tx: a branch of another epoch is marked") // C2
			}
			f.page.stale.Store(true)
		}
	}
	b.header.Count += uint64(delta)
	b.edit.dirty = true
}

// below returns how many records lie below child i of n, with page p or nil.
func (s *Snapshot) below(n node, p *Page, i int) uint64 {
	if p == nil || !p.stale.Load() {
		return n.below(i)
	}
	return s.Overlay.below(n, i, 0, nil)
}

// below does so for a branch that is stale. It looks at the pages of
// which in says so, or at all if that is nil.
func (o *Overlay) below(n node, i, depth int, in func(*Page) bool) uint64 {
	ref := n.child(i)
	p := o.Get(ref.ID)
	if p == nil || p.Stamp != ref.Stamp || depth > maxDepth || in != nil && !in(p) {
		return n.below(i)
	}
	kid := node(p.Body())
	if !kid.branch() || !p.stale.Load() {
		return kid.total()
	}
	var sum uint64
	for j := range kid.count() + 1 {
		sum += o.below(kid, j, depth+1, in)
	}
	return sum
}

// recount makes the counts in n right, which are those of a stale branch.
func (o *Overlay) recount(n node, in func(*Page) bool) {
	for i := range n.count() + 1 {
		n.setBelow(i, o.below(n, i, 0, in))
	}
}

// Counted returns p with its record counts as the pages in o say: p itself, or a copy
// if they are not noted in it yet. That is what is to be written. Of the pages in o those
// count that in reports, which are those of p's epoch: what p notes of older ones is right
// (C3), and their memory may be used for others once they are written. Nil is for who
// sees all of o.
func (p *Page) Counted(o *Overlay, in func(*Page) bool) *Page {
	if !p.stale.Load() {
		return p
	}
	c := &Page{Buf: make([]byte, len(p.Buf)), ID: p.ID, Stamp: p.Stamp, Kind: p.Kind}
	copy(c.Body(), p.Body()) // the header is the store's, who may be writing it
	o.recount(c.Body(), in)
	return c
}
