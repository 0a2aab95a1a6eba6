package mapleaf

import (
	"fmt"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// How an epoch says what it did to the free space: this file decides which pages
// the new links of the chain take, what stands in them, and which old ones go.

// A linkPlan is the answer for one epoch.
type linkPlan struct {
	entries  []chainEntry
	links    []extent // single pages, in the order of the chain
	manifest extent   // count 0: it stands in the meta
	unused   []extent // of the reserve
	freed    []freedExtent
	hwm      uint64
}

// planLinks finds out how many links the epoch needs, and takes them from its
// reserve. gone are extents of the store itself that end with it; pages is how many the
// manifest will name, or negative if there will be none. Taking pages is itself part of
// what the links have to say: so it tries the least number first, and one more until
// the entries fit.
func (s *store) planLinks(e *epoch, pages int, gone []freedExtent) (*linkPlan, error) {
	c := &s.chain
	p := &linkPlan{freed: gone}
	if s.meta.manifest.ID != 0 {
		p.freed = append(p.freed, storeExtent(s.meta.manifest.ID, s.meta.manPages, e.last()))
	}
	base := slices.Clone(e.changes)
	if e.tail.count > 0 {
		base = append(base, change{extent: e.tail, delta: -1})
	}
	sum, err := newNetting(base, c.hwm)
	if err != nil {
		return nil, err
	}
	net, _, err := sum.net(nil)
	if err != nil {
		return nil, err
	}
	budget := c.budget
	if e.anew {
		budget = func(int) (int, int) { return c.all() }
	}
	moves, drop := c.oldest(budget(len(net)))
	home := c.seq + 1
	forward := c.forward(moves, &s.free, func(i int) uint64 {
		return home + uint64(i/c.capacity)
	})
	for _, l := range c.links[:drop] {
		p.freed = append(p.freed, storeExtent(l.ref.ID, 1, e.last()))
	}
	c.drop(drop)
	late := make([]change, 0, len(p.freed)+len(e.reserve)+1)
	for _, f := range p.freed {
		late = append(late, change{f.extent, +1, f.birth, f.freed})
	}
	for n := c.pagesFor(len(forward) + len(net)); n <= e.links; n++ {
		if pages >= 0 {
			p.manifest = extent{e.manifest.first, manifestPages(pages+n, s.pageSize)}
		}
		if p.manifest.count > e.manifest.count {
			break
		}
		if net, p.hwm, err = sum.net(p.take(e, late, n)); err != nil {
			return nil, err
		}
		if c.pagesFor(len(forward)+len(net)) <= n {
			p.entries = append(forward, net...)
			return p, s.settlePlan(e, p, len(forward))
		}
	}
	return nil, fmt.Errorf("mapleaf: %d pages are too few for the links of an epoch with "+
		"%d changes", e.links, len(e.changes))
}

// storeExtent is an extent of the store that nobody reads: it waits for the meta
// of txid alone.
func storeExtent(id tx.PageID, count uint32, txid tx.TxID) freedExtent {
	return freedExtent{extent{id, count}, txid, txid}
}

// take takes n links and the manifest from the batch's reserve, and appends
// these changes to changes.
func (p *linkPlan) take(e *epoch, changes []change, n int) []change {
	p.links, p.unused = p.links[:0], p.unused[:0]
	for _, x := range e.reserve {
		used := min(n, int(x.count))
		n -= used
		if used > 0 {
			changes = append(changes, change{extent: extent{x.first, uint32(used)}, delta: -1})
		}
		for i := range used {
			p.links = append(p.links, extent{x.first + tx.PageID(i), 1})
		}
		p.unused = append(p.unused, extent{x.first + tx.PageID(used), x.count - uint32(used)})
	}
	if p.manifest.count > 0 {
		changes = append(changes, change{extent: p.manifest, delta: -1})
	}
	p.unused = append(p.unused, extent{
		e.manifest.first + tx.PageID(p.manifest.count), e.manifest.count - p.manifest.count,
	})
	return changes
}

// settlePlan carries the plan out in memory. The first forward entries have been
// applied to the ledger already.
func (s *store) settlePlan(e *epoch, p *linkPlan, forward int) error {
	c := &s.chain
	for i := forward; i < len(p.entries); i++ {
		if err := c.change(p.entries[i], c.seq+1+uint64(i/c.capacity)); err != nil {
			return err
		}
	}
	if e.tail.count > 0 {
		p.hwm = uint64(e.tail.first)
	}
	c.hwm = p.hwm
	s.free.setFloor(p.hwm)
	for _, x := range p.unused {
		s.free.give(x)
	}
	return nil
}

// writeLinks makes the pages of the plan's links and appends them to the chain. The last
// ones may be empty: taking a page that the epoch has freed makes entries fewer.
func (s *store) writeLinks(e *epoch, p *linkPlan) []*tx.Page {
	c := &s.chain
	pages := make([]*tx.Page, len(p.links))
	for i, x := range p.links {
		page := s.newPage(tx.KindChain, x, e.last())
		from, to := min(len(p.entries), i*c.capacity), min(len(p.entries), (i+1)*c.capacity)
		entries := p.entries[from:to]
		encodeChain(page.Body(), c.head(), entries)
		c.add(page.Ref(), entries)
		pages[i] = page
	}
	return pages
}
