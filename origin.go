package mapleaf

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// Which state salvage takes. Opening a file is careful never to take a state that may
// be older than what was durable; salvage wants the most that is there:
//
//	newest meta           other meta               taken
//	its commit is whole   any                      the newest
//	it is not             whole, and its log       the other, with its log: nothing is
//	                      reaches the newest       missing in it
//	it is not             any                      the newest; where its pages are missing,
//	                                               those of the other, as a guess
//
// A meta that does not verify may have been the newest. Its pages are then in the file,
// and are younger than the other meta: a root is looked for that no page refers to and
// that leads to buckets only. Without any meta, the youngest such root is taken.
//
// Invariants:
//
//	R1 A root without a meta counts if it leads to most nodes that the commit has written
//	   which wrote it, so that it is no bucket of buckets that has lost its parent.
//	R2 It counts only if all that it leads to is there, unless the commit came as far as
//	   the free-space chain. So what a transaction has spilled that was never committed
//	   is not taken for a state.
type origin struct {
	root  tx.BucketHeader
	known bool      // there is a root, or there are no records
	txid  tx.TxID   // the last transaction of the state
	meta  *meta     // that describes it; nil if it was found without
	older *meta     // the state before, if that of meta may not be whole
	logs  []*meta   // whose logs may go on after it
	lost  bool      // a meta is damaged that may have known of another log
	trail *logTrail // what the logs hold after txid
	what  string
	notes []string
}

// A finder looks for the origin.
type finder struct {
	s     *scrap
	slots [2]metaSlot
	o     *origin
}

// findOrigin decides which state is taken.
func findOrigin(s *scrap, slots [2]metaSlot) (*origin, error) {
	f := &finder{s, slots, &origin{}}
	metas := f.metas()
	switch {
	case len(metas) == 0:
	case len(metas) == 1 || f.proven(metas[0]):
		f.take(metas[0])
	case f.proven(metas[1]) && f.reach(metas[1]) >= metas[0].txid:
		f.take(metas[1])
	default:
		f.take(metas[0])
		f.o.older = metas[1]
	}
	if m := f.o.meta; m != nil && uint64(m.hwm) > uint64(len(f.s.state)) {
		f.note("the file ends at page %d, and should have %d", len(f.s.state), m.hwm)
	}
	if len(metas) == 2 {
		return f.done()
	}
	f.o.lost = true
	if root, txid, ok := f.findRoot(f.o.txid); ok && (f.o.meta == nil ||
		f.reach(f.o.meta) < txid) {
		f.o.older, f.o.meta = f.o.meta, nil
		f.o.root, f.o.txid, f.o.known = root, txid, true
		f.o.what = fmt.Sprintf("page %d, the youngest root in the file: no meta leads to it",
			root.Root.ID)
	}
	if n := f.younger(); n > 0 && f.o.known {
		f.note("%d nodes are younger than the state that was taken, and no root leads to them", n)
	}
	return f.done()
}

// metas returns those that verify and fit to the page size, the newest first.
func (f *finder) metas() (metas []*meta) {
	for i, slot := range f.slots {
		switch {
		case slot.meta == nil && slot.empty():
			f.note("meta %d is missing: there are only zeros", i)
		case slot.meta == nil:
			f.note("meta %d is damaged: %v", i, slot.err)
		case slot.meta.pageSize != f.s.pageSize:
			f.note("meta %d has another page size: %d bytes", i, slot.meta.pageSize)
		default:
			metas = append(metas, slot.meta)
		}
	}
	slices.SortStableFunc(metas, func(a, b *meta) int {
		if a.txid == b.txid && a.closed != b.closed {
			if a.closed {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.txid, a.txid)
	})
	if len(metas) == 2 && metas[0].fileID != metas[1].fileID {
		f.note("the metas belong to different databases; only the newer one was used")
		metas = metas[:1]
	}
	return metas
}

func (f *finder) note(format string, args ...any) {
	f.o.notes = append(f.o.notes, fmt.Sprintf(format, args...))
}

// take makes the state of m the origin.
func (f *finder) take(m *meta) {
	slot := 0
	if f.slots[1].meta == m {
		slot = 1
	}
	f.o.meta, f.o.root, f.o.txid, f.o.known = m, m.root, m.txid, true
	f.o.what = fmt.Sprintf("meta %d, transaction %d", slot, m.txid)
}

// done reads the log of the origin.
func (f *finder) done() (*origin, error) {
	o := f.o
	for _, m := range []*meta{o.meta, o.older} {
		if m != nil && m.logs[0].count > 0 && (m == o.meta || o.meta == nil) {
			o.logs = append(o.logs, m)
		}
	}
	o.trail = f.s.readTrail(o.logs, o.txid)
	if o.lost {
		if len(o.logs) > 0 && len(o.trail.pieces) == 0 {
			next := 0 // the extent that the first epoch after the state uses
			if o.meta == nil {
				next = 1
			}
			o.trail.tail = o.logs[0].logs[next].extent
		}
		f.s.trailWithoutSalt(o.trail)
	}
	if !o.known {
		for _, birth := range f.s.birth {
			o.txid = max(o.txid, birth)
		}
		o.what = "none: there is no meta, and no root was found"
	}
	if end := o.trail.end(); o.meta != nil && o.meta.durable > end {
		o.trail.lose(end.Next(), o.meta.durable)
	}
	return o, nil
}

// proven reports whether everything is in the file that the commit of m has written.
func (f *finder) proven(m *meta) bool {
	if m.closed {
		return true
	}
	if m.manifest.ID != 0 &&
		uint64(m.manifest.ID)+uint64(m.manPages) > uint64(len(f.s.state)) {
		return false
	}
	entries, err := readManifest(f.s.f, m)
	if err != nil {
		return false
	}
	whole := *m
	whole.entries = entries
	return eachExtent(f.s.f, &whole, nil) == nil
}

// reach returns the last transaction to which the log of m leads without a gap.
func (f *finder) reach(m *meta) tx.TxID { return f.s.readTrail([]*meta{m}, m.txid).last }

// rootsTried is how many roots are looked at closely, and how many commits.
const rootsTried = 32

// findRoot looks for the root of a state after a txid, and returns it with the txid of
// the state.
func (f *finder) findRoot(after tx.TxID) (h tx.BucketHeader, txid tx.TxID, ok bool) {
	s := f.s
	s.markBelow(func(tx.PageID) bool { return true })
	ends := s.commits(after)
	tried := 0
	buf := make([]byte, s.pageSize)
	for i, end := range ends[:len(ends)-1] {
		c := commit{after: ends[i+1], end: end}
		written := c.look(s, buf)
		best, most, last := tx.PageID(0), uint64(0), tx.TxID(0)
		for _, id := range c.roots[:min(len(c.roots), rootsTried-tried)] {
			tried++
			n, youngest, whole := s.reach(id, &c, buf)
			if n > most && (whole || i > 0) {
				best, most, last = id, n, youngest
			}
		}
		if most > written/2 {
			v, err := s.node(best, buf)
			if err != nil {
				continue
			}
			h.Root, h.Count = tx.Ref{ID: best, Stamp: s.birth[best].Stamp()}, v.Total()
			if i > 0 {
				last = end // the link was the last page that the commit has made
			}
			return h, last, true
		}
	}
	return h, 0, false
}

// commits returns the last transactions of the commits after a txid that have left a link
// in the free-space chain, the youngest first, between a txid above all and that one.
func (s *scrap) commits(after tx.TxID) []tx.TxID {
	var ends []tx.TxID
	for i, birth := range s.birth {
		if s.kind(tx.PageID(i)) != scrapChain || birth <= after {
			continue
		}
		at, found := slices.BinarySearchFunc(ends, birth, func(a, b tx.TxID) int {
			return cmp.Compare(b, a)
		})
		if !found && at < rootsTried {
			ends = slices.Insert(ends, at, birth)
			ends = ends[:min(len(ends), rootsTried)]
		}
	}
	return append(append([]tx.TxID{^tx.TxID(0)}, ends...), after)
}

// A commit is what one has written, as far as its births tell.
type commit struct {
	after, end tx.TxID     // births are above the one, and up to the other
	roots      []tx.PageID // that could be that of the root bucket
}

// wrote reports whether the commit has written a page of that birth.
func (c *commit) wrote(birth tx.TxID) bool { return birth > c.after && birth <= c.end }

// look looks for the pages of the commit, and returns how many nodes it has written.
func (c *commit) look(s *scrap, buf []byte) (nodes uint64) {
	for i, birth := range s.birth {
		id := tx.PageID(i)
		if !c.wrote(birth) || !s.isNode(id) {
			continue
		}
		nodes++
		if s.state[id]&scrapBelow == 0 && len(c.roots) < rootsTried && s.onlyBuckets(id, buf) {
			c.roots = append(c.roots, id)
		}
	}
	return nodes
}

// markBelow notes which good nodes another one refers to, of those that count tells to
// count.
func (s *scrap) markBelow(count func(tx.PageID) bool) {
	buf := make([]byte, s.pageSize)
	for i := range s.state {
		s.state[i] &^= scrapBelow
	}
	for i := range s.state {
		id := tx.PageID(i)
		if !s.isNode(id) || !count(id) {
			continue
		}
		v, err := s.node(id, buf)
		if err != nil {
			continue
		}
		v.Nodes(func(ref tx.Ref) {
			if ref.ID != id && s.leads(ref) {
				s.state[ref.ID] |= scrapBelow
			}
		})
	}
}

// firstLeaf reads the first leaf that can be reached below the good node id into buf, and
// returns how many levels there are down to it.
func (s *scrap) firstLeaf(id tx.PageID, buf []byte) (v tx.NodeView, levels int, ok bool) {
	for levels = 1; levels <= salvageDepth; levels++ {
		v, err := s.node(id, buf)
		if err != nil {
			return v, 0, false
		}
		if !v.Branch() {
			return v, levels, true
		}
		found := false
		for i := range v.Len() {
			ref, _ := v.Child(i)
			if found = s.leads(ref) && ref.ID != id; found {
				id = ref.ID
				break
			}
		}
		if !found {
			return v, 0, false
		}
	}
	return v, 0, false
}

// onlyBuckets reports whether the records below the good node id seem to be buckets.
func (s *scrap) onlyBuckets(id tx.PageID, buf []byte) bool {
	v, _, ok := s.firstLeaf(id, buf)
	if !ok {
		return false
	}
	for i := range v.Len() {
		if !v.Value(i).Nested {
			return false
		}
	}
	return true
}

// reach returns how many nodes that the commit has written can be reached from the good
// node id, the birth of the youngest, and whether all nodes are there to which that leads.
func (s *scrap) reach(id tx.PageID, c *commit, buf []byte) (
	nodes uint64, youngest tx.TxID, whole bool) {
	seen := make([]uint64, (len(s.state)+63)/64)
	seen[id/64] |= 1 << (id % 64)
	stack := []tx.PageID{id}
	whole = true
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		v, err := s.node(id, buf)
		if err != nil {
			whole = false
			continue
		}
		if c.wrote(s.birth[id]) {
			nodes++
			youngest = max(youngest, s.birth[id])
		}
		v.Nodes(func(ref tx.Ref) {
			if !s.leads(ref) {
				whole = false
			} else if !bitAt(seen, uint64(ref.ID)) {
				seen[ref.ID/64] |= 1 << (ref.ID % 64)
				stack = append(stack, ref.ID)
			}
		})
	}
	return nodes, youngest, whole
}

// younger returns how many good nodes are younger than the state that was taken.
func (f *finder) younger() (n int) {
	for i, birth := range f.s.birth {
		if birth > f.o.txid && f.s.isNode(tx.PageID(i)) {
			n++
		}
	}
	return n
}
