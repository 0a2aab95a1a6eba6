package mapleaf

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// A batch is what one sync makes durable: the transactions that were committed
// while the batch before was on its way. It is open until the committer takes it, or
// until its epoch ends; only who holds the writer lock adds to it.
//
// A batch becomes durable in one of two ways: by a record in the log that holds
// its operations; or by its epoch's pages, where there is no log, or where the
// operations fill them (byPages).
//
// Invariants:
//
//	B1 Every transaction of a batch gets the batch's outcome, and none of it
//	   before all of it is durable and published.
//	B2 The record fits into what the log extent of its epoch has left.
type batch struct {
	first    tx.TxID // behind the batch before; its first transaction may have a later one
	state    tx.Snapshot
	epoch    *epoch
	pages    bool       // durable by the pages of the epoch, which ends with the batch
	ended    bool       // the epoch ended with it when a transaction joined
	sync     bool       // it is to be durable before it is published
	lazy     bool       // or soon
	ops      [][]byte   // of each transaction, for the record
	room     int64      // what the record takes of the log extent at most
	replaced []*tx.Page // resident pages that these transactions have replaced
	done     chan struct{}
	err      error
}

// room is what one transaction adds to what its epoch and batch need.
type room struct {
	pages    bool  // the transaction is to become durable by pages
	log      int64 // bytes of the log extent
	links    int
	reserve  []extent
	manifest extent
	logs     []extent
}

// giveRoom puts back what was not needed after all.
func (s *store) giveRoom(r room) {
	for _, e := range r.reserve {
		s.free.give(e)
	}
	for _, e := range r.logs {
		s.free.give(e)
	}
	s.free.give(r.manifest)
}

// prepare decides how the transaction is to become durable, and obtains everything
// that this can need: free pages for the epoch's links and manifest, room in the
// file, and address space (W2).
func (w *writer) prepare(pages, unused int, ops []byte) (r room, err error) {
	s := w.s
	slices.SortFunc(w.freed, func(a, b freedExtent) int { return cmp.Compare(a.first, b.first) })
	if err := s.free.check(w.freed, s.first); err != nil {
		return room{}, err
	}
	own := len(w.runs) + unused + len(w.freed) + 4
	defer func() {
		if err != nil {
			s.giveRoom(r)
		}
	}()
	s.mu.Lock()
	e := s.mu.epoch
	r.pages = s.byPages(w, ops, pages, &r)
	r.links = int(chainRoom(len(e.changes)+own, s.capacity)) - e.links
	if s.unlogged() {
		r.links = int(chainRoom(own, s.capacity)) // the epoch may end before we join it
	}
	extents := e.pages + pages + e.links + r.links
	s.mu.Unlock()

	if err := w.takeLinks(&r); err != nil {
		return r, err
	}
	if n := manifestPages(extents, s.pageSize); n > 0 && r.pages {
		if r.manifest, err = s.takePages(n); err != nil {
			return r, err
		}
	}
	w.takeLogs(&r, len(ops))
	return r, s.makeRoom(w.base)
}

// takePages takes n pages side by side for the store itself.
func (s *store) takePages(n uint32) (extent, error) {
	e, ok := s.free.take(n)
	if !ok {
		return e, ErrMaxSizeReached
	}
	return e, nil
}

// takeLinks takes pages for links, preferably behind those of the transaction.
func (w *writer) takeLinks(r *room) error {
	links := uint32(max(r.links, 0))
	r.links = int(links)
	r.reserve = w.tails(links)
	for _, e := range r.reserve {
		links -= e.count
	}
	for links > 0 {
		e, ok := w.s.free.takeRun(links)
		if !ok {
			return ErrMaxSizeReached
		}
		r.reserve = append(r.reserve, e)
		links -= e.count
	}
	return nil
}

// tails cuts up to n pages from the unused ends of the transaction's runs, which
// lie right behind its pages.
func (w *writer) tails(n uint32) []extent {
	var got []extent
	for i := range w.runs {
		r := &w.runs[i]
		rest := min(r.count-r.used, n)
		if rest == 0 {
			continue
		}
		got = append(got, extent{r.first + tx.PageID(r.used), rest})
		n -= rest
		// What lies behind goes back at once: the run ends with its used part.
		behind := r.count - r.used - rest
		w.s.free.give(extent{r.first + tx.PageID(r.used+rest), behind})
		r.count = r.used
	}
	return got
}

// makeRoom makes file and mapping as large as the high-water mark demands.
func (s *store) makeRoom(base tx.TxID) error {
	need := int64(s.free.top()) << s.shift
	if limit := s.db.MaxSize; limit > 0 && need > int64(limit) && need > s.fileSize {
		return ErrMaxSizeReached
	}
	if need > s.fileSize {
		if err := s.growFile(need); err != nil {
			return err
		}
	}
	return s.cover(need, base)
}

// The file grows by a quarter of its size, within these bounds and DB.AllocSize.
const growthMin = 1 << 20

// growFile makes the file at least need bytes long, and larger if there is room.
func (s *store) growFile(need int64) error {
	step := max(s.fileSize/4, growthMin)
	if alloc := int64(s.db.AllocSize); alloc > 0 {
		step = min(step, max(alloc, growthMin))
	}
	want := (need + step + growthMin - 1) / growthMin * growthMin
	if limit := s.db.MaxSize; limit > 0 {
		want = max(need, min(want, int64(limit)))
	}
	if !is64Bit {
		want = max(need, min(want, addressLimit32))
	}
	err := s.file.Allocate(want)
	if err != nil && want > need {
		want = need
		err = s.file.Allocate(want)
	}
	if err != nil {
		return fmt.Errorf("mapleaf: grow file: %w", err)
	}
	s.fileSize = want
	s.sized.Store(want)
	return nil
}

// join adds the transaction to the open batch and makes its state the newest. If nobody
// commits, it claims that for the caller (K6).
func (w *writer) join(snap *tx.Snapshot, unused []extent, r room, ops []byte,
) (b *batch, lead bool, err error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refused(); err != nil {
		return nil, false, err
	}
	e := s.mu.epoch
	if e.first == 0 {
		e.first = w.txid
	}
	b = s.mu.open
	if b == nil {
		b = &batch{first: s.mu.head.TxID.Next(), epoch: e, done: make(chan struct{})}
		s.mu.open = b
	}
	switch {
	case e.endLog || s.moving: // it holds what was durable, or overwrites where that was
		b.sync = true
	case s.db.NoSync:
	case s.opts.Lazy:
		b.lazy = true
	default:
		b.sync = true
	}
	if e.sync = e.sync || b.sync || b.lazy; e.sync {
		s.mu.synced = e.number
	}
	b.pages = b.pages || r.pages
	b.ops = append(b.ops, ops)
	b.room += r.log
	e.logUsed += r.log
	for _, p := range w.replaced {
		if birthOf(p.Stamp, w.txid) >= e.first { // the others go with their epoch
			b.replaced = append(b.replaced, p)
		}
	}
	e.spilled = e.spilled || w.spilled
	e.take(s, r)
	w.account(e, unused)

	s.mu.head = *snap
	s.mu.head.TxID = w.txid
	s.mu.head.HWM = tx.PageID(s.free.top())
	b.state, e.state = s.mu.head, s.mu.head
	s.mu.newest = b
	if s.logging() && (b.pages || s.full(e)) {
		s.endEpoch(b)
	}
	w.leave()
	lead = !s.mu.committing
	s.mu.committing = true
	return b, lead, nil
}

// take adds to the epoch what a transaction has obtained for it.
func (e *epoch) take(s *store, r room) {
	e.reserve = append(e.reserve, r.reserve...)
	e.links += r.links
	if r.manifest.count > e.manifest.count {
		e.manifest, r.manifest = r.manifest, e.manifest
	}
	s.free.give(r.manifest)
	if e.logs == nil && !s.mu.starting {
		e.logs, r.logs = r.logs, nil
		s.mu.starting = len(e.logs) > 0 && !s.logging()
	}
	for _, x := range r.logs {
		s.free.give(x)
	}
}
