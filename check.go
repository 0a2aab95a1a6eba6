package mapleaf

import (
	"context"
	"slices"
	"strings"

	"github.com/mapleafdb/mapleaf/tx"
)

// A space is where all pages are that no bucket reaches, at one moment.
type space struct {
	free  []extent
	held  []extent // freed, and still seen by some reader
	taken []extent // by the running write transaction
	own   []extent // chain, manifest and log
	top   uint64   // the high-water mark, which may have fallen since
	exact bool     // the moment is that of the transaction asked for
}

// spaceAt describes the free space. It is exact if base is the newest committed
// state and nothing is being written: otherwise later states have taken and
// freed pages meanwhile.
func (s *store) spaceAt(base tx.TxID) *space {
	v := &space{}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	v.exact = s.quietAt(base)
	if v.exact {
		e := s.mu.epoch
		v.own = append(append(v.own, e.reserve...), e.logs...)
		v.own = append(v.own, e.manifest, s.log.extents[0].extent, s.log.extents[1].extent)
		for _, f := range e.freed {
			v.held = append(v.held, f.extent)
		}
		for _, l := range s.chain.links {
			v.own = append(v.own, extent{l.ref.ID, 1})
		}
		if s.meta.manifest.ID != 0 {
			v.own = append(v.own, extent{s.meta.manifest.ID, s.meta.manPages})
		}
	}
	f := &s.free
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.byStart.Ascend(func(e extent) bool {
		v.free = append(v.free, e)
		return true
	})
	for _, entries := range f.mu.held {
		for _, e := range entries {
			v.held = append(v.held, e.extent)
		}
	}
	v.taken = slices.Clone(f.mu.taken)
	v.top = f.mu.hwm
	return v
}

// quietAt reports whether base is the newest committed state and no epoch but the
// running one is in memory. The caller holds writing and mu; as long as it does,
// nothing changes.
func (s *store) quietAt(base tx.TxID) bool {
	return s.mu.head.TxID == base && s.mu.newest == nil && len(s.mu.queue) == 0 && !s.replayed
}

// CheckSpace implements tx.Host. For a transaction that does not stand at the
// newest state it can only tell whether a page that it reaches was given away.
func (s *store) CheckSpace(t *tx.Tx, reached []uint64, report func(error)) {
	err := s.steady(context.Background(), func() error {
		s.checkSpace(t, reached, report)
		return nil
	})
	if err != nil {
		report(err)
	}
}

// checkSpace does the work of CheckSpace.
func (s *store) checkSpace(t *tx.Tx, reached []uint64, report func(error)) {
	snap := tx.SnapshotOf(t)
	base := snap.TxID
	var w *writer
	if t.Writable() {
		w = s.running
		base = w.base
		if w.under != nil {
			<-w.under.done
			if w.under.err != nil {
				report(w.under.err)
				return
			}
		}
	}
	v := s.spaceAt(base)
	c := &spaceCheck{used: reached, first: s.first, hwm: uint64(snap.HWM), report: report}
	c.mark(v.free, "free")
	if !v.exact {
		return
	}
	c.mark(v.held, "freed")
	c.mark(v.own, "part of the free-space chain, a manifest or the log")
	c.cover(v.taken)
	if w != nil {
		for _, f := range w.freed {
			c.mark([]extent{f.extent}, "freed by this transaction")
		}
	}
	c.missing(v.top)
	s.checkChain(base, report)
}

// checkChain reads the chain again and compares it with the ledger, unless
// another commit comes between.
func (s *store) checkChain(base tx.TxID, report func(error)) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	quiet := s.quietAt(base)
	s.mu.Unlock()
	if !quiet {
		return
	}
	m := s.meta
	c, err := loadChain(s.file, m)
	switch {
	case err != nil:
		report(err)
	case c.pages != s.chain.pages:
		report(tx.Corrupt(m.chain.ID, "chain calls %d pages free instead of %d",
			c.pages, s.chain.pages))
	}
}

// A spaceCheck notes which pages were found where.
type spaceCheck struct {
	used   []uint64 // a bit for each page
	first  tx.PageID
	hwm    uint64
	report func(error)
}

func (c *spaceCheck) has(id uint64) bool { return c.used[id/64]>>(id%64)&1 != 0 }

// mark notes extents, and reports pages that were noted before.
func (c *spaceCheck) mark(extents []extent, what string) {
	for _, e := range extents {
		for id := uint64(e.first); id < min(e.end(), c.hwm); id++ {
			if c.has(id) {
				c.report(tx.Corrupt(tx.PageID(id), "is in use, and also %s", what))
			}
			c.used[id/64] |= 1 << (id % 64)
		}
	}
}

// cover notes extents that may have been noted before.
func (c *spaceCheck) cover(extents []extent) {
	for _, e := range extents {
		for id := uint64(e.first); id < min(e.end(), c.hwm); id++ {
			c.used[id/64] |= 1 << (id % 64)
		}
	}
}

// missing reports runs of pages below top that are nowhere.
func (c *spaceCheck) missing(top uint64) {
	top = min(top, c.hwm)
	for id := uint64(c.first); id < top; id++ {
		if c.has(id) {
			continue
		}
		from := id
		for id+1 < top && !c.has(id+1) {
			id++
		}
		c.report(tx.Corrupt(tx.PageID(from), "pages %d to %d are neither in use nor free",
			from, id))
	}
}

// PageInfo implements tx.Host.
func (s *store) PageInfo(t *tx.Tx, id tx.PageID) (*tx.PageInfo, error) {
	info := &tx.PageInfo{ID: int(id)}
	if id < s.first {
		info.Type = "meta"
		return info, nil
	}
	snap := tx.SnapshotOf(t)
	if p := snap.Overlay.Get(id); p != nil {
		return describe(info, p.Kind, p.Body(), len(p.Buf)>>snap.Shift), nil
	}
	free := false
	err := s.steady(context.Background(), func() error {
		_, free = s.free.around(id, hwmMax)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if free {
		info.Type = "free"
		return info, nil
	}
	h := decodePageHeader(snap.Data[int(id)<<snap.Shift:][:headerSize])
	count, err := s.Verify(snap, tx.Ref{ID: id, Stamp: h.birth.Stamp()}, h.kind)
	if err != nil {
		return s.insideExtent(t, info, err)
	}
	off := int(id) << snap.Shift
	body := snap.Data[off+headerSize : off+int(count)<<snap.Shift]
	return describe(info, h.kind, body, int(count)), nil
}

// describe fills in what the body of an extent says.
func describe(info *tx.PageInfo, kind tx.Kind, body []byte, count int) *tx.PageInfo {
	info.Type = kind.String()
	info.OverflowCount = count - 1
	switch kind {
	case tx.KindNode:
		info.Type, info.Count = tx.DescribeNode(body)
	case tx.KindChain:
		_, entries, err := decodeChain(tx.PageID(info.ID), body, 0, ^tx.TxID(0))
		if err == nil {
			info.Count = len(entries)
		}
	}
	return info
}

// insideExtent describes a page without a header of its own: one behind the
// first of an extent. If it is none, damage is what is wrong with it.
func (s *store) insideExtent(t *tx.Tx, info *tx.PageInfo, damage error) (*tx.PageInfo, error) {
	id := uint64(info.ID)
	found := false
	err := tx.Reach(t, func(first tx.PageID, count uint32, kind tx.Kind) error {
		if uint64(first) < id && id < uint64(first)+uint64(count) {
			found = true
			info.Type = kind.String()
		}
		if uint64(first) == id {
			return damage
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found {
		info.Type = "free" // by now, or since a transaction that is not durable yet
	}
	return info, nil
}

// strictCheck checks the whole database if DB.StrictMode asks for it, and panics
// if something is wrong.
func (s *store) strictCheck() error {
	if !s.db.StrictMode {
		return nil
	}
	select {
	case <-s.closing: // Close moves pages, where nobody could recover from a panic
		return nil
	default:
	}
	snap, slot, err := s.beginRead()
	if err != nil {
		return nil // closed meanwhile
	}
	t := tx.NewReader(snap, s, slot)
	var problems []string
	for err := range t.Check() {
		problems = append(problems, err.Error())
	}
	if err := t.Rollback(); err != nil {
		return err
	}
	if len(problems) > 0 {
		panic("mapleaf: check failed: " + strings.Join(problems, "\n"))
	}
	return nil
}
