package tx

// This file finds records and makes paths writable.
//
//	T1 A page is changed only if the running transaction owns it: nobody else
//	   can see it then. Every other page is copied first: a resident one of this
//	   epoch under its id (S5), any other to a new id, of which its parent is told.
//	T2 A path is owned from the root down, so that a parent is owned before
//	   its child's new place is written into it. Only a leaf that keeps its id
//	   can be owned alone.

// A frame is one step of a descent: a node, where it came from, and which
// child or record of it was taken.
type frame struct {
	node node
	page *Page // in memory, or nil
	ref  Ref
	idx  int
}

// rootNode returns the root of the bucket's tree; nil if it has no records.
func (b *Bucket) rootNode() (node, *Page, error) {
	if b.header.Root.ID != 0 {
		return b.tx.snap.load(b.header.Root)
	}
	return b.inline.bytes(b.tx.snap), nil, nil
}

// find descends to key. It returns the leaf, its page if it is in memory, the
// first record that is not below key, and whether that is key itself.
func (b *Bucket) find(key []byte) (n node, p *Page, i int, found bool, err error) {
	s := b.tx.snap
	n, p, err = b.rootNode()
	for depth := 0; err == nil && len(n) > 0; depth++ {
		if !n.branch() {
			i, found, err = s.findLeaf(n, key)
			return n, p, i, found, err
		}
		if depth == maxDepth {
			return nil, nil, 0, false, b.tooDeep()
		}
		if i, err = s.findBranch(n, key); err == nil {
			n, p, err = s.childFor(n, i, key)
		}
	}
	return nil, nil, 0, false, err
}

func (b *Bucket) tooDeep() error {
	return Corrupt(b.header.Root.ID, "tree is deeper than %d levels", maxDepth)
}

// findPath is find for a change: it leaves the way to the record in t.path.
// The path of a tree without pages is empty.
func (b *Bucket) findPath(key []byte) (found bool, err error) {
	t := b.tx
	if t.appending == b && t.appendVersion == b.version() {
		f := &t.path[len(t.path)-1]
		end, above := f.node.count(), f.node.clearlyAbove(key)
		if !above {
			i, _, err := t.snap.findLeaf(f.node, key)
			above = i == end && err == nil
		}
		if above {
			f.idx = end
			return false, nil
		}
	}
	t.path, t.appending = t.path[:0], nil
	if err := b.outline(); err != nil {
		return false, err
	}
	ref := b.header.Root
	for ref.ID != 0 {
		if len(t.path) > maxDepth {
			return false, b.tooDeep()
		}
		n, p, err := t.snap.load(ref)
		if err != nil {
			return false, err
		}
		if p == nil || !n.branch() && !t.owns(p) {
			n.copyAhead()
		}
		f := frame{node: n, page: p, ref: ref}
		if !n.branch() {
			f.idx, found, err = t.snap.findLeaf(n, key)
			t.path = append(t.path, f)
			return found, err
		}
		if f.idx, err = t.snap.findBranch(n, key); err != nil {
			return false, err
		}
		t.path = append(t.path, f)
		ref = n.child(f.idx)
	}
	return false, nil
}

// appended notes that a record was inserted in place behind all others, where the
// path leads. If the next key is above it, no search is needed.
func (b *Bucket) appended() {
	t := b.tx
	for i := range t.path {
		if f := &t.path[i]; f.node.branch() && f.idx != f.node.count() {
			return
		}
	}
	t.appending, t.appendVersion = b, b.version()
}

// outline gives an inline bucket a page of its own before it is changed.
func (b *Bucket) outline() error {
	n := b.inline.bytes(b.tx.snap)
	if len(n) == 0 || b.header.Root.ID != 0 {
		return nil
	}
	t := b.tx
	p, err := t.newNode()
	if err != nil {
		return err
	}
	t.resetGather()
	node(p.Body()).buildLeaf(t.gatherLeaf(n))
	p.tidy = true
	b.header.Root, b.inline = p.Ref(), nil
	b.touch()
	return nil
}

// touch notes that the tree of the bucket has changed, and its header may have.
func (b *Bucket) touch() {
	b.edit.dirty = true
	b.edit.version++
	b.tx.changed = true
}

// owns tells whether p, nil for a page in the mapping, belongs to the transaction.
func (t *Tx) owns(p *Page) bool { return p != nil && p.Owner == t.own.TxID }

// stays tells whether p keeps its id when it is changed (S5).
func (t *Tx) stays(p *Page) bool { return p != nil && p.Epoch == t.own.Epoch }

// newNode allocates a node page and makes it part of the transaction's state.
func (t *Tx) newNode() (*Page, error) {
	p, err := t.pager.Alloc(KindNode, 1)
	if err != nil {
		return nil, err
	}
	t.fresh++
	t.hold(p)
	t.stats.IncPageCount(1)
	t.stats.IncNodeCount(1)
	t.stats.IncPageAlloc(int64(len(p.Buf)))
	return p, nil
}

// hold makes the node page p, whose bytes are still to come, one of the
// transaction's own.
func (t *Tx) hold(p *Page) {
	p.Owner, p.Epoch = t.own.TxID, t.own.Epoch
	t.spilled.dirty += int64(len(p.Buf))
	t.born = append(t.born, p)
	t.own.Overlay.Set(p, uint64(t.own.TxID))
}

// newExtent allocates an extent and copies data into it.
func (t *Tx) newExtent(data []byte) (longRef, error) {
	count := extentPages(uint32(len(data)), t.own.Shift)
	p, err := t.pager.Alloc(KindExtent, count)
	if err != nil {
		return longRef{}, err
	}
	clear(p.Buf[HeaderSize+copy(p.Body(), data):])
	p.Owner, p.Epoch = t.own.TxID, t.own.Epoch
	t.spilled.dirty += int64(len(p.Buf))
	t.own.Overlay.Set(p, uint64(t.own.TxID))
	t.stats.IncPageCount(int64(count))
	t.stats.IncPageAlloc(int64(len(p.Buf)))
	return longRef{p.Ref(), uint32(len(data))}, nil
}

// free gives back an extent, wherever it is.
func (t *Tx) free(ref Ref, count uint32) {
	p := t.own.Overlay.Get(ref.ID)
	if p != nil {
		if p.Stamp != ref.Stamp {
			t.fail(Corrupt(ref.ID, "reference to stamp %d, and the page is of %d",
				ref.Stamp, p.Stamp))
			return
		}
		t.own.Overlay.Delete(ref.ID, uint64(t.own.TxID))
	}
	t.pager.Free(ref, count, p)
}

// freeLong gives back the extent of a long key or value, given its place.
func (t *Tx) freeLong(place []byte) {
	r := decodeLong(place)
	t.free(r.Ref, extentPages(r.size, t.own.Shift))
}

// ownPath makes every page of t.path one of this transaction (T1, T2).
func (b *Bucket) ownPath() error {
	t := b.tx
	for i := range t.path {
		f := &t.path[i]
		if t.owns(f.page) {
			continue
		}
		if err := t.ownFrame(f); err != nil {
			return err
		}
		if i == 0 {
			b.header.Root = f.ref
		} else {
			t.path[i-1].node.setChild(t.path[i-1].idx, f.ref)
		}
	}
	b.touch()
	return nil
}

// ownLeaf does so for what a change of one record needs: if the leaf keeps its id,
// that is the leaf alone. Pages above it that were spilled are taken back for their
// counts.
func (b *Bucket) ownLeaf() error {
	t := b.tx
	f := &t.path[len(t.path)-1]
	if !t.stays(f.page) || t.spilled.pages != nil {
		return b.ownPath()
	}
	if err := t.inMemory(t.path); err != nil {
		return err
	}
	b.edit.version++
	t.changed = true
	return t.ownFrame(f)
}

// ownFrame makes the page of f one of this transaction.
func (t *Tx) ownFrame(f *frame) error {
	switch {
	case t.owns(f.page):
		return nil
	case t.stays(f.page), f.page == nil && !t.spilled.handed && t.spilledPage(f.ref):
		t.renew(f)
		return nil
	}
	if err := t.foreign(f.node, f.page, f.ref); err != nil {
		return err
	}
	p, err := t.newNode()
	if err != nil {
		return err
	}
	copy(p.Body(), f.node)
	p.tidy = f.node.tidy()
	if f.page != nil && f.page.stale.Load() {
		t.own.Overlay.recount(p.Body(), nil) // C3
	}
	t.free(f.ref, 1)
	f.node, f.page, f.ref = p.Body(), p, p.Ref()
	return nil
}

// renew replaces the resident or spilled page of f by a copy under the same id.
func (t *Tx) renew(f *frame) {
	p := t.pager.Renew(f.ref, f.page)
	p.tidy = f.page == nil || f.page.tidy
	p.stale.Store(f.page != nil && f.page.stale.Load())
	copy(p.Body(), f.node)
	t.hold(p)
	f.node, f.page = p.Body(), p
}

// rebuild replaces the contents of the page at f by what build writes. Bytes
// that were handed out of the old buffer stay as they are (I6).
func (t *Tx) rebuild(f *frame, build func(node)) {
	buf := t.pager.Scratch()
	build(buf[HeaderSize:])
	old := f.page.Buf
	f.page.Buf = buf
	f.node = f.page.Body()
	if f.page.lent {
		t.pager.Drop(old)
	} else {
		t.pager.Recycle(old)
	}
	f.page.lent, f.page.tidy = false, true
}

// rebuildBranch does so for a branch, from all its links.
func (t *Tx) rebuildBranch(f *frame, links []link) {
	t.rebuild(f, func(n node) { n.buildBranch(links) })
	f.page.stale.Store(false)
}

// tidy puts the cells of all leaves that the transaction leaves behind into key
// order. Its user is done with their bytes.
func (t *Tx) tidy() {
	for _, p := range t.born {
		n := node(p.Body())
		if p.tidy || n.tidy() || t.own.Overlay.Get(p.ID) != p {
			continue
		}
		f := frame{node: n, page: p}
		t.rebuild(&f, n.tidyInto)
	}
}
