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

// The committer: one goroutine of the store, which runs no user code, makes one
// batch after the other durable and publishes it. While it writes and syncs one,
// the next fills, so any number of transactions share a sync and a lone one
// waits for nobody.
//
// A batch is written as: its pages and the links of the free-space chain, in
// ascending order and adjacent ones in one call; its manifest; the meta; and
// then one sync for all of it. (Of a large batch the pages are written while the
// links are still planned. No order matters before the sync.) Afterwards the new
// state is published, what it freed becomes free where no reader sees it, and the
// waiting transactions return.
//
// Invariants:
//
//	K1 Nothing is published before it is durable (or, with NoSync, written).
//	K2 No page that the newest durable state needs is overwritten before the
//	   next state is durable.
//	K3 After a write or sync that failed, nothing is written any more and
//	   nothing of the batch, or of one that stands on it, is published.
//	K4 Syncs of one descriptor do not overlap, and a failed one is noted before
//	   the next may begin: the system tells of an error once.

// runCommits is the committer's goroutine.
func (s *store) runCommits() {
	defer close(s.stopped)
	for {
		b := s.sealNext()
		if b == nil {
			return
		}
		err := s.failed()
		if err == nil {
			err = s.writeBatch(b)
		}
		s.finish(b, err)
	}
}

// sealNext waits for a batch and takes it, or returns nil when Close has asked
// the committer to stop and nothing is left.
func (s *store) sealNext() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.mu.open == nil {
		if s.mu.stop {
			return nil
		}
		s.mu.wake.Wait()
	}
	b := s.mu.open
	s.mu.open, s.mu.sealing = nil, b
	return b
}

// writeBatch makes the batch durable, and then publishes it.
func (s *store) writeBatch(b *batch) error {
	if err := s.startWriting(); err != nil {
		return s.fail(err)
	}
	w, err := s.compose(b)
	if err != nil {
		return s.fail(err)
	}
	if err := s.write(w); err != nil {
		return s.fail(err)
	}
	if b.sync {
		if err := s.sync(); err != nil {
			return err
		}
	}
	s.metaSlot = 1 - s.metaSlot
	s.meta = w.meta
	s.stats.links.Store(int64(w.meta.chainPages))
	s.mark(w)
	err = s.announce(&tx.Snapshot{
		Shift:  s.shift,
		Root:   b.root,
		TxID:   b.last,
		HWM:    w.meta.hwm,
		Source: s,
	}, b.sync)
	if err != nil {
		s.fail(err) // it is published all the same
	} else if live, err := s.live(); err == nil {
		s.free.release(append(b.freed, w.freed...), live)
	}
	return nil
}

// finish hands out the outcome.
func (s *store) finish(b *batch, err error) {
	s.mu.Lock()
	s.mu.sealing = nil
	if err == nil {
		s.mu.finished = append(s.mu.finished, b)
	}
	s.mu.Unlock()
	b.err = err
	close(b.done)
}

// failed returns the error that writers get since a write has failed, or nil.
func (s *store) failed() error {
	if p := s.broken.Load(); p != nil {
		return *p
	}
	return nil
}

// fail notes that what stands in the file is not known any more.
func (s *store) fail(cause error) error {
	err := failure(cause)
	if s.broken.CompareAndSwap(nil, &err) {
		s.peers.alarm()
	}
	return s.failed()
}

// sync makes everything written so far durable (K4).
func (s *store) sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := s.failed(); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return s.fail(fmt.Errorf("mapleaf: sync: %w", err))
	}
	return nil
}

// A write is a sealed batch in the form in which it goes to the file.
type write struct {
	pages     []*tx.Page // links included
	unwritten []*tx.Page // those that are not in the file yet, ascending
	manifest  *tx.Page   // nil if it is inline
	meta      *meta
	freed     []freedExtent // dropped links and the manifest before
}

// compose seals the batch: it frames the pages, says what has become of the free
// space, and makes manifest and meta. The pages of a large batch are on their way
// to the file meanwhile.
func (s *store) compose(b *batch) (*write, error) {
	w := &write{pages: b.alive()}
	slices.SortFunc(w.pages, comparePages)
	early := s.writeEarly(w.pages, b.last)
	plan, err := s.planLinks(b, len(w.pages))
	if early != nil {
		early.Wait()
		err = errors.Join(append(early.errs[:], err)...)
	}
	if err != nil {
		return nil, err
	}
	links := s.writeLinks(b, plan)
	w.freed = plan.freed
	var entries []manifestEntry
	if early == nil {
		w.pages = append(w.pages, links...)
		slices.SortFunc(w.pages, comparePages)
		w.unwritten = w.pages
		entries = s.seal(w.pages, b.last)
	} else {
		w.pages = append(w.pages, links...)
		w.unwritten = links
		slices.SortFunc(w.unwritten, comparePages)
		entries = append(early.entries, s.seal(links, b.last)...)
		slices.SortFunc(entries, func(x, y manifestEntry) int {
			return cmp.Compare(x.first, y.first)
		})
	}
	w.meta = &meta{
		pageSize:   s.pageSize,
		txid:       b.last,
		durable:    s.meta.txid,
		hwm:        tx.PageID(s.chain.hwm),
		root:       b.root,
		chain:      s.chain.head(),
		chainPages: uint32(len(s.chain.links)),
		entries:    entries,
		entryCount: uint32(len(entries)),
		fileID:     s.meta.fileID,
	}
	encoded := appendManifest(make([]byte, 0, len(entries)*manifestEntrySize), entries)
	w.meta.entrySum = manifestSumOf(b.last, encoded)
	if plan.manifest.count > 0 {
		w.manifest = s.newPage(tx.KindManifest, plan.manifest, b.last)
		copy(w.manifest.Body(), encoded)
		h := pageHeader{
			id: w.manifest.ID, count: plan.manifest.count, birth: b.last, kind: tx.KindManifest,
		}
		h.seal(w.manifest.Buf)
		w.meta.manifest, w.meta.manPages = w.manifest.Ref(), plan.manifest.count
	}
	return w, nil
}

func comparePages(x, y *tx.Page) int { return cmp.Compare(x.ID, y.ID) }

// seal frames the pages and returns their manifest entries.
func (s *store) seal(pages []*tx.Page, last tx.TxID) []manifestEntry {
	entries := make([]manifestEntry, len(pages))
	for i, p := range pages {
		e := extent{p.ID, uint32(len(p.Buf) >> s.shift)}
		h := pageHeader{id: p.ID, count: e.count, birth: birthOf(p.Stamp, last), kind: p.Kind}
		entries[i] = manifestEntry{e, h.seal(p.Buf)}
	}
	return entries
}

// earlyPages is the number of pages from which on a batch's pages are written
// while its links are planned; a smaller batch does with fewer calls.
const earlyPages = 64

// earlyWriters is how many goroutines frame and write a large batch's pages.
const earlyWriters = 2

// An early write is one that began before the batch was composed.
type early struct {
	sync.WaitGroup
	entries []manifestEntry
	errs    [earlyWriters]error
}

// writeEarly frames and writes the pages of a large batch on goroutines of its
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
			calls, e.errs[i] = s.writePages(pages[from:to])
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

// alive returns the pages of the batch that were not freed within it.
func (b *batch) alive() []*tx.Page {
	pages := make([]*tx.Page, 0, b.count)
	for _, of := range b.pages {
		for _, p := range of {
			if _, dead := b.dead[p.Ref()]; !dead {
				pages = append(pages, p)
			}
		}
	}
	return pages
}

// The bytes that go to the file in one call at most.
const writeBytes = 4 << 20

// write writes what is not written yet but does not wait for the drive: pages,
// the manifest, and the meta last.
func (s *store) write(w *write) error {
	began := time.Now()
	pages := w.unwritten
	if w.manifest != nil {
		i, _ := slices.BinarySearchFunc(pages, w.manifest, comparePages)
		pages = slices.Insert(slices.Clone(pages), i, w.manifest)
	}
	calls, err := s.writePages(pages)
	if err != nil {
		return err
	}
	slot := [][]byte{w.meta.encode()}
	if err := s.file.WriteVec(slot, slotOffset(1-s.metaSlot)); err != nil {
		return fmt.Errorf("mapleaf: write meta: %w", err)
	}
	s.written = true
	s.stats.wrote(calls+1, time.Since(began))
	return nil
}

// writePages writes framed pages, in ascending order, adjacent ones in one call,
// and returns how many calls that took.
func (s *store) writePages(pages []*tx.Page) (calls int64, err error) {
	var bufs [][]byte
	for i := 0; i < len(pages); calls++ {
		off := int64(pages[i].ID) << s.shift
		size := int64(0)
		bufs = bufs[:0]
		for i < len(pages) && size < writeBytes && int64(pages[i].ID)<<s.shift == off+size {
			bufs = append(bufs, pages[i].Buf)
			size += int64(len(pages[i].Buf))
			i++
		}
		if err := s.file.WriteVec(bufs, off); err != nil {
			return calls, fmt.Errorf("mapleaf: write pages: %w", err)
		}
	}
	return calls, nil
}

// mark notes in the tables of the newest mapping that the pages are good.
func (s *store) mark(w *write) {
	m := s.newestMapping()
	to := tx.Snapshot{Nodes: m.nodes, Extents: m.extents}
	for _, p := range w.pages {
		switch p.Kind {
		case tx.KindNode:
			to.MarkNode(p.Ref())
		case tx.KindExtent:
			to.MarkExtent(p.Ref(), uint32(len(p.Buf)>>s.shift))
		}
	}
}
