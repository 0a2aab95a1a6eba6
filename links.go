package mapleaf

import (
	"fmt"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// How a batch says what it did to the free space: this file decides which pages
// the new links of the chain take, what stands in them, and which old ones go.

// A linkPlan is the answer for one batch.
type linkPlan struct {
	entries  []chainEntry
	links    []extent // single pages, in the order of the chain
	manifest extent   // count 0: it stands in the meta
	unused   []extent // of the reserve
	freed    []freedExtent
	hwm      uint64
}

// planLinks finds out how many links the batch needs, and takes them from its
// reserve. Taking pages is itself part of what the links have to say: so it
// tries the least number first, and one more until the entries fit.
func (s *store) planLinks(b *batch, pages int) (*linkPlan, error) {
	c := &s.chain
	p := &linkPlan{}
	if s.meta.manifest.ID != 0 {
		p.freed = append(p.freed, storeExtent(s.meta.manifest.ID, s.meta.manPages, b.last))
	}
	base := slices.Clone(b.changes)
	if b.tail.count > 0 {
		base = append(base, change{extent: b.tail, delta: -1})
	}
	sum, err := newNetting(base, c.hwm)
	if err != nil {
		return nil, err
	}
	net, _, err := sum.net(nil)
	if err != nil {
		return nil, err
	}
	moves, drop := c.oldest(c.budget(len(net)))
	home := c.seq + 1
	forward := c.forward(moves, &s.free, func(i int) uint64 {
		return home + uint64(i/c.capacity)
	})
	for _, l := range c.links[:drop] {
		p.freed = append(p.freed, storeExtent(l.ref.ID, 1, b.last))
	}
	c.drop(drop)
	late := make([]change, 0, len(p.freed)+len(b.reserve)+1)
	for _, f := range p.freed {
		late = append(late, change{f.extent, +1, f.birth, f.freed})
	}
	for n := c.pagesFor(len(forward) + len(net)); n <= b.links; n++ {
		p.manifest = extent{b.manifest.first, manifestPages(pages+n, s.pageSize)}
		if p.manifest.count > b.manifest.count {
			break
		}
		if net, p.hwm, err = sum.net(p.take(b, late, n)); err != nil {
			return nil, err
		}
		if c.pagesFor(len(forward)+len(net)) <= n {
			p.entries = append(forward, net...)
			return p, s.settlePlan(b, p, len(forward))
		}
	}
	return nil, fmt.Errorf("mapleaf: %d pages are too few for the links of a batch with "+
		"%d changes", b.links, len(b.changes))
}

// storeExtent is an extent of the store that nobody reads: it waits for the meta
// of txid alone.
func storeExtent(id tx.PageID, count uint32, txid tx.TxID) freedExtent {
	return freedExtent{extent{id, count}, txid, txid}
}

// take takes n links and the manifest from the batch's reserve, and appends
// these changes to changes.
func (p *linkPlan) take(b *batch, changes []change, n int) []change {
	p.links, p.unused = p.links[:0], p.unused[:0]
	for _, e := range b.reserve {
		used := min(n, int(e.count))
		n -= used
		if used > 0 {
			changes = append(changes, change{extent: extent{e.first, uint32(used)}, delta: -1})
		}
		for i := range used {
			p.links = append(p.links, extent{e.first + tx.PageID(i), 1})
		}
		p.unused = append(p.unused, extent{e.first + tx.PageID(used), e.count - uint32(used)})
	}
	if p.manifest.count > 0 {
		changes = append(changes, change{extent: p.manifest, delta: -1})
	}
	p.unused = append(p.unused, extent{
		b.manifest.first + tx.PageID(p.manifest.count), b.manifest.count - p.manifest.count,
	})
	return changes
}

// settlePlan carries the plan out in memory. The first forward entries have been
// applied to the ledger already.
func (s *store) settlePlan(b *batch, p *linkPlan, forward int) error {
	c := &s.chain
	for i := forward; i < len(p.entries); i++ {
		if err := c.change(p.entries[i], c.seq+1+uint64(i/c.capacity)); err != nil {
			return err
		}
	}
	if b.tail.count > 0 {
		p.hwm = uint64(b.tail.first)
	}
	c.hwm = p.hwm
	s.free.setFloor(p.hwm)
	for _, e := range p.unused {
		s.free.give(e)
	}
	return nil
}

// writeLinks makes the pages of the plan's links and appends them to the chain.
func (s *store) writeLinks(b *batch, p *linkPlan) []*tx.Page {
	c := &s.chain
	pages := make([]*tx.Page, len(p.links))
	for i, e := range p.links {
		page := s.newPage(tx.KindChain, e, b.last)
		entries := p.entries[i*c.capacity : min(len(p.entries), (i+1)*c.capacity)]
		encodeChain(page.Body(), c.head(), entries)
		c.add(page.Ref(), entries)
		pages[i] = page
	}
	return pages
}
