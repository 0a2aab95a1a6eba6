package tx

// This file asks for memory before it is used. A read of a database that does not
// fit the caches waits for memory and hardly computes: for the head of a node, then
// for one cell of it. What is asked for ahead arrives at the same time.
//
//	A1 Nothing depends on what is asked for: it may be the wrong page, a forged id,
//	   or none at all. It only has to lie in the mapping.
//	A2 Of a page that is only expected, bytes are read once it is verified, not before.

// How many bytes are asked for. More would push out of the caches what the next
// search needs, and hold up what this one waits for.
const (
	branchAhead = 640  // of a branch: its header and most heads
	headAhead   = 192  // of a leaf: its header, its heads and most offsets
	cellsAhead  = 768  // of its cells, around the one that is probably sought
	walkAhead   = 4096 // of a leaf that a scan comes to next, or a change copies
)

// usualFill is how full of cells most leaves are, per cent.
const usualFill = 72

// leafRecords is the count of records up to which a child is taken for a leaf with
// cells that are worth fetching ahead.
const leafRecords = 64

// expected returns the page id as it is in memory or stands in the mapping, or nil.
func (s *Snapshot) expected(id PageID) (page []byte, resident bool) {
	if !canPrefetch {
		return nil, false
	}
	if !s.Overlay.Empty() {
		if p := s.Overlay.Get(id); p != nil {
			return p.Buf, true
		}
	}
	return s.inMapping(id), false
}

// inMapping returns the page id as it stands in the mapping, or nil.
func (s *Snapshot) inMapping(id PageID) []byte {
	if uint64(id) >= uint64(len(s.Nodes)) {
		return nil
	}
	off := int(id) << s.Shift
	if end := off + 1<<s.Shift; end <= len(s.Data) {
		return s.Data[off:end]
	}
	return nil
}

// childFor loads child i of branch n, and asks for what a search for key will touch
// in it.
func (s *Snapshot) childFor(n node, i int, key []byte) (node, *Page, error) {
	ref := n.child(i)
	if !s.Overlay.Empty() {
		if leaf := s.Overlay.leaf(ref.ID); leaf != nil {
			k := ref.ID & overlayMask
			if p := leaf.kids[k]; p != nil {
				n.searchAhead(leaf.bytes[k], s.PageSize(), i, key)
				return p.node(ref)
			}
		}
	}
	if page := s.inMapping(ref.ID); page != nil {
		n.searchAhead(&page[0], len(page), i, key)
	}
	return s.mapped(ref)
}

// searchAhead asks for what a search for key will touch in the page of size bytes at
// page, which child i of branch n is expected to be.
func (n node) searchAhead(page *byte, size, i int, key []byte) {
	if !canPrefetch {
		return
	}
	if n.below(i) > leafRecords {
		prefetch(page, 0, min(branchAhead, size))
		return
	}
	prefetch(page, 0, min(headAhead, size))
	if at, ok := n.guessCell(i, key, size); ok {
		prefetch(page, at, cellsAhead)
	}
}

// guessCell guesses where in a leaf of size bytes, child i of branch n, the cell for
// key lies, and returns where to begin to fetch. Its place among the cells is that of
// the key between the two separators; the cells are in key order and end with the
// page; and how much of it they take follows from how many there are next to other
// leaves, which are usualFill per cent full on the average.
func (n node) guessCell(i int, key []byte, size int) (at int, ok bool) {
	c, h, p := n.count(), n.heads(), u16(n[4:])
	if i < 2 || i+2 > c || len(key) < p || size < 2*cellsAhead {
		return 0, false
	}
	heads := n[h+headSize*(i-1) : h+headSize*(i+1)]
	low, high, head := u32(heads), u32(heads[headSize:]), headOf(key[p:])
	if head < low || head >= high {
		return 0, false
	}
	counts := n[h+12*c+8+8*(i-2):][:40]
	own := u64(counts[16:])
	near := own + u64(counts) + u64(counts[8:]) + u64(counts[24:]) + u64(counts[32:])
	used := min(int(own*5*usualFill/100*uint64(size)/max(1, near)), size)
	at = size - used + int(uint64(head-low)*uint64(used)/uint64(high-low)) - cellsAhead/2
	return max(0, min(at, size-cellsAhead)), true
}

// copyAhead asks for all of a node that is about to be changed, and copied for that.
func (n node) copyAhead() {
	if canPrefetch {
		prefetch(&n[0], 0, min(walkAhead, len(n)))
	}
}

// scanAhead asks for the leaves that a scan comes to after the one that it has just
// reached, going forward if step is 1 and back if it is -1: for the cells of the next
// one, which would else be waited for record by record, and for the header of the
// one behind that.
func (c *Cursor) scanAhead(step int) {
	if c.depth < 2 {
		return
	}
	s, snap := c.at(c.depth-2), c.bucket.tx.snap
	n := s.bytes(snap)
	if i := s.idx + 2*step; i >= 0 && i < s.n {
		if page, _ := snap.expected(n.child(i).ID); page != nil {
			prefetch(&page[0], 0, min(headAhead, len(page)))
		}
	}
	if i := s.idx + step; i >= 0 && i < s.n {
		snap.leafAhead(n.child(i))
	}
}

// leafAhead asks for the records of the leaf that ref names.
func (s *Snapshot) leafAhead(ref Ref) {
	page, resident := s.expected(ref.ID)
	if page == nil {
		return
	}
	from := 0
	if resident || ref.Stamp != 0 && s.Nodes[ref.ID].Load() == ref.Stamp {
		from = min(HeaderSize+node(page[HeaderSize:]).low(), len(page)-1)
	}
	prefetch(&page[0], from, min(walkAhead, len(page)-from))
}
