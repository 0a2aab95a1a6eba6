package mapleaf

import (
	"cmp"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// loadChain reads the free-space chain of an accepted meta, and nothing else of
// the file, and replays it. A chain that leads in a circle or out of the file,
// or that says impossible things, is damage.
func loadChain(f file, m *meta) (chain, error) {
	first := firstPage(m.pageSize)
	c := chain{
		ledger: newLedger(), capacity: chainCapacity(m.pageSize), hwm: uint64(m.hwm),
	}
	pages, err := readChain(f, m, first, nil)
	if err != nil {
		return c, err
	}
	for _, p := range slices.Backward(pages) {
		c.add(p.ref, p.entries)
		for _, e := range p.entries {
			c.apply(e, c.seq)
		}
	}
	if end := c.end(); end > c.hwm {
		return c, tx.Corrupt(m.chain.ID, "chain calls pages up to %d free, behind the end at %d",
			end, m.hwm)
	}
	return c, c.checkOwn(m)
}

// A chainPage is a page of the chain as it was read.
type chainPage struct {
	ref     tx.Ref
	prev    tx.Ref
	entries []chainEntry
}

// readChain returns the pages of the chain, newest first, down to one that is known.
func readChain(f file, m *meta, first tx.PageID, known func(tx.Ref) bool) (
	[]chainPage, error) {
	var pages []chainPage
	seen := make(map[tx.PageID]struct{})
	buf := make([]byte, m.pageSize)
	ref := m.chain
	for range m.chainPages {
		if known != nil && known(ref) {
			break
		}
		if _, ok := seen[ref.ID]; ok || ref.ID < first || ref.ID >= m.hwm {
			return nil, tx.Corrupt(ref.ID, "chain leads here a second time or out of the file")
		}
		seen[ref.ID] = struct{}{}
		if err := readPage(f, buf, ref.ID, int64(ref.ID)*int64(m.pageSize)); err != nil {
			return nil, err
		}
		h, err := checkExtent(buf, ref, tx.KindChain, m.hwm)
		if err != nil {
			return nil, err
		}
		if err := h.checkFile(tagOf(m.fileID)); err != nil {
			return nil, err
		}
		if h.birth > m.txid {
			return nil, tx.Corrupt(ref.ID, "born in transaction %d, after %d", h.birth, m.txid)
		}
		prev, entries, err := decodeChain(ref.ID, buf[headerSize:], first, m.txid)
		if err != nil {
			return nil, err
		}
		pages = append(pages, chainPage{ref, prev, entries})
		ref = prev
	}
	return pages, nil
}

// checkOwn checks that the chain does not call its own pages free, nor the
// manifest or the root.
func (c *chain) checkOwn(m *meta) error {
	own := make([]extent, 0, len(c.links)+2)
	for _, l := range c.links {
		own = append(own, extent{l.ref.ID, 1})
	}
	if m.manifest.ID != 0 {
		own = append(own, extent{m.manifest.ID, m.manPages})
	}
	if m.root.Root.ID != 0 {
		own = append(own, extent{m.root.Root.ID, 1})
	}
	for _, e := range own {
		var err error
		c.walk(e, func(r record) bool {
			err = tx.Corrupt(e.first, "page is in use, and the chain calls it free")
			return false
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fill gives the free space everything that the ledger holds. live are the txids
// in the reader slots: without any, all that was freed is free. Both orders are built
// in one pass.
func (f *freelist) fill(c *chain, live []tx.TxID) {
	f.reset(tx.PageID(c.hwm))
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []extent
	c.tree.Ascend(func(r record) bool {
		freed := freedExtent{r.extent, r.birth, r.freed}
		if n := len(all); freed.seenBy(live) {
			f.file(freed, live)
		} else if n > 0 && all[n-1].end() == uint64(r.first) {
			all[n-1].count += r.count
		} else {
			all = append(all, r.extent)
		}
		return true
	})
	for _, e := range all {
		f.mu.byStart.ReplaceOrInsert(e)
		f.mu.pages += uint64(e.count)
	}
	slices.SortFunc(all, func(a, b extent) int {
		return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(a.first, b.first))
	})
	for _, e := range all {
		f.mu.byCount.ReplaceOrInsert(e)
	}
}
