package mapleaf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/google/btree"

	"github.com/mapleafdb/mapleaf/tx"
)

// This file copies trees as far as they are there, and notes where they are not.

// salvageDepth is how many levels of a tree are followed.
const salvageDepth = 40

// A gap is where a tree is missing: all that a node led to that is not there.
type gap struct {
	at      *spot // bucket
	ref     tx.Ref
	from    tx.PageID           // the node that refers to it
	lo, hi  []byte              // nil = no bound
	expect  uint64              // records
	counted bool                // expect is known
	height  int                 // levels that are missing, 0 = not known
	taken   uint64              // records that were found again
	spans   *btree.BTreeG[span] // keys of leaves that were put into it; nil if there are none
	reason  string
}

// within reports whether all keys from first to last lie in the gap.
func (g *gap) within(first, last []byte) bool {
	return bytes.Compare(g.lo, first) <= 0 && (g.hi == nil || bytes.Compare(last, g.hi) < 0)
}

// left returns how many records are missing.
func (g *gap) left() uint64 {
	if g.taken >= g.expect {
		return 0
	}
	return g.expect - g.taken
}

// A span is the keys from first to last.
type span struct{ first, last []byte }

// A task is a bucket whose tree is still to be walked.
type task struct {
	at     *spot
	header tx.BucketHeader
}

// walkRoots copies what the root leads to.
func (w *salvager) walkRoots() error {
	o := w.origin
	switch {
	case !o.known:
		w.gaps = append(w.gaps, &gap{reason: "no meta verifies, and no root was found"})
		return nil
	case o.meta == nil:
		w.report.Guesses = append(w.report.Guesses, SalvageRange{
			Kind: "meta", Page: int(o.root.Root.ID), Reason: "no meta says that this is the newest state",
		})
	}
	if o.younger > 0 {
		w.miss(SalvageRange{Kind: "meta", Reason: fmt.Sprintf("%d nodes are younger than the state "+
			"that was taken, and were left out: the damaged meta may have led to them", o.younger)})
	}
	if o.root.Sequence != 0 {
		if err := w.out.create(nil, o.root.Sequence); err != nil {
			return err
		}
	}
	w.push(nil, o.root)
	return w.walkAll()
}

// push leaves the tree of a bucket for later. Buckets are walked one after the other, so
// that those that are nested deeply take no memory on the way.
func (w *salvager) push(at *spot, h tx.BucketHeader) {
	if h.Root.ID != 0 {
		w.todo = append(w.todo, task{at, h})
	}
}

// walkAll walks the trees that were left for later.
func (w *salvager) walkAll() error {
	for len(w.todo) > 0 {
		t := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if t.header.Count > 0 && !w.adopting {
			w.keepTree(t)
		}
		g := &gap{at: t.at, ref: t.header.Root, expect: t.header.Count, counted: true}
		if _, err := w.tree(g, 0); err != nil {
			return err
		}
	}
	return nil
}

// tree copies the tree that g would be the gap of if it were not there. It returns how
// many levels it has, 0 if that is not known.
func (w *salvager) tree(g *gap, level int) (height int, err error) {
	v, err := w.visit(g.ref, level)
	if err != nil {
		return 0, w.lose(g, err)
	}
	w.copied++
	if w.copied%256 == 0 {
		if err := w.progress("copying", w.copied); err != nil {
			return 0, err
		}
	}
	if v.Branch() {
		return w.branch(v, g, level)
	}
	return 1, w.leaf(g.at, v, int(g.ref.ID))
}

// visit reads the node at ref, which is then in use, into the buffer of its level.
func (w *salvager) visit(ref tx.Ref, level int) (tx.NodeView, error) {
	s := w.scrap
	if w.seen != nil {
		w.olderNodes--
	}
	switch {
	case w.olderNodes < 0:
		return tx.NodeView{}, tx.Corrupt(ref.ID, "too many gaps lead to older nodes")
	case level >= salvageDepth:
		return tx.NodeView{}, tx.Corrupt(ref.ID, "tree is deeper than %d levels", salvageDepth)
	case !s.leads(ref):
		return tx.NodeView{}, s.broken(ref.ID)
	case w.visited(ref.ID):
		return tx.NodeView{}, tx.Corrupt(ref.ID, "page is in use twice")
	}
	if w.levels[level] == nil {
		w.levels[level] = make([]byte, s.pageSize)
	}
	v, err := s.node(ref.ID, w.levels[level])
	if err == nil {
		w.mark(ref.ID)
	}
	return v, err
}

// visited reports whether a page was copied already.
func (w *salvager) visited(id tx.PageID) bool {
	if w.seen != nil {
		return bitAt(w.seen, uint64(id))
	}
	return w.scrap.state[id]&scrapSeen != 0
}

// mark notes that a page was copied.
func (w *salvager) mark(id tx.PageID) {
	if w.seen != nil {
		w.seen[id/64] |= 1 << (id % 64)
		w.marked = append(w.marked, id)
		return
	}
	w.scrap.state[id] |= scrapSeen
}

// lose notes the gap g.
func (w *salvager) lose(g *gap, reason error) error {
	if w.seen != nil {
		return nil // what an older state lacks, too, is noted already
	}
	if in := w.inGap; in != nil && in.at == g.at {
		in.taken += g.expect // g stands for them now
	}
	g.reason = reasonOf(reason)
	w.gaps = append(w.gaps, g)
	return nil
}

// branch copies what a branch leads to, in order.
func (w *salvager) branch(v tx.NodeView, g *gap, level int) (height int, err error) {
	from := len(w.gaps)
	lo := g.lo
	for i := range v.Len() {
		kid := &gap{at: g.at, from: g.ref.ID, lo: lo, hi: g.hi, counted: true}
		kid.ref, kid.expect = v.Child(i)
		if i < v.Len()-1 {
			kid.hi, lo = w.bound(v.AppendSeparator(nil, i))
		}
		if w.seen != nil && !w.touches(kid) {
			continue
		}
		h, err := w.tree(kid, level+1)
		if err != nil {
			return 0, err
		}
		height = max(height, h)
	}
	for _, kid := range w.gaps[from:] {
		if kid.from == g.ref.ID && kid.height == 0 {
			kid.height = height
		}
	}
	if height == 0 {
		return 0, nil
	}
	return height + 1, nil
}

// touches reports whether a tree can have keys in the gap that is being filled.
func (w *salvager) touches(g *gap) bool {
	in := w.inGap
	return in == nil || in.at != g.at ||
		(in.hi == nil || bytes.Compare(g.lo, in.hi) < 0) &&
			(g.hi == nil || bytes.Compare(in.lo, g.hi) < 0)
}

// bound returns a separator, as the end of the range before it and as the beginning of
// the one behind. If its extent is gone, its first bytes have to do.
func (w *salvager) bound(part []byte, place tx.Place) (hi, lo []byte) {
	if place.Ref.ID == 0 {
		return part, part
	}
	b, err := w.longKey(place)
	if err != nil {
		w.scrap.missed(place.Ref.ID, &w.scrap.damaged.Extent, place.Pages(w.scrap.shift))
		return keysEnd(part), part
	}
	return w.ceiling(b), w.floor(b)
}

// floor returns a copy of a key to be kept, cut to a quarter of a page: the memory that
// keys take is then bounded by that of the nodes that they stand in.
func (w *salvager) floor(key []byte) []byte {
	return bytes.Clone(key[:min(len(key), w.scrap.pageSize/4)])
}

// ceiling does the same for the end of a range: if it cuts the key, the range is larger.
func (w *salvager) ceiling(key []byte) []byte {
	if n := w.scrap.pageSize / 4; len(key) > n {
		return keysEnd(key[:n])
	}
	return bytes.Clone(key)
}

// single returns the range of one key.
func (w *salvager) single(key []byte) SalvageRange {
	if len(key) > w.scrap.pageSize/4 {
		return SalvageRange{From: w.floor(key), To: w.ceiling(key)}
	}
	return SalvageRange{From: bytes.Clone(key), To: append(bytes.Clone(key), 0)}
}

// leaf copies the records of a leaf, which is that of page id, of the bucket at a spot.
func (w *salvager) leaf(at *spot, v tx.NodeView, id int) error {
	var key, first []byte
	run := 0 // the range in the report that ends with the record before, +1
	for i := range v.Len() {
		var place tx.Place
		key, place = v.AppendKey(key[:0], i)
		if place.Ref.ID != 0 {
			whole, err := w.longKey(place)
			if err != nil {
				r := SalvageRange{From: bytes.Clone(key), To: keysEnd(key)}
				run = w.missRecord(at, r, place, err, run)
				continue
			}
			key = append(key[:0], whole...)
		}
		if first == nil {
			first = w.floor(key)
		}
		if w.covered(at, key) {
			run = 0
			continue
		}
		r := v.Value(i)
		if r.Long {
			var err error
			if r.Bytes, err = w.scrap.extent(r.Place); err != nil {
				run = w.missRecord(at, w.single(key), r.Place, err, run)
				continue
			}
		}
		run = 0
		if err := w.record(at, key, r, id); err != nil {
			return err
		}
	}
	if !w.certain && w.inGap != nil && at == w.inGap.at && first != nil {
		w.spans = append(w.spans, span{first, w.floor(key)})
	}
	return nil
}

// longKey reads a key that lies in an extent.
func (w *salvager) longKey(place tx.Place) ([]byte, error) {
	if place.Size > MaxKeySize {
		return nil, tx.Corrupt(place.Ref.ID, "key of %d bytes", place.Size)
	}
	return w.scrap.extent(place)
}

// covered reports whether a key of the bucket at a spot is not to be copied: since it
// lies outside of the gap that is being filled, or newer leaves of it have been found.
func (w *salvager) covered(at *spot, key []byte) bool {
	g := w.inGap
	if g == nil || at != g.at {
		return false
	}
	if !g.within(key, key) {
		return true
	}
	s, ok := g.before(key)
	return ok && bytes.Compare(key, s.last) <= 0
}

// record copies one record of a leaf.
func (w *salvager) record(at *spot, key []byte, v tx.ValueView, id int) error {
	if v.Nested {
		return w.bucket(at, key, v, id)
	}
	done, err := w.out.put(at, key, v.Bytes, w.absent)
	if done {
		w.took(at)
	}
	return w.refused(at, key, id, err)
}

// bucket copies a nested bucket: all of it if it has no page, else its tree later.
func (w *salvager) bucket(at *spot, key []byte, v tx.ValueView, id int) error {
	w.nesting[at] = true
	kid := at.below(bytes.Clone(key))
	if w.absent {
		if there, err := w.out.holds(at, key); there || err != nil {
			return err
		}
	}
	err := w.out.create(kid, v.Bucket.Sequence)
	if err != nil {
		return w.refused(at, key, id, err)
	}
	w.took(at)
	w.push(kid, v.Bucket)
	return w.leaf(kid, v.Inline, id)
}

// took counts a record of the gap that is being filled.
func (w *salvager) took(at *spot) {
	if g := w.inGap; g != nil && at == g.at {
		g.taken++
	}
}

// refused makes a record that the new database does not take part of the report.
func (w *salvager) refused(at *spot, key []byte, id int, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{ErrIncompatibleValue, ErrKeyRequired, ErrKeyTooLarge,
		ErrBucketNameRequired, ErrBucketTooDeep, ErrValueTooLarge} {
		if errors.Is(err, known) && w.seen != nil {
			return nil
		}
		if errors.Is(err, known) {
			r := w.single(key)
			r.Bucket, r.Records, r.Counted = at.shown(), 1, true
			r.Page, r.Kind, r.Reason = id, "record", reasonOf(err)
			w.miss(r)
			return nil
		}
	}
	return err
}

// missRecord notes that a record is missing since its key or value cannot be read. run is
// what it returned for the record before, if that is missing, too: then one range of keys
// is both.
func (w *salvager) missRecord(at *spot, r SalvageRange, place tx.Place, reason error, run int) int {
	if w.seen != nil {
		return 0
	}
	s := w.scrap
	s.missed(place.Ref.ID, &s.damaged.Extent, place.Pages(s.shift))
	w.took(at)
	if run > 0 {
		last := &w.report.Missing[run-1]
		last.To, last.Records = r.To, last.Records+1
		return run
	}
	r.Bucket, r.Records, r.Counted = at.shown(), 1, true
	r.Page, r.Kind, r.Reason = int(place.Ref.ID), "extent", reasonOf(reason)
	w.miss(r)
	return len(w.report.Missing)
}

// keysEnd returns the first key behind all that begin with prefix, nil if there is none.
func keysEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for len(end) > 0 {
		if end[len(end)-1]++; end[len(end)-1] != 0 {
			return end
		}
		end = end[:len(end)-1]
	}
	return nil
}

// reasonOf returns what an error says, without the name of the package and the page.
func reasonOf(err error) string {
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		return corrupt.Reason
	}
	return strings.TrimPrefix(err.Error(), "mapleaf: ")
}

// reportGaps makes what is left of the gaps part of the report. Gaps side by side become
// one.
func (w *salvager) reportGaps() {
	var before *gap
	for _, g := range w.gaps {
		w.countGap(g)
		if g.counted && g.left() == 0 {
			before = nil
			continue
		}
		r := SalvageRange{
			Bucket: g.at.shown(), From: g.lo, To: g.hi, Records: g.left(), Counted: g.counted,
			Page: int(g.ref.ID), Kind: "node", Reason: g.reason,
		}
		all := w.report.Missing
		if b := before; b != nil && b.at == g.at && b.from == g.from && g.from != 0 &&
			b.taken == 0 && g.taken == 0 && bytes.Equal(b.hi, g.lo) {
			last := &all[len(all)-1]
			last.To, last.Records = r.To, last.Records+r.Records
		} else {
			w.report.Missing = append(all, r)
		}
		before = g
	}
}

// countGap counts the page whose loss has left the gap.
func (w *salvager) countGap(g *gap) {
	s := w.scrap
	switch {
	case g.ref.ID == 0:
	case g.height > 1:
		s.missed(g.ref.ID, &s.damaged.Branch, 1)
	default:
		s.missed(g.ref.ID, &s.damaged.Leaf, 1)
	}
}
