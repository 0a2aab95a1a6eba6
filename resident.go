package mapleaf

import (
	"math"

	"github.com/mapleafdb/mapleaf/internal/invariant"
	"github.com/mapleafdb/mapleaf/tx"
)

// Resident pages: those that are committed, and in memory until a checkpoint has
// written them. Readers find them in the overlay of their snapshot. This file lets
// them go, and uses their buffers again: a fresh page of memory costs more than
// filling it.
//
// Invariants:
//
//	G1 A page leaves the overlay of the newest state when its epoch is in the file.
//	   Snapshots that were published before keep it.
//	G2 A buffer that was published is used again only when a state without it is
//	   published, and no reader stands at an older one. If some reader does, it is
//	   left to the garbage collector, so that a reader that stays open for long
//	   holds what it sees and nothing else.

// poolBytes bounds the page buffers kept for later transactions.
const poolBytes = 32 << 20

// replacedPages are pages in memory that are in no state after until.
type replacedPages struct {
	until tx.TxID
	pages []*tx.Page
}

// baseState returns the newest committed state, without the pages that are in the file
// by now, and the batch that it stands in, nil if it is durable. The mapping is for
// the caller to set, who holds the writer lock.
func (s *store) baseState() (tx.Snapshot, *batch) {
	s.mu.Lock()
	finished, replaced := s.mu.finished, s.mu.replaced
	s.mu.finished, s.mu.replaced = nil, nil
	head, under, written := s.mu.head, s.mu.newest, s.mu.written
	shown := head.TxID
	if !s.logging() {
		shown = 0 // every batch under way is published with its pages in the file
	}
	s.mu.Unlock()

	if len(finished) > 0 {
		s.prune(&head, finished, written)
		for _, e := range finished {
			replaced = append(replaced, replacedPages{shown, s.born(e)})
		}
		s.mu.Lock()
		s.mu.head.Overlay, s.mu.head.Written = head.Overlay, head.Written
		s.mu.Unlock()
	}
	s.reuse(replaced)
	return head, under
}

// prune takes the pages of finished epochs out of the overlay of a state.
func (s *store) prune(head *tx.Snapshot, finished []*epoch, written tx.TxID) {
	head.Written = written
	if head.TxID == written {
		head.Overlay = tx.Overlay{}
		return
	}
	s.prunes++
	owner := s.prunes | 1<<63 // none that a transaction has
	for _, e := range finished {
		e.state.Overlay.All(func(p *tx.Page) bool {
			if e.holds(p) && head.Overlay.Get(p.ID) == p {
				head.Overlay.Delete(p.ID, owner)
			}
			return true
		})
	}
}

// reuse puts the buffers of replaced pages into the pool as soon as that is safe (G2).
// The caller holds the writer lock.
func (s *store) reuse(replaced []replacedPages) {
	s.replaced = append(s.replaced, replaced...)
	if len(s.replaced) == 0 {
		return
	}
	published := s.published.Load()
	if published == nil {
		return
	}
	oldest := s.slots.oldest()
	for len(s.replaced) > 0 {
		r := s.replaced[0]
		if published.TxID <= r.until && r.until != 0 {
			return // soon
		}
		s.replaced = s.replaced[1:]
		if oldest <= r.until {
			continue
		}
		for _, p := range r.pages {
			s.recycle(p.Buf)
		}
	}
	s.replaced = nil
}

// oldest returns the smallest txid in any slot, the largest number if all are empty.
func (t *slotTable) oldest() tx.TxID {
	oldest := uint64(math.MaxUint64)
	if id := t.writer.txid.Load(); id != 0 {
		oldest = id
	}
	for _, b := range *t.blocks.Load() {
		for i := range b {
			if id := b[i].txid.Load(); id != 0 {
				oldest = min(oldest, id)
			}
		}
	}
	return tx.TxID(oldest)
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

// settled lets readers that begin from now on do without the pages of the checkpoint
// that has just ended, unless a writer is at work, who will do that itself.
func (s *store) settled() {
	select {
	case s.writer <- struct{}{}:
	default:
		return
	}
	defer func() { <-s.writer }()
	s.mu.Lock()
	finished, head := s.mu.finished, s.mu.head
	idle := len(finished) > 0 && s.mu.newest == nil && s.failed() == nil
	if !idle {
		s.mu.Unlock()
		return
	}
	s.mu.finished = nil
	written := s.mu.written
	s.mu.Unlock()

	s.prune(&head, finished, written)
	s.mu.Lock()
	s.mu.head.Overlay, s.mu.head.Written = head.Overlay, head.Written
	s.mu.Unlock()
	if s.published.Load() != nil {
		s.publish(&head)
	}
}
