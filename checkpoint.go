package mapleaf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// How an epoch gets into the file: its pages and the links of the free-space chain,
// in ascending order and adjacent ones in one call; then a meta.
//
// By a commit this is done with one sync for all of it, and a manifest that tells
// after a crash whether everything arrived. (Of a large epoch the pages are written
// while the links are still planned. No order matters before the sync.)
//
// By a checkpoint beside running commits it is done in portions (pace.go), since the
// drive would else hold up the commits; then a sync, and only then a meta, and a sync
// for that. So it needs no manifest, and an opening after a crash has none to verify.
//
// Afterwards what the epoch freed becomes free where no reader sees it.
//
// Who holds store.writing writes: one epoch at a time, in their order (E4).

// A write is an epoch in the form in which it goes to the file.
type write struct {
	epoch     *epoch
	pages     []*tx.Page // links included
	unwritten []*tx.Page // those that are not in the file yet, ascending
	entries   []manifestEntry
	manifest  *tx.Page // nil if it is inline
	meta      *meta
	freed     []freedExtent // dropped links, the manifest before, log extents
	logs      [2]logExtent  // as they are once the meta is durable
}

// compose frames the pages of the epoch, says what has become of the free space, and
// makes manifest and meta. The pages of a large epoch are on their way to the file
// meanwhile.
func (s *store) compose(e *epoch) (*write, error) {
	w := &write{epoch: e, pages: s.counted(e)}
	early := s.writeEarly(w.pages, e.last())
	plan, err := s.planLogs(w, len(w.pages))
	if early != nil {
		early.Wait()
		err = errors.Join(append(early.errs[:], err)...)
	}
	if err != nil {
		return nil, err
	}
	links := s.writeLinks(e, plan)
	if early == nil {
		w.pages = append(w.pages, links...)
		slices.SortFunc(w.pages, comparePages)
		w.unwritten = w.pages
		w.entries = s.seal(w.pages, e.last())
	} else {
		w.pages = append(w.pages, links...)
		w.unwritten = links
		slices.SortFunc(w.unwritten, comparePages)
		w.entries = append(early.entries, s.seal(links, e.last())...)
		slices.SortFunc(w.entries, func(x, y manifestEntry) int {
			return cmp.Compare(x.first, y.first)
		})
	}
	s.composeMeta(w)
	s.composeManifest(w, plan.manifest)
	return w, nil
}

// born returns the pages that were born in the epoch, in ascending order.
func (s *store) born(e *epoch) []*tx.Page {
	pages := make([]*tx.Page, 0, e.pages)
	e.state.Overlay.All(func(p *tx.Page) bool {
		if e.holds(p) {
			pages = append(pages, p)
		}
		return true
	})
	return pages
}

// counted returns them as they are to be written.
func (s *store) counted(e *epoch) []*tx.Page {
	pages := s.born(e)
	for i, p := range pages {
		pages[i] = p.Counted(&e.state.Overlay, e.holds)
	}
	return pages
}

// planLogs plans the links, with what becomes of the log.
func (s *store) planLogs(w *write, pages int) (*linkPlan, error) {
	e := w.epoch
	s.log.clearing.settle() // one of the extents may go
	s.mu.Lock()
	now := s.log.extents
	s.mu.Unlock()
	var gone []freedExtent
	drop := func(x logExtent) {
		gone = append(gone, storeExtent(x.first, x.count, e.last()))
	}
	w.logs = now
	switch {
	case now[0].count == 0 && len(e.logs) == 2:
		for i, x := range e.logs {
			w.logs[i] = logExtent{x, newSalt()}
			e.changes = append(e.changes, change{extent: x, delta: -1})
		}
	case now[0].count == 0: // there is none
	case e.endLog:
		drop(now[0])
		drop(now[1])
		for _, x := range e.logs {
			s.free.give(x)
		}
		w.logs = [2]logExtent{}
	case len(e.logs) > 0:
		drop(now[e.log])
		w.logs[e.log] = logExtent{e.logs[0], newSalt()}
		e.changes = append(e.changes, change{extent: e.logs[0], delta: -1})
	default:
		w.logs[e.log].salt = newSalt()
	}
	plan, err := s.planLinks(e, pages, gone)
	if err != nil {
		return nil, err
	}
	w.freed = plan.freed
	return plan, nil
}

func comparePages(x, y *tx.Page) int { return cmp.Compare(x.ID, y.ID) }

// seal frames the pages and returns their manifest entries.
func (s *store) seal(pages []*tx.Page, last tx.TxID) []manifestEntry {
	entries := make([]manifestEntry, len(pages))
	for i, p := range pages {
		e := extent{p.ID, uint32(len(p.Buf) >> s.shift)}
		h := pageHeader{
			id: p.ID, count: e.count, birth: birthOf(p.Stamp, last), kind: p.Kind, file: s.tag,
		}
		entries[i] = manifestEntry{e, h.seal(p.Buf)}
	}
	return entries
}

// composeMeta makes the meta, without a manifest.
func (s *store) composeMeta(w *write) {
	e := w.epoch
	w.meta = &meta{
		pageSize:   s.pageSize,
		txid:       e.last(),
		durable:    max(s.meta.txid, s.durableThrough()),
		hwm:        tx.PageID(s.chain.hwm),
		root:       e.state.Root,
		chain:      s.chain.head(),
		chainPages: uint32(len(s.chain.links)),
		fileID:     s.meta.fileID,
	}
	// The epoch behind this one writes into the other extent first.
	w.meta.logs = [2]logExtent{w.logs[1-e.log], w.logs[e.log]}
	w.meta.entrySum = manifestSumOf(e.last(), nil)
}

// composeManifest adds the manifest, which takes the extent at if it is long.
func (s *store) composeManifest(w *write, at extent) {
	last, entries := w.epoch.last(), w.entries
	w.meta.entries, w.meta.entryCount = entries, uint32(len(entries))
	encoded := appendManifest(make([]byte, 0, len(entries)*manifestEntrySize), entries)
	w.meta.entrySum = manifestSumOf(last, encoded)
	if at.count == 0 {
		return
	}
	w.manifest = s.newPage(tx.KindManifest, at, last)
	copy(w.manifest.Body(), encoded)
	h := pageHeader{
		id: w.manifest.ID, count: at.count, birth: last, kind: tx.KindManifest, file: s.tag,
	}
	h.seal(w.manifest.Buf)
	w.meta.manifest, w.meta.manPages = w.manifest.Ref(), at.count
}

// earlyPages is the number of pages from which on they are written while the links
// are planned; a smaller epoch does with fewer calls.
const earlyPages = 64

// earlyWriters is how many goroutines frame and write a large epoch's pages.
const earlyWriters = 2

// An early write is one that began before the epoch was composed.
type early struct {
	sync.WaitGroup
	entries []manifestEntry
	errs    [earlyWriters]error
}

// writeEarly frames and writes the pages of a large epoch on goroutines of its
// own. It returns nil for a small one.
func (s *store) writeEarly(pages []*tx.Page, last tx.TxID) *early {
	if len(pages) < earlyPages {
		return nil
	}
	e := &early{entries: make([]manifestEntry, len(pages))}
	for i := range earlyWriters {
		from, to := i*len(pages)/earlyWriters, (i+1)*len(pages)/earlyWriters
		e.Go(func() {
			began := time.Now()
			copy(e.entries[from:], s.seal(pages[from:to], last))
			var calls int64
			calls, e.errs[i] = s.writePages(s.file, pages[from:to], nil)
			s.stats.wrote(calls, time.Since(began))
		})
	}
	return e
}

// newPage makes an extent that belongs to the store itself.
func (s *store) newPage(kind tx.Kind, e extent, txid tx.TxID) *tx.Page {
	return &tx.Page{
		Buf: make([]byte, int(e.count)<<s.shift), ID: e.first, Stamp: txid.Stamp(), Kind: kind,
	}
}

// write writes what is not written yet but does not wait for the drive: pages,
// the manifest, and the meta last. If all of it is to be durable next, the first pages
// are on their way to the drive while the others are written.
func (s *store) write(w *write, durable bool) error {
	began := time.Now()
	pages := w.unwritten
	if w.manifest != nil {
		i, _ := slices.BinarySearchFunc(pages, w.manifest, comparePages)
		pages = slices.Insert(slices.Clone(pages), i, w.manifest)
	}
	var pace *pacer
	if durable {
		pace = &pacer{f: s.file, size: commitPortion}
	}
	calls, err := s.writePages(s.file, pages, pace)
	if err != nil {
		return err
	}
	if err := s.writeMeta(s.file, w.meta); err != nil {
		return err
	}
	s.stats.wrote(calls+1, time.Since(began))
	return nil
}

// writeMeta writes the meta into the slot that does not hold the newest one.
func (s *store) writeMeta(f file, m *meta) error {
	s.written.Store(true)
	slot := [][]byte{m.encode()}
	if err := f.WriteVec(slot, slotOffset(1-s.metaSlot)); err != nil {
		return fmt.Errorf("mapleaf: write meta: %w", err)
	}
	return nil
}

// writePages writes framed pages, in ascending order, adjacent ones in one call and a
// very long one in several, and returns how many calls that took.
func (s *store) writePages(f file, pages []*tx.Page, pace *pacer) (calls int64, err error) {
	write := func(bufs [][]byte, off, size int64) {
		if err = f.WriteVec(bufs, off); err == nil {
			s.output.Add(size)
			err = pace.wrote(off, size)
		}
		calls++
	}
	var bufs [][]byte
	limit := pace.limit()
	for i := 0; i < len(pages) && err == nil; {
		off := int64(pages[i].ID) << s.shift
		if buf := pages[i].Buf; int64(len(buf)) > limit {
			for piece := range slices.Chunk(buf, int(limit)) {
				if write([][]byte{piece}, off, int64(len(piece))); err != nil {
					break
				}
				off += limit
			}
			i++
			continue
		}
		size := int64(0)
		bufs = bufs[:0]
		for i < len(pages) && int64(pages[i].ID)<<s.shift == off+size &&
			size+int64(len(pages[i].Buf)) <= limit {
			bufs = append(bufs, pages[i].Buf)
			size += int64(len(pages[i].Buf))
			i++
		}
		write(bufs, off, size)
	}
	if err != nil {
		err = fmt.Errorf("mapleaf: write pages: %w", err)
	}
	return calls, err
}

// beginCheckpoint waits for the checkpoint before, and begins that of the epoch on a
// goroutine of its own. The caller is the committer, so that commits wait when
// they are faster than the drive.
func (s *store) beginCheckpoint(e *epoch) {
	s.writing.Lock()
	go s.runCheckpoint(e)
}

// runCheckpoint writes the epoch on a goroutine of its own, which takes over the lock
// writing from its caller.
func (s *store) runCheckpoint(e *epoch) {
	defer s.settled()
	defer s.writing.Unlock()
	if err := s.uncut(); err != nil {
		s.fail(err)
	}
	if s.failed() == nil {
		_ = s.checkpoint(e, true, e.sync) // the next call gets its error
	}
}

// checkpoint writes an epoch that is durable by the log, or of which nothing has to be,
// through the second descriptor if it goes on beside commits. The caller holds writing.
func (s *store) checkpoint(e *epoch, bulk, durable bool) error {
	if err := s.failed(); err != nil { // K3
		return err
	}
	w := &write{epoch: e, pages: s.counted(e)}
	plan, err := s.planLogs(w, -1)
	if err != nil {
		return s.fail(err)
	}
	w.pages = append(w.pages, s.writeLinks(e, plan)...)
	slices.SortFunc(w.pages, comparePages)
	s.seal(w.pages, e.last())
	s.composeMeta(w)
	f := s.file
	if bulk {
		f = s.bulk
	}
	var pace *pacer
	if durable {
		pace = &pacer{f: f, size: portionBytes, waits: true}
	}
	began := time.Now()
	calls, err := s.writePages(f, w.pages, pace)
	if err != nil {
		return s.fail(err)
	}
	if !durable {
		s.unsynced.Store(true) // first: so whoever joins after the look syncs it himself
		durable = s.syncedAfter(e)
	}
	if durable {
		if err := s.syncFile(bulk); err != nil {
			return err
		}
	}
	if err := s.writeMeta(f, w.meta); err != nil {
		return s.fail(err)
	}
	if durable {
		if err := s.syncFile(bulk); err != nil {
			return err
		}
	}
	if !durable {
		s.unsynced.Store(true) // the meta is new since
	}
	s.loose.Store(!durable)
	s.stats.wrote(calls+1, time.Since(began))
	s.wrote(w)
	s.release(w)
	return nil
}

// syncedAfter reports whether something in a later epoch is to be durable (K5).
func (s *store) syncedAfter(e *epoch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.synced > e.number
}

// wrote notes that the meta of w is in the file, and durable unless NoSync is set.
func (s *store) wrote(w *write) {
	s.metaSlot = 1 - s.metaSlot
	s.meta = w.meta
	s.durableTo(w.meta.txid)
	s.stats.links.Store(int64(w.meta.chainPages))
	s.mark(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.extents = w.logs
	if s.logging() {
		s.mu.starting, s.mu.saving = false, 0
	}
	if s.mu.checkpoint <= w.epoch.number {
		s.mu.checkpoint = 0
	}
	s.mu.finished = append(s.mu.finished, w.epoch)
	s.mu.written = w.epoch.last()
}

// release frees what the epoch has freed. Its last state is published.
func (s *store) release(w *write) {
	if live, err := s.live(); err == nil {
		s.free.release(append(w.epoch.freed, w.freed...), live)
	}
}

// mark notes in the tables of the newest mapping that the pages are good.
func (s *store) mark(w *write) {
	m := s.pinNewest() // a writer may replace it
	defer s.unpin(m)
	to := tx.Snapshot{Nodes: m.nodes, Extents: m.extents, Shift: s.shift}
	for _, p := range w.pages {
		to.Mark(p)
	}
}
