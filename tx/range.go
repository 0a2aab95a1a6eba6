package tx

import (
	"bytes"
)

// This file deletes ranges of keys: subtrees that lie wholly inside are freed
// without being edited, and only the two edges are rebuilt.

// DeleteRange deletes the keys from lo up to, but not including, hi, nested
// buckets with all that they hold among them, and returns how many keys of this
// bucket there were. A nil bound is none. It returns ErrTxNotWritable or
// ErrTxClosed.
func (b *Bucket) DeleteRange(lo, hi []byte) (deleted uint64, err error) {
	if err := b.usable(); err != nil {
		return 0, err
	}
	if lo != nil && hi != nil && bytes.Compare(lo, hi) >= 0 {
		return 0, nil
	}
	t := b.tx
	if !t.managed {
		defer t.guardErr(armFaults(), &err)
	}
	if deleted, err = b.deleteRange(lo, hi); err != nil {
		t.fail(err)
	}
	if deleted > 0 {
		b.noteRange(lo, hi)
	}
	return deleted, err
}

func (b *Bucket) deleteRange(lo, hi []byte) (uint64, error) {
	if err := b.outline(); err != nil {
		return 0, err
	}
	if b.header.Root.ID == 0 {
		return 0, nil
	}
	b.tx.writing.cleared = 0
	root, deleted, err := b.prune(b.header.Root, lo, hi, 0)
	if err != nil || deleted == 0 {
		return 0, err
	}
	b.header.Root = root
	b.header.Count -= deleted
	b.edit.lastPage = 0
	b.touch()
	return deleted, b.mend(lo)
}

// prune deletes [lo, hi) from the tree at ref. It returns where the tree stands
// now, the zero Ref if nothing is left, and how many records went.
func (b *Bucket) prune(ref Ref, lo, hi []byte, depth int) (Ref, uint64, error) {
	t := b.tx
	if depth > maxDepth {
		return ref, 0, b.tooDeep()
	}
	n, p, err := t.snap.load(ref)
	if err == nil {
		err = t.foreign(n, p, ref)
	}
	if err != nil {
		return ref, 0, err
	}
	f := &frame{node: n, page: p, ref: ref}
	if n.branch() {
		return b.pruneBranch(f, lo, hi, depth)
	}
	return b.pruneLeaf(f, lo, hi)
}

// cut returns the position of a bound in n; open is that of no bound.
func (s *Snapshot) cut(n node, bound []byte, open int) (int, error) {
	if bound == nil {
		return open, nil
	}
	if n.branch() {
		return s.findBranch(n, bound)
	}
	i, _, err := s.findLeaf(n, bound)
	return i, err
}

func (b *Bucket) pruneLeaf(f *frame, lo, hi []byte) (Ref, uint64, error) {
	t := b.tx
	c := f.node.count()
	i, err := t.snap.cut(f.node, lo, 0)
	if err != nil {
		return f.ref, 0, err
	}
	j, err := t.snap.cut(f.node, hi, c)
	if err != nil || i >= j {
		return f.ref, 0, err
	}
	if err := b.clearRecords(f.node, i, j); err != nil {
		return f.ref, 0, err
	}
	if i == 0 && j == c {
		t.free(f.ref, 1)
		return Ref{}, uint64(c), nil
	}
	if err := t.ownFrame(f); err != nil {
		return f.ref, 0, err
	}
	t.resetGather()
	items := t.gatherLeaf(f.node)
	items = append(items[:i], items[j:]...)
	t.rebuild(f, func(n node) { n.buildLeaf(items) })
	return f.ref, uint64(j - i), nil
}

func (b *Bucket) pruneBranch(f *frame, lo, hi []byte, depth int) (Ref, uint64, error) {
	t := b.tx
	n := f.node
	i, err := t.snap.cut(n, lo, 0)
	if err != nil {
		return f.ref, 0, err
	}
	j, err := t.snap.cut(n, hi, n.count())
	if err != nil {
		return f.ref, 0, err
	}
	t.resetGather()
	links := append([]link(nil), t.gatherBranch(n, f.page)...)
	for k := range links { // the scratch is used again further down
		links[k].sep.key = bytes.Clone(links[k].sep.key)
		links[k].sep.long = bytes.Clone(links[k].sep.long)
	}
	var sum uint64
	kept := links[:0:len(links)]
	for k := range links {
		l := links[k]
		if k >= i && k <= j {
			var gone uint64
			if k > i && k < j {
				gone, err = l.below, b.clearTree(l.child, depth+1)
				l.child = Ref{}
			} else {
				l.child, gone, err = b.prune(l.child, lo, hi, depth+1)
			}
			if err != nil {
				return f.ref, 0, err
			}
			l.below -= gone
			sum += gone
		}
		if l.child.ID == 0 || len(kept) == 0 {
			if k > 0 && l.sep.long != nil {
				t.freeLong(l.sep.long)
			}
			l.sep = item{}
		}
		if l.child.ID != 0 {
			kept = append(kept, l)
		}
	}
	switch {
	case sum == 0:
		return f.ref, 0, nil
	case len(kept) == 0:
		t.free(f.ref, 1)
		return Ref{}, sum, nil
	}
	if err := t.ownFrame(f); err != nil {
		return f.ref, 0, err
	}
	t.rebuildBranch(f, kept)
	return f.ref, sum, nil
}

// mend restores D1 and D2 along the cut that a range deletion left at lo, and
// at the root.
func (b *Bucket) mend(lo []byte) error {
	t := b.tx
	if b.header.Root.ID == 0 {
		return nil
	}
	if _, err := b.findPath(lo); err != nil {
		return err
	}
	if err := b.ownPath(); err != nil {
		return err
	}
	for level := len(t.path) - 1; level > 0; level-- {
		if f := &t.path[level]; f.node.used() < mergeBelow(len(f.node)) {
			if _, err := b.merge(level); err != nil {
				return err
			}
		}
	}
	return b.shrinkRoot(&t.path[0])
}
