package mapleaf

import (
	"context"
	"math"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// The write side of the store, for one transaction: it gives out pages, notes
// what it gave and what was freed, and at the end joins all of it to the open
// batch, or puts it back.
//
// Invariants:
//
//	W1 One write transaction runs at a time: it holds the writer lock, which is
//	   a channel so that waiting for it can end with a context.
//	W2 Room in the file and in memory for all that a transaction may need is
//	   obtained in its own Commit, before it joins a batch. A failure there
//	   rolls back this transaction only; any later one fails the batch and all
//	   that stands on it.
//	W3 Only ids that this transaction allocated itself, and that were never
//	   written to the file, are given out again before its end.
//	W4 What a transaction frees of others takes effect when it joins the batch.
//	W5 Every buffer that the transaction got is in a page of its own when it
//	   commits, or goes back.
//	W6 A transaction without changes returns from Commit only when the batch
//	   that it read from is durable and published.
//	W7 Nothing that a transaction spills is written after its end: its pages may be
//	   given to another.

// The first run of pages that a transaction reserves, and the longest.
const (
	runFirst = 8
	runMax   = 64
)

// A run is an extent that a transaction has taken, of which the first used
// pages were given out.
type run struct {
	extent
	used uint32
}

// A writer is the tx.Pager of one write transaction.
type writer struct {
	s     *store
	txid  tx.TxID
	base  tx.TxID
	under *batch       // the batch that the base stands in, nil if it is durable
	pins  []*mapping   // what slices of the transaction may lead into
	pin   [1]*mapping  // most have one
	snap  *tx.Snapshot // the transaction's own state

	writerLists
	below    tx.PageID  // its pages have to lie below this one, 0 = anywhere
	current  int        // the run that single pages come from, -1 = none
	long     int64      // bytes of long values that it has allocated
	spilled  bool       // some of its pages are in the file already
	spilling chan error // nil unless pages are being written
	left     bool       // the slot is given up
	ended    bool
}

// The writerLists of a transaction are used again by the next one.
type writerLists struct {
	runs      []run
	spare     []tx.PageID
	spareRuns []extent
	freed     []freedExtent
	pages     []*tx.Page // single ones that it has or had
	dead      []*tx.Page // those of them that are free again
	dropped   [][]byte   // buffers that they have no more
	replaced  []*tx.Page // pages of others in memory that are not in its state
}

// emptied returns the lists as the next transaction takes them.
func (l *writerLists) emptied() writerLists {
	return writerLists{
		emptied(l.runs), emptied(l.spare), emptied(l.spareRuns), emptied(l.freed),
		emptied(l.pages), emptied(l.dead), emptied(l.dropped), emptied(l.replaced),
	}
}

// listMax is how many entries a list may have room for that is kept: all are cleared.
const listMax = 1 << 6

func emptied[E any](list []E) []E {
	if cap(list) > listMax {
		return nil
	}
	clear(list[:cap(list)])
	return list[:0]
}

// beginWrite waits for the writer lock and begins a write transaction.
func (s *store) beginWrite(ctx context.Context) (*tx.Tx, error) {
	select {
	case s.writer <- struct{}{}:
	default:
		select {
		case s.writer <- struct{}{}:
		case <-s.closing:
			return nil, ErrDatabaseNotOpen
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case <-s.closing:
		<-s.writer
		return nil, ErrDatabaseNotOpen
	default:
	}
	t, err := s.admit(ctx)
	if err != nil {
		<-s.writer
	}
	return t, err
}

// admit begins the transaction of who holds the writer lock, if there can be one.
func (s *store) admit(ctx context.Context) (*tx.Tx, error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	if err := s.enterTurn(ctx); err != nil {
		return nil, err
	}
	if err := s.loadFree(); err != nil { // of the state that is the newest by now
		return nil, err
	}
	return s.startWriter()
}

// startWriter makes the transaction. The caller holds the writer lock.
func (s *store) startWriter() (*tx.Tx, error) {
	if s.free.holds() {
		live, err := s.live()
		if err != nil {
			return nil, err
		}
		s.free.reclaim(live)
	}
	m := s.pinNewest()
	snap, under := s.baseState()
	if under == nil { // a batch that has failed since may be in there
		if err := s.refused(); err != nil {
			s.unpin(m)
			return nil, err
		}
	}
	snap.Data, snap.Nodes, snap.Extents = m.data, m.nodes, m.extents
	w := &writer{s: s, base: snap.TxID, under: under, pin: [1]*mapping{m}, current: -1}
	w.pins = w.pin[:]
	w.writerLists, s.lists = s.lists, writerLists{}
	w.txid = max(snap.TxID, s.seen).Next()
	snap.Epoch = s.epochOf(w.txid)
	s.slots.writer.txid.Store(uint64(w.base))
	s.slots.note(&s.slots.writer)
	t := tx.NewWriter(snap, s, w)
	w.snap = tx.SnapshotOf(t)
	s.running = w
	return t, nil
}

// epochOf returns what a transaction takes for its epoch: where there is no log one
// of its own, so that it keeps no id (E1).
func (s *store) epochOf(id tx.TxID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logging() {
		return s.mu.epoch.number
	}
	return uint64(id) | 1<<63
}

// TxID implements tx.Pager.
func (w *writer) TxID() tx.TxID { return w.txid }

// Scratch implements tx.Pager.
func (w *writer) Scratch() []byte { return w.s.buffers.get() }

// Recycle implements tx.Pager.
func (w *writer) Recycle(buf []byte) { w.s.buffers.put(buf) }

// Drop implements tx.Pager.
func (w *writer) Drop(buf []byte) { w.dropped = append(w.dropped, buf) }

// Alloc implements tx.Pager.
func (w *writer) Alloc(kind tx.Kind, count uint32) (*tx.Page, error) {
	if uint64(count)<<w.s.shift > math.MaxInt {
		return nil, ErrMaxSizeReached
	}
	id, ok := w.id(count)
	if !ok {
		return nil, ErrMaxSizeReached
	}
	p := &tx.Page{ID: id, Stamp: w.txid.Stamp(), Kind: kind}
	end := uint64(id) + uint64(count)
	if limit := w.s.db.MaxSize; limit > 0 && end<<w.s.shift > uint64(limit) {
		w.unuse(extent{id, count})
		return nil, ErrMaxSizeReached
	}
	if count == 1 {
		p.Buf = w.s.buffers.get()
		w.pages = append(w.pages, p)
	} else {
		p.Buf = w.s.buffers.extent(int(count) << w.s.shift)
		w.snap.Reuse(p)
	}
	if kind == tx.KindExtent {
		w.long += int64(count) << w.s.shift
	}
	w.snap.HWM = max(w.snap.HWM, tx.PageID(end))
	return p, nil
}

// id finds count pages: among those that this transaction has freed, in its
// current run, or in the free space.
func (w *writer) id(count uint32) (tx.PageID, bool) {
	if count > 1 {
		return w.longID(count)
	}
	if n := len(w.spare); n > 0 {
		id := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return id, true
	}
	if w.current < 0 || w.runs[w.current].used == w.runs[w.current].count {
		e, ok := w.takeRun(uint32(min(runFirst<<min(len(w.runs), 8), runMax)))
		if !ok {
			return 0, false
		}
		w.runs = append(w.runs, run{extent: e})
		w.current = len(w.runs) - 1
	}
	r := &w.runs[w.current]
	r.used++
	return r.first + tx.PageID(r.used-1), true
}

// takeRun takes a run from the free space.
func (w *writer) takeRun(want uint32) (extent, bool) {
	if w.below > 0 {
		return w.s.free.takeBelow(w.below, want, false)
	}
	return w.s.free.takeRun(want)
}

func (w *writer) longID(count uint32) (tx.PageID, bool) {
	for i, e := range w.spareRuns {
		if e.count == count {
			w.spareRuns = slices.Delete(w.spareRuns, i, i+1)
			return e.first, true
		}
	}
	var e extent
	var ok bool
	if w.below > 0 {
		e, ok = w.s.free.takeBelow(w.below, count, true)
	} else {
		e, ok = w.s.free.take(count)
	}
	if ok {
		w.runs = append(w.runs, run{e, count})
	}
	return e.first, ok
}

// unuse notes that pages of this transaction are not in use after all.
func (w *writer) unuse(e extent) {
	if e.count == 1 {
		w.spare = append(w.spare, e.first)
	} else {
		w.spareRuns = append(w.spareRuns, e)
	}
}

// Free implements tx.Pager.
func (w *writer) Free(ref tx.Ref, count uint32, page *tx.Page) {
	e := extent{ref.ID, count}
	if page != nil && page.Owner == w.txid {
		w.dead = append(w.dead, page)
	} else if page != nil {
		w.replaced = append(w.replaced, page)
	}
	if page != nil && page.Stamp == w.txid.Stamp() {
		w.unuse(e)
		return
	}
	w.freed = append(w.freed, freedExtent{e, birthOf(ref.Stamp, w.base), w.txid})
}

// Renew implements tx.Pager.
func (w *writer) Renew(ref tx.Ref, old *tx.Page) *tx.Page {
	if old != nil {
		w.replaced = append(w.replaced, old)
	}
	p := &tx.Page{Buf: w.s.buffers.get(), ID: ref.ID, Stamp: ref.Stamp, Kind: tx.KindNode}
	w.pages = append(w.pages, p)
	return p
}

// Log implements tx.Pager.
func (w *writer) Log() ([]byte, int) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.noLog > 0 {
		return nil, 0 // who goes by pages in any case need not note what it does
	}
	limit := s.opts.LogSize / 2 // what does not fit now may fit when it commits
	var buf []byte
	if n := len(s.mu.opBufs); n > 0 {
		buf = s.mu.opBufs[n-1]
		s.mu.opBufs = s.mu.opBufs[:n-1]
	}
	return buf, limit
}

// Rollback implements tx.Pager.
func (w *writer) Rollback() {
	if w.ended {
		return
	}
	_ = w.awaitSpill() // it is as if those pages were never written
	if w.spilled {
		w.s.seen = max(w.s.seen, w.txid) // its stamp stands in pages of the file
	}
	for _, r := range w.runs {
		w.s.free.give(r.extent)
	}
	w.dead, w.pages = w.pages, w.dead
	w.unpin()
	w.end()
}

// unpin lets go of the mappings. Nobody looks at the transaction's slices any more.
func (w *writer) unpin() {
	for _, m := range w.pins {
		w.s.unpin(m)
	}
	w.pins, w.pin[0] = nil, nil
}

// leave gives up the slot. It comes before the batch can be published: else the
// transaction would hold back the very pages that it has freed.
func (w *writer) leave() {
	if !w.left {
		w.left = true
		w.s.slots.writer.End()
	}
}

// end gives up the writer lock, and the slot if that is left to do.
func (w *writer) end() {
	w.ended = true
	w.leave()
	for _, p := range w.dead {
		w.s.buffers.put(p.Buf)
	}
	for _, buf := range w.dropped {
		w.s.buffers.put(buf)
	}
	w.s.lists, w.writerLists = w.emptied(), writerLists{}
	w.s.free.settle()
	<-w.s.writer
}

// Commit implements tx.Pager.
func (w *writer) Commit(snap *tx.Snapshot, changed bool, ops []byte) error {
	if !changed {
		under := w.under
		w.Rollback()
		if under == nil {
			return nil
		}
		<-under.done
		return under.err
	}
	if w.s.opts.ReadOnly {
		w.keep(snap)
		return nil
	}
	err := w.awaitSpill()
	if err == nil {
		err = w.s.refused()
	}
	if err != nil {
		w.Rollback()
		return err
	}
	pages, unused := w.unused()
	room, err := w.prepare(pages, len(unused), ops)
	if err != nil {
		w.Rollback()
		return err
	}
	b, lead, err := w.join(snap, unused, room, ops)
	if err != nil {
		w.s.giveRoom(room)
		w.Rollback()
		return err
	}
	w.end()
	if lead {
		w.s.lead(b)
	}
	<-b.done
	w.unpin()
	if b.err != nil {
		return b.err
	}
	return w.s.strictCheck()
}

// unused returns how many pages of the transaction's runs are in use, and those in
// their used parts that are not.
func (w *writer) unused() (pages int, unused []extent) {
	unused = w.spareRuns
	for _, id := range w.spare {
		unused = append(unused, extent{id, 1})
	}
	for _, r := range w.runs {
		pages += int(r.used)
	}
	for _, e := range unused {
		pages -= int(e.count)
	}
	return pages, unused
}
