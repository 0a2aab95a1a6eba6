package mapleaf

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/mapleafdb/mapleaf/internal/invariant"
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
//	W5 A page buffer goes back to the pool only when it was never published and
//	   no transaction that could hand out slices of it is running: at the start
//	   of a write transaction, when the buffer's batch is durable, or at the end
//	   of the one transaction that ever saw it.
//	W6 A transaction without changes returns from Commit only when the batch
//	   that it read from is durable and published.

// The first run of pages that a transaction reserves, and the longest.
const (
	runFirst = 8
	runMax   = 64
)

// poolBytes bounds the page buffers kept for later transactions.
const poolBytes = 32 << 20

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
	pin   *mapping     // what slices of the transaction may lead into
	snap  *tx.Snapshot // the transaction's own state

	runs      []run
	current   int // the run that single pages come from, -1 = none
	spare     []tx.PageID
	spareRuns []extent
	freed     []freedExtent
	dead      []*tx.Page
	left      bool // the slot is given up
	ended     bool
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
	if err := s.failed(); err != nil {
		<-s.writer
		return nil, err
	}
	if err := s.enterTurn(ctx); err != nil {
		<-s.writer
		return nil, err
	}
	t, err := s.startWriter()
	if err != nil {
		<-s.writer
	}
	return t, err
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
	snap.Data, snap.Nodes, snap.Extents = m.data, m.nodes, m.extents
	w := &writer{s: s, base: snap.TxID, under: under, pin: m, current: -1}
	w.txid = max(snap.TxID, s.seen).Next()
	s.slots.writer.txid.Store(uint64(w.base))
	s.slots.note(&s.slots.writer)
	t := tx.NewWriter(snap, s, w)
	w.snap = tx.SnapshotOf(t)
	s.running = w
	return t, nil
}

// baseState returns the newest committed state, without the pages that are in
// the file by now, and the batch it stands in. The mapping is for the caller to set.
func (s *store) baseState() (tx.Snapshot, *batch) {
	s.mu.Lock()
	finished := s.mu.finished
	s.mu.finished = nil
	under := s.mu.open
	if under == nil {
		under = s.mu.sealing
	}
	if under == nil {
		s.mu.head.Overlay = tx.Overlay{}
	}
	snap := s.mu.head
	s.mu.Unlock()

	if under != nil && len(finished) > 0 {
		s.prune(&snap.Overlay, finished)
		s.mu.Lock()
		s.mu.head.Overlay = snap.Overlay
		s.mu.Unlock()
	}
	for _, b := range finished {
		for _, pages := range b.pages {
			for _, p := range pages {
				s.recycle(p.Buf)
			}
		}
	}
	return snap, under
}

// prune takes the pages of finished batches out of the overlay. Its owner mark
// is none that a transaction has.
func (s *store) prune(o *tx.Overlay, finished []*batch) {
	s.prunes++
	owner := s.prunes | 1<<63
	for _, b := range finished {
		for _, pages := range b.pages {
			for _, p := range pages {
				if o.Get(p.ID) == p {
					o.Delete(p.ID, owner)
				}
			}
		}
	}
}

// recycle keeps a page buffer for later. The caller holds the writer lock.
func (s *store) recycle(buf []byte) {
	if len(buf) != s.pageSize || len(s.pool) >= poolBytes>>s.shift {
		return
	}
	if invariant.Enabled {
		for i := range buf {
			buf[i] = 0xdb // whoever still reads it shall notice
		}
	}
	s.pool = append(s.pool, buf)
}

// TxID implements tx.Pager.
func (w *writer) TxID() tx.TxID { return w.txid }

// Scratch implements tx.Pager.
func (w *writer) Scratch() []byte {
	s := w.s
	if n := len(s.pool); n > 0 {
		buf := s.pool[n-1]
		s.pool[n-1] = nil
		s.pool = s.pool[:n-1]
		return buf
	}
	return make([]byte, s.pageSize)
}

// Recycle implements tx.Pager.
func (w *writer) Recycle(buf []byte) { w.s.recycle(buf) }

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
		p.Buf = w.Scratch()
	} else {
		p.Buf = make([]byte, int(count)<<w.s.shift)
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
		e, ok := w.s.free.takeRun(uint32(min(runFirst<<min(len(w.runs), 8), runMax)))
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

func (w *writer) longID(count uint32) (tx.PageID, bool) {
	for i, e := range w.spareRuns {
		if e.count == count {
			w.spareRuns = slices.Delete(w.spareRuns, i, i+1)
			return e.first, true
		}
	}
	e, ok := w.s.free.take(count)
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
	if page != nil {
		w.unuse(e)
		w.dead = append(w.dead, page)
		return
	}
	w.freed = append(w.freed, freedExtent{e, birthOf(ref.Stamp, w.base), w.txid})
}

// Rollback implements tx.Pager.
func (w *writer) Rollback() {
	if w.ended {
		return
	}
	for _, r := range w.runs {
		w.s.free.give(r.extent)
	}
	w.s.unpin(w.pin)
	w.end()
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
		w.s.recycle(p.Buf)
	}
	w.dead = nil
	w.s.free.settle()
	<-w.s.writer
}

// Commit implements tx.Pager.
func (w *writer) Commit(snap *tx.Snapshot, changed bool) error {
	if !changed {
		under := w.under
		w.Rollback()
		if under == nil {
			return nil
		}
		<-under.done
		return under.err
	}
	if err := w.s.failed(); err != nil {
		w.Rollback()
		return err
	}
	pages, unused := w.live(snap)
	room, err := w.prepare(len(pages), len(unused))
	if err != nil {
		w.Rollback()
		return err
	}
	b, err := w.join(snap, pages, unused, room)
	if err != nil {
		w.s.giveRoom(room)
		w.Rollback()
		return err
	}
	w.end()
	<-b.done
	w.s.unpin(w.pin)
	if b.err != nil {
		return b.err
	}
	return w.s.strictCheck()
}

// live returns the pages of the transaction in ascending order, and the pages in
// the used parts of its runs that are none.
func (w *writer) live(snap *tx.Snapshot) (pages []*tx.Page, unused []extent) {
	unused = w.spareRuns
	for _, id := range w.spare {
		unused = append(unused, extent{id, 1})
	}
	slices.SortFunc(unused, func(a, b extent) int { return cmp.Compare(a.first, b.first) })
	slices.SortFunc(w.runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	next := 0
	for _, r := range w.runs {
		id, end := r.first, uint64(r.first)+uint64(r.used)
		for uint64(id) < end {
			if next < len(unused) && unused[next].first == id {
				id += tx.PageID(unused[next].count)
				next++
				continue
			}
			p := snap.Overlay.Get(id)
			if p == nil || p.Stamp != w.txid.Stamp() {
				panic(fmt.Sprintf("mapleaf: page %d was allocated and is in no overlay", id))
			}
			pages = append(pages, p)
			id += tx.PageID(len(p.Buf) >> w.s.shift)
		}
	}
	return pages, unused
}
