package tx

import "bytes"

// This file puts records into the tree: in place, by rebuilding the leaf, or by
// splitting it.
//
//	W1 A leaf is split in the middle by bytes, except at its right edge by
//	   ascending keys: then it is left full, so that an ascending load fills
//	   its pages.
//	W2 Counts on the way are right before a page is split, so a split only
//	   has to divide them.

// store writes it at the place to which findPath has just led; found tells if a
// record stands there, which it replaces. key is the whole key.
func (b *Bucket) store(key []byte, it *item, found bool) error {
	for {
		again, err := b.storeOnce(it, found)
		if err != nil {
			b.tx.fail(err)
			return err
		}
		if !again {
			return nil
		}
		// The record fits in neither half of its leaf. The leaf was divided
		// where the record belongs, so that it will fit at an edge.
		if found, err = b.findPath(key); err != nil {
			b.tx.fail(err)
			return err
		}
	}
}

func (b *Bucket) storeOnce(it *item, found bool) (again bool, err error) {
	t := b.tx
	if len(t.path) == 0 {
		p, err := t.newNode()
		if err != nil {
			return false, err
		}
		node(p.Body()).buildLeaf([]item{*it})
		p.tidy = true
		b.header.Root = p.Ref()
		b.header.Count = 1
		b.appendedTo(p.ID, 0)
		b.touch()
		return false, nil
	}
	if found {
		return b.replace(it)
	}
	if err := b.ownLeaf(); err != nil {
		return false, err
	}
	f := &t.path[len(t.path)-1]
	// Behind the last record no cell has to move, which ascending keys rely on;
	// such a leaf is tidied once, at commit.
	tidy := f.page.tidy && !f.page.lent && f.idx < f.node.count()
	if f.node.insertLeaf(f.idx, it, tidy) {
		f.page.tidy = tidy
		b.adjust(1)
		b.appendedTo(f.page.ID, f.idx)
		if f.idx == f.node.count()-1 {
			b.appended()
		}
		return false, nil
	}
	if b.ascending(f.page.ID, f.idx, f.node.count()) && f.node.full(it) {
		return false, b.splitEdge(it)
	}
	return b.rebuildLeaf(it, false)
}

// replace puts it in the place of the record to which findPath has just led.
func (b *Bucket) replace(it *item) (again bool, err error) {
	t := b.tx
	if err := b.ownLeaf(); err != nil {
		return false, err
	}
	f := &t.path[len(t.path)-1]
	if kind, old := f.node.value(f.idx); kind == valueExtent {
		t.freeLong(old)
	}
	low := f.node.low()
	if f.node.replaceLeaf(f.idx, it, f.page.lent) {
		f.page.tidy = f.page.tidy && f.node.low() == low
		return false, nil
	}
	return b.rebuildLeaf(it, true)
}

// appendedTo notes where the last record was inserted, to tell ascending keys.
func (b *Bucket) appendedTo(id PageID, i int) { b.edit.lastPage, b.edit.lastIdx = id, i }

// ascending tells whether inserting at record i of page id, which has c
// records, goes on with an ascending run.
func (b *Bucket) ascending(id PageID, i, c int) bool {
	return i == c && b.edit.lastPage == id && b.edit.lastIdx == i-1
}

// rebuildLeaf builds the leaf at the end of the path anew, with it at its place,
// and splits it if it does not fit.
func (b *Bucket) rebuildLeaf(it *item, replace bool) (again bool, err error) {
	t := b.tx
	f := &t.path[len(t.path)-1]
	t.resetGather()
	items := t.gatherLeaf(f.node)
	count, i := len(items), f.idx
	if replace {
		it.long = items[i].long
		it.key = items[i].key
		items[i] = *it
	} else {
		t.items = append(t.items, item{})
		items = t.items
		copy(items[i+1:], items[i:])
		items[i] = *it
	}
	if leafSize(items) <= len(f.node) {
		t.rebuild(f, func(n node) { n.buildLeaf(items) })
		if !replace {
			b.adjust(1)
			b.appendedTo(f.page.ID, i)
		}
		return false, nil
	}
	if err := b.ownPath(); err != nil { // ownLeaf may have left the parents alone
		return false, err
	}
	cut := 0
	if !replace && b.ascending(f.page.ID, i, count) {
		cut = count
	}
	if cut = splitLeaf(items, len(f.node), cut); cut == 0 {
		items = append(items[:i], items[i+1:]...)
		if i == 0 || i == len(items) {
			return false, Corrupt(f.ref.ID, "leaf cannot be divided")
		}
		if replace {
			b.adjust(-1)
			if it.long != nil {
				it.long = append([]byte(nil), it.long...)
				it.key = append([]byte(nil), it.key...)
			}
		}
		return true, b.splitLeafAt(items, i, -1)
	}
	if !replace {
		b.adjust(1)
		return false, b.splitLeafAt(items, cut, i)
	}
	return false, b.splitLeafAt(items, cut, -1)
}

// splitLeafAt divides items between the leaf at the end of the path and a new
// one behind it. inserted is the index of the new record, or -1.
func (b *Bucket) splitLeafAt(items []item, cut, inserted int) error {
	t := b.tx
	level := len(t.path) - 1
	f := &t.path[level]
	sep, err := t.separate(&items[cut-1], &items[cut])
	if err != nil {
		return err
	}
	right, err := t.newNode()
	if err != nil {
		return err
	}
	node(right.Body()).buildLeaf(items[cut:])
	right.tidy = true
	left, rest := uint64(cut), uint64(len(items)-cut)
	t.rebuild(f, func(n node) { n.buildLeaf(items[:cut]) })
	t.stats.IncSplit(1)
	switch {
	case inserted >= cut:
		b.appendedTo(right.ID, inserted-cut)
	case inserted >= 0:
		b.appendedTo(f.page.ID, inserted)
	}
	edge := rest == 1 && inserted == cut
	return b.link(level, &sep, right, left, rest, edge)
}

// full tells whether it does not fit into leaf n, however that is built.
func (n node) full(it *item) bool {
	return !n.fixed() && n.dead() == 0 && n.against(it.key) == 0 && n.room() < n.leafNeed(it)
}

// splitEdge begins a new leaf with it behind the one at the end of the path,
// which stays as it is: full (W1).
func (b *Bucket) splitEdge(it *item) error {
	t := b.tx
	if err := b.ownPath(); err != nil {
		return err
	}
	level := len(t.path) - 1
	n := t.path[level].node
	c := n.count()
	t.resetGather()
	last := item{key: n.appendKey(t.keys, c-1), long: n.record(c - 1).long}
	sep, err := t.separate(&last, it)
	if err != nil {
		return err
	}
	right, err := t.newNode()
	if err != nil {
		return err
	}
	node(right.Body()).beginLeaf(it, n, &last)
	right.tidy = true
	t.stats.IncSplit(1)
	b.adjust(1)
	b.appendedTo(right.ID, 0)
	return b.link(level, &sep, right, uint64(c), 1, true)
}

// beginLeaf makes a leaf of one record, which goes on behind the last one of leaf left. One
// key says nothing of what those behind it have in common: if the keys in left are whole,
// and many records like this one would have whole keys, too, even if they had as much in
// common as it has with the last one, the leaf begins like left. Else it would be built anew
// for the second record, and again whenever the prefix gets shorter.
func (n node) beginLeaf(it *item, left node, last *item) {
	p := u16(left[4:])
	if left[0] != flagWhole || it.long != nil || left.against(it.key) != 0 ||
		!it.whole(commonPrefix(last.key, it.key)) {
		n.buildLeaf([]item{*it})
		return
	}
	n.clear(0)
	n.writeLeaf([]item{*it}, p, flagWhole)
}

// separate makes the shortest separator between two neighbours.
func (t *Tx) separate(left, right *item) (item, error) {
	l, err := t.wholeKey(left)
	if err != nil {
		return item{}, err
	}
	r, err := t.wholeKey(right)
	if err != nil {
		return item{}, err
	}
	return t.newKey(r[:shortestSeparator(l, r)])
}

// wholeKey returns all bytes of the key of it.
func (t *Tx) wholeKey(it *item) ([]byte, error) {
	if it.long == nil {
		return it.key, nil
	}
	return t.snap.extent(decodeLong(it.long))
}

// newKey makes an item of a whole key, which gets an extent if it is long.
func (t *Tx) newKey(key []byte) (item, error) {
	limit := inlineLimit(t.snap.PageSize() - HeaderSize)
	if len(key) <= limit {
		return item{key: key}, nil
	}
	r, err := t.newExtent(key)
	if err != nil {
		return item{}, err
	}
	return item{key: key[:limit], long: r.append(nil)}, nil
}

// link puts right, behind sep, next to the page at level of the path, which
// has left records below it now, and right has rest. If edge is set, a parent that is
// full is left full.
func (b *Bucket) link(level int, sep *item, right *Page, left, rest uint64, edge bool) error {
	t := b.tx
	if level == 0 {
		root, err := t.newNode()
		if err != nil {
			return err
		}
		node(root.Body()).buildBranch([]link{
			{child: t.path[0].ref, below: left},
			{sep: *sep, child: right.Ref(), below: rest},
		})
		b.header.Root = root.Ref()
		return nil
	}
	f := &t.path[level-1]
	f.node.setBelow(f.idx, left)
	if f.node.insertSep(f.idx, sep, right.Ref(), rest) {
		return nil
	}
	links := t.gatherBranch(f.node, f.page)
	t.links = append(t.links, link{})
	links = t.links[len(t.links)-len(links)-1:]
	i := f.idx + 1
	copy(links[i+1:], links[i:])
	links[i] = link{sep: *sep, child: right.Ref(), below: rest}
	if branchSize(links) <= len(f.node) {
		t.rebuildBranch(f, links)
		return nil
	}
	return b.splitBranchPage(level-1, links, edge && i == len(links)-1)
}

// splitBranchPage divides links between the branch at level of the path and a
// new one behind it.
func (b *Bucket) splitBranchPage(level int, links []link, edge bool) error {
	t := b.tx
	f := &t.path[level]
	cut := 0
	if edge {
		cut = len(links) - 1
	}
	if cut = splitBranch(links, len(f.node), cut); cut == 0 {
		return Corrupt(f.ref.ID, "branch cannot be divided")
	}
	right, err := t.newNode()
	if err != nil {
		return err
	}
	node(right.Body()).buildBranch(links[cut:])
	sep := links[cut].sep
	sep.long = bytes.Clone(sep.long) // the buffer it lies in is used again
	t.rebuildBranch(f, links[:cut])
	t.stats.IncSplit(1)
	return b.link(level, &sep, right, below(links[:cut]), below(links[cut:]), edge)
}

// below adds the counts of links.
func below(links []link) uint64 {
	var sum uint64
	for i := range links {
		sum += links[i].below
	}
	return sum
}
