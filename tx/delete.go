package tx

import "bytes"

// This file takes records out of the tree.
//
//	D1 A leaf that loses its last record leaves the tree. A node that uses less
//	   than two fifths of its page is merged with a neighbour below the same
//	   parent if both fill at most nine tenths of one.
//	D2 A branch may be down to one child when no neighbour takes it in; a root
//	   with one child makes way for the child.

// mergeBelow and mergeFill are D1's bounds for a node of the given size.
func mergeBelow(size int) int { return size * 2 / 5 }
func mergeFill(size int) int  { return size * 9 / 10 }

// remove removes the record to which findPath has just led. The extents of its
// value and key are freed; what a bucket record leads to is left to the caller.
func (b *Bucket) remove() error {
	err := b.removeOwned()
	if err != nil {
		b.tx.fail(err)
	}
	return err
}

func (b *Bucket) removeOwned() error {
	t := b.tx
	if err := b.ownLeaf(); err != nil {
		return err
	}
	level := len(t.path) - 1
	f := &t.path[level]
	r := f.node.record(f.idx)
	if r.kind == valueExtent {
		t.freeLong(r.value)
	}
	if r.long != nil {
		t.freeLong(r.long)
	}
	f.page.tidy = f.page.tidy && !f.page.lent
	f.node.removeLeaf(f.idx, f.page.tidy)
	b.adjust(-1)
	b.edit.lastPage = 0
	if level > 0 && f.node.count() > 0 && f.node.used() >= mergeBelow(len(f.node)) {
		return nil
	}
	if err := b.ownPath(); err != nil { // ownLeaf may have left the parents alone
		return err
	}
	return b.shrink(level)
}

// shrink restores D1 and D2 from the page at level of the path upwards.
func (b *Bucket) shrink(level int) error {
	t := b.tx
	for ; level >= 0; level-- {
		f := &t.path[level]
		c := f.node.count()
		if level == 0 {
			return b.shrinkRoot(f)
		}
		if !f.node.branch() && c == 0 {
			t.free(f.ref, 1)
			level = b.unlink(level) + 1
			continue
		}
		if f.node.used() >= mergeBelow(len(f.node)) {
			return nil
		}
		merged, err := b.merge(level)
		if err != nil || !merged {
			return err
		}
	}
	return nil
}

// shrinkRoot removes an empty root, or one that has a single child.
func (b *Bucket) shrinkRoot(f *frame) error {
	t := b.tx
	ref, n := f.ref, f.node
	for n.branch() && n.count() == 0 {
		child := n.child(0)
		t.free(ref, 1)
		b.header.Root = child
		var err error
		if ref = child; ref.ID == 0 {
			return nil
		}
		if n, _, err = t.snap.load(ref); err != nil {
			return err
		}
	}
	if !n.branch() && n.count() == 0 {
		t.free(ref, 1)
		b.header.Root = Ref{}
	}
	return nil
}

// unlink removes the child at level of the path, whose page is free already,
// from its parent, and a parent that had no other child likewise. It returns
// the level of the page that lost a child and lives on, or -1 if the tree is empty.
func (b *Bucket) unlink(level int) int {
	t := b.tx
	for level--; level >= 0; level-- {
		parent := &t.path[level]
		n := parent.node
		if n.count() > 0 {
			sep := max(0, parent.idx-1)
			t.freeSep(n, sep)
			n.removeSep(sep, parent.idx)
			return level
		}
		t.free(parent.ref, 1)
	}
	b.header.Root = Ref{}
	return -1
}

// freeSep frees the extent of separator i if it has one.
func (t *Tx) freeSep(n node, i int) {
	if _, _, long := n.separator(i); long != nil {
		t.freeLong(long)
	}
}

// merge joins the page at level of the path with a neighbour, if both are small
// enough, and tells if it did.
func (b *Bucket) merge(level int) (bool, error) {
	parent := &b.tx.path[level-1]
	for _, left := range [2]int{parent.idx - 1, parent.idx} {
		if left < 0 || left+1 > parent.node.count() {
			continue
		}
		merged, err := b.mergePair(level, left)
		if merged || err != nil {
			return merged, err
		}
	}
	return false, nil
}

// mergePair joins children left and left+1 of the parent of the page at level,
// which is one of the two, into that page.
func (b *Bucket) mergePair(level, left int) (bool, error) {
	t := b.tx
	parent, f := &t.path[level-1], &t.path[level]
	other := left
	if other == parent.idx {
		other++
	}
	ref := parent.node.child(other)
	n, p, err := t.snap.load(ref)
	if err == nil {
		err = t.foreign(n, p, ref)
	}
	if err != nil {
		return false, err
	}
	if n.branch() != f.node.branch() {
		return false, Corrupt(ref.ID, "leaf and branch are neighbours")
	}
	limit := mergeFill(len(f.node))
	if n.used()+f.node.used() > limit {
		return false, nil
	}
	first, second := &frame{node: n, page: p}, f
	if other > left {
		first, second = second, first
	}
	t.resetGather()
	var build func(node)
	if n.branch() {
		links, at := t.gatherJoined(first, second, parent.node, left)
		if at > 1 && !links[at-1].sep.before(&links[at].sep) ||
			at+1 < len(links) && !links[at].sep.before(&links[at+1].sep) {
			return false, notInOrder(parent.ref, left)
		}
		if branchSize(links) > limit {
			return false, nil
		}
		build = func(n node) { n.buildBranch(links) }
	} else {
		at := len(t.gatherLeaf(first.node))
		t.gatherLeaf(second.node)
		items := t.items
		if !items[at-1].before(&items[at]) {
			return false, notInOrder(parent.ref, left)
		}
		if leafSize(items) > limit {
			return false, nil
		}
		build = func(n node) { n.buildLeaf(items) }
		t.freeSep(parent.node, left)
	}
	// The parent may be stale, and what is spilled later is not counted again (C1, C4).
	sum := t.snap.below(parent.node, parent.page, left) +
		t.snap.below(parent.node, parent.page, left+1)
	t.rebuild(f, build)
	f.page.stale.Store(false)
	t.free(ref, 1)
	parent.node.removeSep(left, other)
	parent.node.setChild(left, f.ref)
	parent.node.setBelow(left, sum)
	parent.idx = left
	t.stats.IncRebalance(1)
	return true, nil
}

// gatherJoined gathers the links of two branches; the separator left of their
// parent comes down between them, to the link at at.
func (t *Tx) gatherJoined(first, second *frame, parent node, left int) (links []link, at int) {
	t.gatherBranch(first.node, first.page)
	at = len(t.links)
	t.gatherBranch(second.node, second.page)
	_, _, long := parent.separator(left)
	t.links[at].sep = item{
		key:  parent.appendSep(nil, left),
		long: bytes.Clone(long),
	}
	return t.links, at
}

// notInOrder returns that children left and left+1 of the branch at ref, and its
// separator between them, contradict each other: each was sound for itself.
func notInOrder(ref Ref, left int) error {
	return Corrupt(ref.ID, "children %d and %d are out of order", left, left+1)
}
