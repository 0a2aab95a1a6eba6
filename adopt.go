package mapleaf

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/google/btree"

	"github.com/mapleafdb/mapleaf/tx"
)

// How orphans get a place, in this order: into the gap that they fit into; as a bucket
// under the name that older pages have for it (kin.go); and, what is left, each into a
// bucket of its own below the root.

// adoptRounds is how often the orphans are looked at again because something was found
// that others may fit into. Sound trees have fewer levels.
const adoptRounds = 64

// adoptOrphans finds places for the trees that nothing leads to.
func (w *salvager) adoptOrphans() error {
	if len(w.gaps) == 0 {
		return nil // whatever was not reached is old
	}
	w.adopting = true
	w.certain = w.liveness()
	if !w.certain {
		w.buryParents()
	}
	defer func() {
		if w.oldLeaves > 0 {
			w.note("leaves left out as older versions, since most of their records were saved: %d",
				w.oldLeaves)
		}
	}()
	for round := 0; ; round++ {
		all := w.orphans()
		if err := w.progress("copying", w.copied); err != nil || len(all) == 0 {
			return err
		}
		done, err := false, error(nil)
		if round < adoptRounds {
			done, err = w.fillGaps(all)
		}
		if err == nil && !done && round < adoptRounds {
			done, err = w.nameOrphans(all)
		}
		if err == nil && !done {
			done, err = w.keepOrphans(all, round < adoptRounds)
		}
		if err != nil || !done {
			return err
		}
	}
}

// fillGaps puts orphans into the gaps that they fit into, and reports whether there were any.
func (w *salvager) fillGaps(all []*orphan) (done bool, err error) {
	found := w.match(all)
	for _, g := range slices.Clone(w.gaps) {
		fit := found[g]
		if len(fit) == 0 {
			continue
		}
		ok, exact := g.together(fit, w.certain)
		if !ok || !exact && w.opts.CertainOnly || !exact && w.nesting[g.at] {
			continue
		}
		done = true
		before := g.taken
		if g.height == 0 {
			g.height = fit[0].height + 1
		}
		for _, o := range fit {
			if err := w.fill(g, o.ref, o.records); err != nil {
				return false, err
			}
		}
		if !exact {
			w.guess(SalvageRange{
				Bucket: g.at.shown(), From: g.lo, To: g.hi, Records: g.taken - before, Counted: true,
				Page: int(g.ref.ID), Kind: "node", Reason: "found without what led to them",
			})
		}
	}
	return done, nil
}

// fill copies the tree at ref into the gap g.
func (w *salvager) fill(g *gap, ref tx.Ref, records uint64) error {
	w.inGap, w.absent, w.spans = g, true, w.spans[:0]
	defer func() { w.inGap, w.absent = nil, false }()
	part := &gap{at: g.at, ref: ref, lo: g.lo, hi: g.hi, expect: records, counted: true}
	if _, err := w.tree(part, 0); err != nil {
		return err
	}
	// Newer trees come first: where this one has keys, older ones have nothing to say.
	for _, s := range w.spans {
		g.cover(s)
	}
	w.inGap = nil
	return w.walkAll()
}

// cover notes a range of keys, and joins it with those that it overlaps.
func (g *gap) cover(s span) {
	if g.spans == nil {
		g.spans = btree.NewG(btreeDegree, func(a, b span) bool {
			return bytes.Compare(a.first, b.first) < 0
		})
	}
	for {
		before, ok := g.before(s.last)
		if !ok || bytes.Compare(before.last, s.first) < 0 {
			break
		}
		g.spans.Delete(before)
		if bytes.Compare(before.first, s.first) < 0 {
			s.first = before.first
		}
		if bytes.Compare(before.last, s.last) > 0 {
			s.last = before.last
		}
	}
	g.spans.ReplaceOrInsert(s)
}

// before returns the last range that begins with key or in front of it.
func (g *gap) before(key []byte) (s span, ok bool) {
	if g.spans == nil {
		return s, false
	}
	g.spans.DescendLessOrEqual(span{first: key}, func(x span) bool {
		s, ok = x, true
		return false
	})
	return s, ok
}

// keepOrphans puts each orphan into a bucket of its own, the tallest first. If that has
// opened gaps that lower ones may fit into, and again is set, it leaves those for later
// and reports true.
func (w *salvager) keepOrphans(all []*orphan, again bool) (more bool, err error) {
	if !w.certain && w.opts.CertainOnly {
		return false, nil
	}
	gaps, height := len(w.gaps), 0
	slices.SortStableFunc(all, func(a, b *orphan) int { return cmp.Compare(b.height, a.height) })
	for _, o := range all {
		if w.visited(o.ref.ID) {
			continue
		}
		if !w.certain && o.height == 1 {
			if old, err := w.isOld(o); old || err != nil {
				w.scrap.state[o.ref.ID] |= scrapDead
				if err != nil {
					return false, err
				}
				w.oldLeaves++
				continue
			}
		}
		if again && len(w.gaps) > gaps && o.height < height {
			return true, nil
		}
		height = o.height
		at, err := w.freshBucket(o.ref.ID)
		if err != nil {
			return false, err
		}
		if err := w.out.create(at, 0); err != nil {
			return false, err
		}
		w.report.Recovered = append(w.report.Recovered, SalvageBucket{
			Name: string(at.name), Page: int(o.ref.ID), TxID: int(o.birth), Records: o.records,
			Certain: w.certain,
		})
		w.push(at, tx.BucketHeader{Root: o.ref, Count: o.records})
		if err := w.walkAll(); err != nil {
			return false, err
		}
	}
	return again && len(w.gaps) > gaps, nil
}

// freshBucket returns a name for the orphan at page id that no bucket has.
func (w *salvager) freshBucket(id tx.PageID) (*spot, error) {
	name := fmt.Sprintf("recovered-%d", id)
	for {
		taken, err := w.out.holds(nil, []byte(name))
		if err != nil || !taken {
			return (*spot)(nil).below([]byte(name)), err
		}
		name += "+"
	}
}

// fillOlder fills what is left of the gaps from the state before, if the one that was
// taken is that of a commit of which nobody knows whether it was whole.
func (w *salvager) fillOlder() error {
	m := w.origin.older
	if m == nil || w.opts.CertainOnly {
		return nil
	}
	seen := make([]uint64, (len(w.scrap.state)+63)/64)
	w.olderNodes = 1<<16 + 4*len(w.scrap.state)
	for _, g := range slices.Clone(w.gaps) {
		newer := birthOf(g.ref.Stamp, max(w.origin.txid, m.txid)) > m.txid
		if !newer || g.counted && g.left() == 0 {
			continue
		}
		w.seen = seen
		n, err := w.fillFrom(g, m)
		for _, id := range w.marked {
			seen[id/64] = 0
		}
		w.seen, w.marked = nil, w.marked[:0]
		if err != nil {
			return err
		}
		if n > 0 {
			w.guess(SalvageRange{
				Bucket: g.at.shown(), From: g.lo, To: g.hi, Records: n, Counted: true,
				Page: int(g.ref.ID), Kind: "node",
				Reason: fmt.Sprintf("as they were after transaction %d", m.txid),
			})
		}
	}
	return nil
}

// fillFrom copies what the state of m has where g is, and returns how many records that was.
func (w *salvager) fillFrom(g *gap, m *older) (uint64, error) {
	h, ok, err := w.olderBucket(g.at, m)
	if err != nil || !ok {
		return 0, err
	}
	part := &gap{at: g.at, lo: g.lo, hi: g.hi}
	w.inGap, w.absent = part, true
	defer func() { w.inGap, w.absent = nil, false }()
	if h.Root.ID != 0 {
		whole := &gap{at: g.at, ref: h.Root}
		if _, err := w.tree(whole, 0); err != nil {
			return 0, err
		}
	}
	err = w.walkAll()
	return part.taken, err
}

// olderBucket finds the bucket at a spot in the state of m.
func (w *salvager) olderBucket(at *spot, m *older) (h tx.BucketHeader, ok bool, err error) {
	h = m.root
	buf := make([]byte, w.scrap.pageSize)
	for _, name := range at.path() {
		if h, ok = w.olderHeader(h, name, buf); !ok {
			return h, false, w.ctx.Err()
		}
	}
	return h, true, nil
}

// olderHeader returns what the tree of h says of the bucket name in it.
func (w *salvager) olderHeader(h tx.BucketHeader, name, buf []byte) (tx.BucketHeader, bool) {
	ref := h.Root
	for range salvageDepth {
		if w.olderNodes--; w.olderNodes < 0 || !w.scrap.leads(ref) {
			return h, false
		}
		v, err := w.scrap.node(ref.ID, buf)
		if err != nil {
			return h, false
		}
		if !v.Branch() {
			for i := range v.Len() {
				if r := v.Value(i); r.Nested && w.isKey(v, i, name) {
					return r.Bucket, true
				}
			}
			return h, false
		}
		i := 0
		for ; i < v.Len()-1; i++ {
			if hi, _ := w.bound(v.AppendSeparator(nil, i)); hi != nil && bytes.Compare(name, hi) < 0 {
				break
			}
		}
		ref, _ = v.Child(i)
	}
	return h, false
}

// isKey reports whether record i of a leaf has that key.
func (w *salvager) isKey(v tx.NodeView, i int, key []byte) bool {
	part, place := v.AppendKey(nil, i)
	if place.Ref.ID == 0 {
		return bytes.Equal(part, key)
	}
	if int(place.Size) != len(key) || !bytes.HasPrefix(key, part) {
		return false
	}
	whole, err := w.longKey(place)
	return err == nil && bytes.Equal(whole, key)
}
