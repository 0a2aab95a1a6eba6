package mapleaf

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// Nodes that nothing leads to any more, because what led to them is gone.
//
// Most nodes that nothing leads to are old: what a commit replaces stays in the file
// until its page is used again. The free-space chain tells them from the others: in a
// sound file each page is in use, or free, or the store's own, so that a good node which
// is neither reached nor free is one that only a missing page led to. Without a whole
// chain, a node is old if some link of the chain calls its page free that was written
// later; of the others nobody knows, and then newer leaves go before older ones with
// keys in the same range.
//
// Invariants:
//
//	Y1 An orphan is the root of a tree that was part of a larger one, or that of a
//	   bucket. It goes into a gap only if its keys lie in the range of the gap, if it
//	   has fewer levels, if it has no more records than are missing there, and if that
//	   is true of no other gap.
//	Y2 Into the gap of a bucket whose missing levels are not known, orphans go only
//	   together and if they have exactly as many records as are missing: else they may
//	   be buckets that were listed in there.
type orphan struct {
	ref         tx.Ref
	birth       tx.TxID
	height      int
	records     uint64
	first, last []byte // keys, as far as they can be read
	buckets     bool   // the records seem to be buckets
	gap         *gap   // the one that it fits into
	gaps        int    // how many it fits into
}

// liveness decides of the nodes that were not reached whether they are old, and returns
// whether that is certain for all of them.
func (w *salvager) liveness() (certain bool) {
	s, o := w.scrap, w.origin
	for i, birth := range s.birth {
		if birth > o.txid && o.known {
			s.state[i] |= scrapDead // no state that was taken has it
		}
	}
	m := o.meta
	for _, x := range o.trail.known {
		s.bury(x.extent, func(tx.TxID) bool { return true })
	}
	if m != nil {
		c, err := loadChain(s.f, m)
		if err == nil {
			c.tree.Ascend(func(r record) bool {
				s.bury(r.extent, func(tx.TxID) bool { return true })
				return true
			})
			for i := uint64(m.hwm); i < uint64(len(s.state)); i++ {
				s.state[i] |= scrapDead
			}
			return true
		}
		w.note("the free-space chain is damaged, so that it is not certain which pages "+
			"are old: %s", reasonOf(err))
	}
	w.buryOld()
	return false
}

// bury marks as old the pages of an extent whose birth says so.
func (s *scrap) bury(e extent, old func(birth tx.TxID) bool) {
	for id := uint64(e.first); id < min(e.end(), uint64(len(s.state))); id++ {
		if old(s.birth[id]) {
			s.state[id] |= scrapDead
		}
	}
}

// buryOld marks as old what any link of the free-space chain calls free that was written
// later. Links are read from the youngest to the oldest, and each page is looked at
// once: the first word about it is the strongest. A commit can call a page free that it
// then uses; so a word counts for pages of earlier commits only.
func (w *salvager) buryOld() {
	s := w.scrap
	var links []tx.PageID
	for i := range s.state {
		id := tx.PageID(i)
		if s.kind(id) == scrapChain && s.birth[id] <= w.origin.txid {
			links = append(links, id)
		}
	}
	slices.SortFunc(links, func(a, b tx.PageID) int { return cmp.Compare(s.birth[b], s.birth[a]) })
	next := make([]uint32, len(s.state)+1) // the next page without a word, as far as is known
	for i := range next {
		next[i] = uint32(i)
	}
	buf := make([]byte, s.pageSize)
	commit, before := 0, tx.TxID(0) // the first link behind those of one commit, and its birth
	for i, id := range links {
		if i == commit {
			for commit < len(links) && s.birth[links[commit]] == s.birth[id] {
				commit++
			}
			before = 0
			if commit < len(links) {
				before = s.birth[links[commit]]
			}
		}
		if _, err := s.f.ReadAt(buf, int64(id)<<s.shift); err != nil {
			continue
		}
		_, entries, err := decodeChain(id, buf[headerSize:], s.first, ^tx.TxID(0))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.freed != 0 {
				s.paint(next, e.extent, before)
			}
		}
	}
}

// paint marks as old the pages of an extent that were born up to a txid, leaving out
// those that an earlier call was about.
func (s *scrap) paint(next []uint32, e extent, upTo tx.TxID) {
	end := min(e.end(), uint64(len(s.state)))
	id := follow(next, min(uint64(e.first), uint64(len(s.state))))
	for ; id < end; id = follow(next, id) {
		if s.birth[id] <= upTo {
			s.state[id] |= scrapDead
		}
		next[id] = uint32(id + 1)
	}
}

// follow returns the first page from id on that there was no word about.
func follow(next []uint32, id uint64) uint64 {
	for uint64(next[id]) != id {
		next[id] = next[next[id]]
		id = uint64(next[id])
	}
	return id
}

// buryParents marks as old the nodes that refer to one that was reached: no page has two
// parents in one state.
func (w *salvager) buryParents() {
	s := w.scrap
	buf := make([]byte, s.pageSize)
	for i := range s.state {
		id := tx.PageID(i)
		if !s.live(id) {
			continue
		}
		v, err := s.node(id, buf)
		if err != nil {
			continue
		}
		v.Nodes(func(ref tx.Ref) {
			if s.leads(ref) && s.state[ref.ID]&scrapSeen != 0 {
				s.state[id] |= scrapDead
			}
		})
	}
}

// live reports whether a page is a good node that may be part of the state, and that was
// not reached.
func (s *scrap) live(id tx.PageID) bool {
	return s.isNode(id) && s.state[id]&(scrapSeen|scrapDead) == 0
}

// orphans returns the roots of all trees that were not reached, the youngest first.
func (w *salvager) orphans() []*orphan {
	s := w.scrap
	s.markBelow(s.live)
	buf := make([]byte, s.pageSize)
	var all []*orphan
	for i := range s.state {
		id := tx.PageID(i)
		if s.live(id) && s.state[id]&scrapBelow == 0 {
			if o, ok := w.orphan(id, buf); ok {
				all = append(all, o)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *orphan) int { return cmp.Compare(b.birth, a.birth) })
	return all
}

// orphan describes the tree at a good node.
func (w *salvager) orphan(id tx.PageID, buf []byte) (*orphan, bool) {
	s := w.scrap
	v, err := s.node(id, buf)
	if err != nil {
		return nil, false
	}
	o := &orphan{
		ref: tx.Ref{ID: id, Stamp: s.birth[id].Stamp()}, birth: s.birth[id],
		height: 1, records: v.Total(),
	}
	if v.Branch() && v.Len() > 1 {
		o.first, _ = w.bound(v.AppendSeparator(nil, 0))
		_, o.last = w.bound(v.AppendSeparator(nil, v.Len()-2))
	}
	if v.Branch() {
		o.height = 2
	}
	v, levels, ok := s.firstLeaf(id, buf)
	if !ok {
		return o, o.first != nil
	}
	o.height = levels
	o.buckets = true
	for i := range v.Len() {
		o.buckets = o.buckets && v.Value(i).Nested
	}
	first, last := w.ends(v, 0, v.Len()-1)
	o.first = first
	if levels == 1 {
		o.last = last
	}
	return o, true
}

// ends returns the range of the keys from record i to record j of a leaf, as far as it can
// be read.
func (w *salvager) ends(v tx.NodeView, i, j int) (first, last []byte) {
	first, place := v.AppendKey(nil, i)
	if place.Ref.ID != 0 {
		if whole, err := w.longKey(place); err == nil {
			first = w.floor(whole)
		}
	}
	last, place = v.AppendKey(nil, j)
	if place.Ref.ID != 0 {
		whole, err := w.longKey(place)
		if err != nil {
			return first, keysEnd(last)
		}
		last = w.ceiling(whole)
	}
	return first, last
}

// fits reports whether the orphan may be part of what is missing at g (Y1).
func (o *orphan) fits(g *gap) bool {
	return g.height != 1 && (g.height == 0 || o.height < g.height) &&
		g.counted && o.records <= g.left() && (g.at != nil || o.buckets) &&
		g.within(o.first, o.last)
}

// matchWork bounds how many pairs of an orphan and a gap are looked at.
const matchWork = 1 << 27

// match finds the gap for each orphan that fits into exactly one.
func (w *salvager) match(all []*orphan) map[*gap][]*orphan {
	var open []*gap
	for _, g := range w.gaps {
		if g.height != 1 && g.counted && g.left() > 0 {
			open = append(open, g)
		}
	}
	for _, o := range all {
		o.gap, o.gaps = nil, 0
	}
	if n := len(open); n > 0 && len(all) > matchWork/n {
		all = all[:matchWork/n]
	}
	found := make(map[*gap][]*orphan)
	for _, o := range all {
		for _, g := range open {
			if o.fits(g) {
				o.gap = g
				o.gaps++
			}
		}
		if o.gaps == 1 {
			found[o.gap] = append(found[o.gap], o)
		}
	}
	return found
}

// together reports whether the orphans, which fit into g, belong there together (Y2), and
// whether they are all that is missing.
func (g *gap) together(all []*orphan, certain bool) (ok, exact bool) {
	sum := uint64(0)
	for _, o := range all {
		sum += o.records
	}
	exact = certain && sum == g.left() && disjoint(all)
	if g.height > 0 {
		return true, exact
	}
	for _, o := range all {
		if o.height != all[0].height {
			return false, false
		}
	}
	return len(all) > 1 && sum == g.left() && disjoint(all), false
}

// disjoint reports whether the ranges of keys do not overlap.
func disjoint(all []*orphan) bool {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b *orphan) int { return bytes.Compare(a.first, b.first) })
	for i, o := range sorted[1:] {
		if bytes.Compare(sorted[i].last, o.first) >= 0 {
			return false
		}
	}
	return true
}
