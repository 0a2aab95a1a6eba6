package mapleaf

import (
	"github.com/mapleafdb/mapleaf/tx"
)

// Resident pages: those that are committed, and in memory until a checkpoint has
// written them. Readers find them in the overlay of their snapshot. This file lets
// them go.
//
// Invariants:
//
//	E5 A page leaves the overlay of the newest state when its epoch is in the file.
//	   Snapshots that were published before keep it.

// replacedPages are pages in memory that are in no state after last; 0 = readers have
// seen them in none.
type replacedPages struct {
	last   tx.TxID
	pruned bool // last was published again without them
	pages  []*tx.Page
}

// gone reports whether readers that begin at a state, or after it, do not see the pages.
// What is in the file for that state does not tell: one that is on its way behind it
// may have them all the same.
func (r *replacedPages) gone(published *tx.Snapshot) bool {
	return r.last < published.TxID || r.pruned
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
	if !s.logging() && !s.mu.hadLog {
		shown = 0 // every batch under way is published with its pages in the file
	}
	s.mu.hadLog = false
	s.mu.Unlock()

	if len(finished) > 0 {
		shows := under == nil && s.failed() == nil // head may be a failed batch's
		head = s.pruned(head, finished, written)
		for _, e := range finished {
			replaced = append(replaced, replacedPages{shown, shows, s.born(e)})
		}
		s.mu.Lock()
		s.mu.head.Overlay, s.mu.head.Written = head.Overlay, head.Written
		s.mu.Unlock()
		if shows { // readers that begin from now on do without them
			snap := head
			s.publish(&snap)
		}
	}
	s.reuse(replaced)
	return head, under
}

// pruned returns a state without the pages of finished epochs in its overlay.
func (s *store) pruned(head tx.Snapshot, finished []*epoch, written tx.TxID) tx.Snapshot {
	head.Written = max(head.Written, written) // what was spilled since is in the file, too
	if head.TxID == written {
		head.Overlay = tx.Overlay{}
		return head
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
	return head
}

// reuse takes back the buffers of replaced pages as soon as that is safe (G2). The
// caller holds the writer lock, and no transaction runs.
func (s *store) reuse(replaced []replacedPages) {
	s.replaced = append(s.replaced, replaced...)
	published := s.published.Load()
	if published == nil || len(s.replaced) == 0 && len(s.buffers.held) == 0 {
		return
	}
	n := 0
	for n < len(s.replaced) && s.replaced[n].gone(published) {
		n++
	}
	live := s.liveHere(s.buffers.live[:0])
	s.buffers.live = live
	for _, r := range s.replaced[:n] {
		for _, p := range r.pages {
			s.buffers.retire(heldBuffer{p.Buf, p.Owner, r.last}, live)
		}
	}
	s.buffers.reexamine(live)
	clear(s.replaced[:n])
	s.replaced = s.replaced[n:]
}

// settled lets go of the pages of the checkpoint that has just ended, unless a writer is
// at work, who will do that itself, as will the next one where others write.
func (s *store) settled() {
	select {
	case s.writer <- struct{}{}:
	default:
		return
	}
	defer func() { <-s.writer }()
	if p := s.peers; p != nil && !p.held.Load() {
		return // others may have written since: the state here is not the newest (U3)
	}
	s.mu.Lock()
	idle := s.mu.newest == nil
	s.mu.Unlock()
	if idle && s.failed() == nil && s.published.Load() != nil {
		s.baseState()
		if err := s.buffers.trim(); err != nil {
			s.opts.Logger.Errorf("mapleaf: free page buffers: %v", err)
		}
	}
}
