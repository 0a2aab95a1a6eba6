package tx

// This file moves pages out of the end of the file, so that it can be cut off there.
//
//	M1 Nothing but places changes: every node keeps its records, its children, and its
//	   position in the tree. So a way through the trees that was noted in one
//	   transaction leads on in the next, if no other came between them.
//	M2 A page is moved as one that is changed: the old one stays as it is for those
//	   who see it.

// A mover walks all trees and moves what ends behind page from.
type mover struct {
	t      *Tx
	from   PageID
	limit  int
	left   int    // of limit
	way    []int  // to the place that is looked at: of each level, which child or record
	resume []int  // to the place to begin at; nil once that is reached
	loaded uint64 // nodes so far; more than the database has pages is damage
}

// Vacate moves nodes and extents that lie at page from or behind it to where the pager
// puts new ones, about limit pages of them, and returns how to go on in the next
// transaction: nil if it has come to the end. way is what the call before returned, nil
// at first. An extent for which there is no room, or that is longer than limit, stays
// where it is. No bucket of t may have been opened.
func Vacate(t *Tx, from PageID, way []int, limit int) (next []int, err error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	defer t.guardErr(armFaults(), &err)
	m := &mover{t: t, from: from, limit: limit, left: limit, resume: way}
	root, err := m.tree(t.root.header.Root, 0, 0)
	if err != nil {
		t.fail(err)
		return nil, err
	}
	if root != t.root.header.Root {
		t.root.header.Root = root
		t.root.touch()
	}
	return m.way, nil
}

// tree moves what it has to of the tree at ref, and of what that leads to, and returns
// where the tree stands now. depth counts the nodes of this tree above ref, and level
// those of the trees that it is nested in, too: it is the place of ref in m.way.
func (m *mover) tree(ref Ref, level, depth int) (Ref, error) {
	if ref.ID == 0 {
		return ref, nil
	}
	t := m.t
	m.loaded++
	if depth > maxDepth || level > maxNesting || m.loaded > uint64(t.snap.HWM) {
		return ref, Corrupt(ref.ID, "tree leads in a circle")
	}
	n, p, err := t.snap.load(ref)
	if err == nil {
		err = t.foreign(n, p, ref)
	}
	if err != nil {
		return ref, err
	}
	f := &frame{node: n, page: p, ref: ref}
	if ref.ID >= m.from {
		if err := m.own(f); err != nil {
			return ref, err
		}
	}
	visit, count := m.record, n.count()
	switch {
	case n.branch():
		visit, count = m.child, count+1
	case n.fixed():
		count = 0 // its records lead nowhere
	}
	for i := m.start(level); i < count; i++ {
		m.way = append(m.way[:level], i)
		if err := visit(f, i, depth); err != nil || m.left <= 0 {
			return f.ref, err
		}
	}
	m.way = m.way[:level]
	if level == 0 {
		m.way = nil
	}
	return f.ref, nil
}

// start returns where to begin in a node at the given level.
func (m *mover) start(level int) int {
	if level >= len(m.resume) {
		return 0
	}
	i := m.resume[level]
	if level == len(m.resume)-1 {
		m.resume = nil
	}
	return i
}

// own makes the node of f one of the transaction's own, with a new place.
func (m *mover) own(f *frame) error {
	if m.t.owns(f.page) {
		return nil
	}
	m.left--
	return m.t.ownFrame(f)
}

// child moves what lies below child i of a branch, and the separator in front of it.
func (m *mover) child(f *frame, i, depth int) error {
	if i > 0 {
		if _, _, long := f.node.separator(i - 1); long != nil {
			to, err := m.extent(decodeLong(long))
			if err != nil {
				return err
			}
			if to != decodeLong(long) {
				if err := m.own(f); err != nil {
					return err
				}
				_, _, long = f.node.separator(i - 1)
				to.append(long[:0])
				if err := f.sound(); err != nil {
					return err
				}
			}
		}
	}
	ref := f.node.child(i)
	to, err := m.tree(ref, len(m.way), depth+1)
	if err != nil || to == ref {
		return err
	}
	if err := m.own(f); err != nil {
		return err
	}
	f.node.setChild(i, to)
	return nil
}

// record moves what record i of a leaf leads to.
func (m *mover) record(f *frame, i, _ int) error {
	at := f.node.cellAt(i)
	if u16(f.node[at:])&longBit == 0 && u16(f.node[at+2:])>>kindShift == valueInline {
		return nil
	}
	r := f.node.record(i)
	if r.long != nil {
		to, err := m.extent(decodeLong(r.long))
		if err != nil {
			return err
		}
		if to != decodeLong(r.long) {
			if err := m.own(f); err != nil {
				return err
			}
			r = f.node.record(i)
			to.append(r.long[:0])
			if err := f.sound(); err != nil {
				return err
			}
		}
	}
	switch r.kind {
	case valueExtent:
		to, err := m.extent(decodeLong(r.value))
		if err != nil || to == decodeLong(r.value) {
			return err
		}
		if err := m.own(f); err != nil {
			return err
		}
		to.append(f.node.record(i).value[:0])
		return f.sound()
	case valueBucket:
		h := DecodeBucketHeader(r.value)
		to, err := m.tree(h.Root, len(m.way), 0)
		if err != nil || to == h.Root {
			return err
		}
		if err := m.own(f); err != nil {
			return err
		}
		h.Root = to
		h.Append(f.node.record(i).value[:0])
		return f.sound()
	}
	return nil
}

// sound returns an error if a place that was written in place was part of another cell,
// too: check lets cells overlap that are out of order.
func (f *frame) sound() error {
	if err := f.node.check(); err != nil {
		return Corrupt(f.ref.ID, "cells overlap: %v", err)
	}
	return nil
}

// extent moves the extent r if it has to, and returns where it is then.
func (m *mover) extent(r longRef) (longRef, error) {
	t := m.t
	count := extentPages(r.size, t.own.Shift)
	if uint64(r.ID)+uint64(count) <= uint64(m.from) || int(count) > m.limit {
		return r, nil
	}
	if int(count) > m.left {
		m.left = 0 // the next transaction begins with it
		return r, nil
	}
	data, err := t.snap.extent(r)
	if err != nil {
		return r, err
	}
	to, err := t.newExtent(data)
	if err != nil {
		return r, nil // it stays
	}
	m.left -= int(count)
	t.free(r.Ref, count)
	return to, nil
}
