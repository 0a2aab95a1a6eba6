package mapleaf

import (
	"fmt"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// What a batch changes in the free space is the sum of what its transactions
// did, in any order: pages taken, given back, freed. This file nets it: a page
// that was taken and given back does not count at all.
//
// Invariants:
//
//	D1 For each page, takes and gives of one batch add up to -1 (it was free and
//	   is used now), 0 (as before) or +1 (it was used and was freed). A page
//	   above the old high-water mark begins with +1, as if it had been free.
//	D2 At most one change frees a page in one batch, so its tag is never in doubt.

// A change is one step: pages taken or given.
type change struct {
	extent
	delta        int8    // -1 taken, +1 given back or freed
	birth, freed tx.TxID // of a page freed; zero for one given back unused
}

// freeForAll is the tag of pages that nobody can be reading.
const freeForAll tx.TxID = 1

// An edge is where a change begins or ends, packed so that edges sort as numbers
// do, several times faster than structs with a comparison function:
//
//	bits 31..63  the page
//	bit  30      0 = a change ends here, 1 = one begins: ends come first
//	bits 0..29   index of the change
type edge uint64

const (
	edgePage   = 31
	edgeBegins = 1 << 30
	edgeChange = edgeBegins - 1
)

func (e edge) page() uint64 { return uint64(e) >> edgePage }

// A netting adds up the changes of a batch over a state whose high-water mark is
// hwm. Most of them are known long before the last few, which depend on the
// sum: so they are sorted once, and the others are merged in.
type netting struct {
	hwm     uint64
	changes []change
	edges   []edge // of changes, sorted
	merged  []edge // scratch
}

// newNetting returns a netting of changes.
func newNetting(changes []change, hwm uint64) (*netting, error) {
	n := &netting{hwm: hwm, changes: changes}
	if len(changes) > edgeChange/2 {
		return nil, fmt.Errorf("mapleaf: %d changes in one batch", len(changes))
	}
	n.edges = appendEdges(make([]edge, 0, 2*len(changes)), changes, 0)
	return n, nil
}

// appendEdges appends the edges of changes, whose first has the index from, in order.
func appendEdges(edges []edge, changes []change, from int) []edge {
	start := len(edges)
	for i, c := range changes {
		i := uint64(from + i)
		edges = append(edges,
			edge(uint64(c.first)<<edgePage|edgeBegins|i), edge(c.end()<<edgePage|i))
	}
	slices.Sort(edges[start:])
	return edges
}

// net returns the entries for the chain, ascending and disjoint, that the changes
// and those in extra add up to, and the new high-water mark.
func (n *netting) net(extra []change) ([]chainEntry, uint64, error) {
	all := append(slices.Clip(n.changes), extra...)
	top := n.hwm
	for _, c := range all {
		top = max(top, c.end())
	}
	if top > n.hwm {
		all = append(all, change{
			extent: extent{tx.PageID(n.hwm), uint32(top - n.hwm)}, delta: +1,
		})
	}
	late := appendEdges(nil, all[len(n.changes):], len(n.changes))
	n.merged = mergeEdges(n.merged[:0], n.edges, late)
	return sweep(n.merged, all, n.hwm)
}

// mergeEdges appends a and b, both in order, to merged, in order.
func mergeEdges(merged, a, b []edge) []edge {
	for _, e := range b {
		i, _ := slices.BinarySearch(a, e)
		merged = append(append(merged, a[:i]...), e)
		a = a[i:]
	}
	return append(merged, a...)
}

// sweep walks the edges in order.
func sweep(edges []edge, changes []change, hwm uint64) ([]chainEntry, uint64, error) {
	var entries []chainEntry
	var tag change // the freed extent that the sweep is in
	sum, newHWM := int8(0), hwm
	for i, e := range edges {
		c := &changes[e&edgeChange]
		begins := e&edgeBegins != 0
		switch {
		case begins && c.freed != 0:
			tag = *c
		case c.freed != 0:
			tag = change{}
		}
		if begins {
			sum += c.delta
		} else {
			sum -= c.delta
		}
		at := e.page()
		if i+1 == len(edges) || edges[i+1].page() == at {
			continue
		}
		end := edges[i+1].page()
		if sum < -1 || sum > 1 || sum < 0 && at >= hwm {
			return nil, 0, tx.Corrupt(tx.PageID(at),
				"pages %d to %d were taken or freed twice, which adds up to %d", at, end-1, sum)
		}
		if sum == 0 {
			if at >= hwm {
				newHWM = end
			}
			continue
		}
		entry := chainEntry{extent: extent{tx.PageID(at), uint32(end - at)}}
		if sum > 0 {
			entry.birth, entry.freed = tag.birth, tag.freed
			if tag.freed == 0 {
				entry.birth, entry.freed = freeForAll, freeForAll
			}
		}
		entries = appendEntry(entries, entry)
	}
	return cutEntries(entries, newHWM), newHWM, nil
}

// appendEntry joins e to the last entry if it continues it.
func appendEntry(entries []chainEntry, e chainEntry) []chainEntry {
	if n := len(entries); n > 0 {
		last := &entries[n-1]
		if last.end() == uint64(e.first) && last.birth == e.birth && last.freed == e.freed {
			last.count += e.count
			return entries
		}
	}
	return append(entries, e)
}

// cutEntries drops what lies above the new high-water mark: it is no page.
func cutEntries(entries []chainEntry, hwm uint64) []chainEntry {
	for n := len(entries); n > 0; n-- {
		last := &entries[n-1]
		if uint64(last.first) < hwm {
			if last.end() > hwm {
				last.count = uint32(hwm - uint64(last.first))
			}
			return entries[:n]
		}
	}
	return entries[:0]
}
