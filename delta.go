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

// netChanges adds up the changes of a batch over a state whose high-water mark
// is hwm. It returns the entries for the chain, ascending and disjoint, and the
// new high-water mark.
func netChanges(changes []change, hwm uint64) ([]chainEntry, uint64, error) {
	top := hwm
	for _, c := range changes {
		top = max(top, c.end())
	}
	if top > hwm {
		above := change{extent: extent{tx.PageID(hwm), uint32(top - hwm)}, delta: +1}
		changes = append(slices.Clip(changes), above)
	}
	if len(changes) > edgeChange {
		return nil, 0, fmt.Errorf("mapleaf: %d changes in one batch", len(changes))
	}
	edges := make([]edge, 0, 2*len(changes))
	for i, c := range changes {
		edges = append(edges,
			edge(uint64(c.first)<<edgePage|edgeBegins|uint64(i)),
			edge(c.end()<<edgePage|uint64(i)))
	}
	slices.Sort(edges)
	return sweep(edges, changes, hwm)
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
			return nil, 0, fmt.Errorf("mapleaf: pages %d to %d changed by %d in one batch",
				at, end, sum)
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
