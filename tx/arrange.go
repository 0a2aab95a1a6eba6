package tx

import "slices"

// This file puts the new pages of a tree into key order. A page gets its id when
// it is first touched, which is in the order of the writes; a scan is several times
// faster when neighbouring leaves lie side by side in the file, and so is
// writing them. Before a commit the ids are therefore dealt out again among the
// same pages: to the leaves in key order, then to the branches above them.

// arrangeMin is the number of new pages from which on it is worth the while. They must be
// a good part, arrangePart, of the pages that the transaction has changed, and of the
// bucket's leaves, of arrangeLeaf records each: neighbours are seldom among few.
const (
	arrangeMin  = 8
	arrangePart = 8
	arrangeLeaf = 32
)

// A newPage is a page of this transaction within a tree, and who refers to it.
type newPage struct {
	page   *Page
	parent *Page // nil: the bucket's header
	idx    int
}

// arrange deals the ids of the bucket's new node pages out again, if a good part of
// what the transaction has changed is new.
func (b *Bucket) arrange() error {
	t := b.tx
	if t.fresh < arrangeMin || t.fresh < len(t.born)/arrangePart ||
		uint64(t.fresh) < b.header.Count/(arrangeLeaf*arrangePart) {
		return nil
	}
	levels, count, err := t.newPages(nil, 0, b.header.Root, newPage{}, 0)
	if err != nil || count < arrangeMin {
		return err
	}
	ids := make([]PageID, 0, count)
	for i := len(levels) - 1; i >= 0; i-- {
		for _, p := range levels[i] {
			ids = append(ids, p.page.ID)
		}
	}
	if slices.IsSorted(ids) {
		return nil
	}
	slices.Sort(ids)
	b.edit.version++ // a path keeps references
	t.appending = nil
	for i := len(levels) - 1; i >= 0; i-- {
		for _, p := range levels[i] {
			p.page.ID, ids = ids[0], ids[1:]
			t.own.Overlay.Set(p.page, uint64(t.own.TxID))
			if p.parent == nil {
				b.header.Root = p.page.Ref()
			} else {
				node(p.parent.Body()).setChild(p.idx, p.page.Ref())
			}
		}
	}
	return nil
}

// newPages adds e, which ref leads to, and the new pages below it to levels, and
// their number to count. What is above a new page is the transaction's own, if
// not new itself.
func (t *Tx) newPages(levels [][]newPage, depth int, ref Ref, e newPage, count int) (
	[][]newPage, int, error) {
	if ref.ID == 0 || ref.Stamp != t.stamp && !younger(ref.Stamp, t.base.Stamp()) {
		return levels, count, nil
	}
	n, p, err := t.snap.load(ref)
	if err != nil || !t.owns(p) {
		return levels, count, err
	}
	if depth == len(levels) {
		levels = append(levels, nil)
	}
	if p.Stamp == t.stamp {
		e.page = p
		levels[depth] = append(levels[depth], e)
		count++
	}
	if !n.branch() {
		return levels, count, nil
	}
	for i, c := 0, n.count(); i <= c; i++ {
		levels, count, err = t.newPages(levels, depth+1, n.child(i), newPage{nil, p, i}, count)
		if err != nil {
			return levels, count, err
		}
	}
	return levels, count, nil
}
