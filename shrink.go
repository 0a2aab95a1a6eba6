package mapleaf

import (
	"context"

	"github.com/mapleafdb/mapleaf/tx"
)

// Shrinking: Close gives back what the file has to spare. Copy-on-write leaves holes all
// over it, since each transaction frees its pages only after it has taken new ones; a
// load of large transactions in no order ends with a third of the file free. What lies at
// its end is moved into the holes, in ordinary write transactions, and the end is cut off.
//
// Invariants:
//
//	Z1 Close moves no more than half of what was written to the file since it was opened,
//	   and reads no more than all of that: who has done little waits little.
//	Z2 What fails here leaves the file as large as it was, and is no failure of Close,
//	   except that of a write.
//	Z3 What was synced stays: the moves are durable one after the other, also with
//	   NoSync, since the second takes the places that the first has left.
//	Z4 The pages of the chain may lie anywhere, and are not moved one by one: the
//	   chain is written anew once all else has its place.

const (
	shrinkBatch    = 4096    // pages moved by one transaction, at most
	shrinkBatchMin = 256     // and if there is little memory for them
	shrinkMin      = 1 << 20 // bytes that are worth it,
	shrinkPart     = 8       // and part of the file
	shrinkMax      = 1 << 30 // bytes of the largest file that Close shrinks
	shrinkSpare    = 64      // pages to leave over below the end
)

// shrink makes the end of the file free, if that pays. It is a part of Close, which holds
// the writer lock, and no batch is on its way. Only a write that has failed is an error.
func (s *store) shrink() error {
	if s.opts.ReadOnly || s.failed() != nil || !s.alone() || !s.written.Load() {
		return nil
	}
	s.writing.Lock()
	err := s.endLog() // its extents are free then
	s.writing.Unlock()
	if err != nil || s.loadFree() != nil {
		return nil // Close meets the same
	}
	if live, err := s.live(); err == nil {
		s.free.reclaim(live)
	}
	if from, pays := s.spareEnd(); pays {
		s.withoutLog(+1)
		defer s.withoutLog(-1)
		s.moving = true
		s.shrunk = s.vacate(from)
	}
	return s.failed()
}

// spareEnd returns the page from which on the file can be made free, and whether that
// pays (Z1).
func (s *store) spareEnd() (from tx.PageID, pays bool) {
	size, free := s.free.size()
	if s.opts.shrinkAtOnce {
		from = s.free.vacant(size, 0)
		return from, uint64(from) < size
	}
	written := uint64(s.output.Load()) >> s.shift
	if size-free > written || size<<s.shift > shrinkMax { // all in use is looked at
		return 0, false
	}
	from = s.free.vacant(written/2, shrinkSpare)
	gain := size - uint64(from)
	return from, gain<<s.shift >= shrinkMin && gain >= size/shrinkPart
}

// vacate moves what lies at page from or behind it. It reports whether it got to the end.
func (s *store) vacate(from tx.PageID) bool {
	batch := min(shrinkBatch, max(s.opts.CheckpointBytes>>s.shift, shrinkBatchMin))
	var way []int
	for {
		t, err := s.admit(context.Background())
		if err != nil {
			return false
		}
		s.running.below = from
		way, err = tx.Vacate(t, from, way, batch)
		if err == nil {
			err = t.Commit()
		} else {
			_ = t.Rollback()
		}
		s.writer <- struct{}{} // the transaction has given it up
		if err != nil || !s.alone() {
			return false // the way may lead astray where others write
		}
		if way == nil {
			s.drain()
			return true
		}
	}
}

// chainEpoch makes the epoch that writes the chain anew, into the lowest free pages, if
// its old ones may stand in the way (Z4).
func (s *store) chainEpoch() (*epoch, bool) {
	if !s.shrunk {
		return nil, false
	}
	links := s.chain.allRoom()
	e := &epoch{links: int(links), anew: true}
	e.state = tx.Snapshot{Root: s.meta.root, TxID: max(s.meta.txid, s.seen).Next()}
	e.first = e.state.TxID
	var ok bool
	e.reserve, ok = s.free.takeLowest(links)
	return e, ok
}
