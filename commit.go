package mapleaf

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// Committing: one batch after the other is made durable and published. While one is
// written and synced, the next fills, so any number of transactions share a sync and a
// lone one waits for nobody. What an epoch leaves in memory is written by a checkpoint
// beside it (checkpoint.go).
//
// Who joins a batch while nobody commits does so himself, on his own goroutine, and need
// not wake another and be woken by it. What has joined meanwhile is for the next who
// comes, or for a goroutine of the store, whoever is first. The committer is who commits;
// he runs no user code.
//
// Invariants:
//
//	K1 Nothing is published before it is durable (or, with NoSync and Lazy, written).
//	K2 No page that the newest durable meta needs is overwritten before the
//	   next one is durable.
//	K3 After a write or sync that failed, nothing is written any more and
//	   nothing of the batch, or of one that stands on it, is published.
//	K4 Syncs of one descriptor do not overlap, and a failed one is noted before
//	   the next may begin: the system tells of an error once. The checkpoint has
//	   a descriptor of its own.
//	K5 What is to be durable is synced with everything before it: DB.NoSync may have
//	   been set until then. So is a checkpoint of what was synced with it.
//	K6 One goroutine commits at a time, and says so in mu.committing. It leaves only
//	   when no batch is left, or the store's goroutine is told.

// runCommits is the store's goroutine.
func (s *store) runCommits() {
	defer close(s.stopped)
	for s.awaitBatch() {
		s.commitNext()
		s.mu.Lock()
		s.mu.committing = false
		s.mu.Unlock()
	}
}

// awaitBatch waits for a batch that nobody commits, and claims that. It returns false when
// Close has asked the store's goroutine to stop and nothing is left.
func (s *store) awaitBatch() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.mu.committing || !s.hasBatch() {
		if s.mu.stop && !s.mu.committing {
			return false
		}
		s.mu.wake.Wait()
	}
	s.mu.committing = true
	return true
}

// hasBatch reports whether there is a batch to be committed. The caller holds mu.
func (s *store) hasBatch() bool { return s.mu.open != nil || len(s.mu.queue) > 0 }

// lead commits the batch that the caller has joined, and those before it. The caller has
// claimed that in joining.
func (s *store) lead(own *batch) {
	// A fault here is no damage that the caller could be told of.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(false))
	for s.commitNext() != own {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.committing = false
	if s.hasBatch() || s.mu.stop {
		s.mu.wake.Signal()
	}
}

// commitNext commits the first batch that waits, and returns it. The caller has claimed
// that.
func (s *store) commitNext() *batch {
	b := s.sealNext()
	err := s.failed()
	if err == nil {
		err = s.commit(b)
	}
	if err != nil {
		s.told.Store(true)
	}
	if err == nil && b.ended && !b.pages {
		// Before the batch is done: so those who write faster than the drive
		// wait for it, and two epochs are in memory at most.
		s.beginCheckpoint(b.epoch)
	}
	s.finish(b, err)
	return b
}

// sealNext takes the first batch that waits. No transaction joins it any more.
func (s *store) sealNext() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.queue) == 0 && s.mu.open.pages { // there is no log (E1)
		s.endEpoch(s.mu.open)
	}
	b := s.mu.open
	if len(s.mu.queue) > 0 {
		b, s.mu.queue = s.mu.queue[0], s.mu.queue[1:]
	} else {
		s.mu.open = nil
	}
	s.mu.sealing = b
	return b
}

// commit makes the batch durable, publishes it, and sees to what is due then.
func (s *store) commit(b *batch) error {
	if b.sync || b.lazy {
		if err := s.uncut(); err != nil {
			return s.fail(err)
		}
	}
	if b.pages {
		return s.commitPages(b)
	}
	if err := s.appendRecord(b); err != nil {
		return err
	}
	if b.lazy {
		if err := s.syncSoon(b); err != nil {
			return err
		}
	}
	snap := b.state
	if err := s.announce(&snap, b.sync); err != nil {
		s.fail(err) // it is published all the same
	}
	s.checkpointWhenIdle()
	return nil
}

// uncut returns an error if somebody has cut the file short. To write behind the cut
// would fill it with zeros, which nobody could tell from data who has verified those
// pages before; as it is, reading them is a fault.
func (s *store) uncut() error {
	had := s.sized.Load() // first: the file may grow beside this
	size, err := s.file.Size()
	if err == nil && size < had {
		err = tx.Corrupt(tx.PageID(size>>s.shift), "file was cut off here, and had %d bytes", had)
	}
	return err
}

// syncSoon sees to it that a batch that was written is durable soon (Options.Lazy). What
// must be so at once comes before its publication, and so can fail.
func (s *store) syncSoon(b *batch) error {
	if s.lazy.bytes += b.room; s.lazy.bytes >= int64(s.opts.SyncBytes) {
		s.lazy.bytes = 0
		if err := s.sync(); err != nil {
			return err
		}
		s.durableTo(b.state.TxID)
		return nil
	}
	if s.lazy.timed.CompareAndSwap(false, true) {
		time.AfterFunc(s.opts.SyncInterval, func() {
			s.lazy.timed.Store(false)
			if s.published.Load() != nil { // Close syncs by itself
				_ = s.sync() // the next call gets its error
			}
		})
	}
	return nil
}

// commitPages makes the batch durable by the pages of its epoch.
func (s *store) commitPages(b *batch) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.failed(); err != nil { // a checkpoint has, on whose pages these stand
		return err
	}
	if err := s.startWriting(); err != nil {
		return s.fail(err)
	}
	durable := b.sync || b.lazy
	if b.epoch.spilled && durable { // the manifest does not name what was spilled
		if err := s.sync(); err != nil {
			return err
		}
	}
	w, err := s.compose(b.epoch)
	if err != nil {
		return s.fail(err)
	}
	if err := s.write(w, durable); err != nil {
		return s.fail(err)
	}
	if durable {
		if err := s.sync(); err != nil {
			return err
		}
	} else {
		s.unsynced.Store(true)
		s.loose.Store(true)
	}
	s.wrote(w)
	err = s.announce(&tx.Snapshot{
		Shift:   s.shift,
		Root:    b.state.Root,
		TxID:    b.state.TxID,
		HWM:     w.meta.hwm,
		Written: b.state.TxID,
		Source:  s,
	}, b.sync || b.lazy)
	if err != nil {
		s.fail(err) // it is published all the same
	}
	s.release(w)
	s.log.link = 0
	return nil
}

// How many buffers for operations are kept for later transactions: small ones, for as
// many as may share a batch, and long ones.
const (
	opBufsMax    = 64
	opBufsLong   = 4
	opBufLengthy = 16 << 10
)

// finish hands out the outcome.
func (s *store) finish(b *batch, err error) {
	s.mu.Lock()
	s.mu.sealing = nil
	if s.mu.newest == b {
		s.mu.newest = nil
	}
	if err == nil && len(b.replaced) > 0 {
		s.mu.replaced = append(s.mu.replaced, replacedPages{last: b.state.TxID - 1, pages: b.replaced})
	}
	for _, ops := range b.ops {
		kept := len(s.mu.opBufs)
		if cap(ops) > 0 && (kept < opBufsLong || kept < opBufsMax && cap(ops) < opBufLengthy) {
			s.mu.opBufs = append(s.mu.opBufs, ops[:0])
		}
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

// refused is failed for what a caller is told.
func (s *store) refused() error {
	err := s.failed()
	if err != nil {
		s.told.Store(true)
	}
	return err
}

// fail notes that what stands in the file is not known any more.
func (s *store) fail(cause error) error {
	err := failure(cause)
	if s.broken.CompareAndSwap(nil, &err) {
		s.peers.alarm()
	}
	return s.failed()
}

// syncAll makes everything that was committed so far durable, for good: a checkpoint that
// has to do with it does not replace it by what is not (K5).
func (s *store) syncAll() error {
	s.mu.Lock()
	e := s.mu.epoch
	e.sync = e.sync || e.first != 0
	s.mu.synced = max(s.mu.synced, e.number)
	s.mu.Unlock()
	return s.sync()
}

// sync makes everything written so far durable (K4).
func (s *store) sync() error {
	published := s.published.Load()
	if err := s.syncFile(false); err != nil {
		return err
	}
	if published != nil {
		s.durableTo(published.TxID)
	}
	return nil
}

// syncFile syncs by one of the two descriptors, of which none syncs twice at once: the
// system tells of an error of the drive once for each.
func (s *store) syncFile(bulk bool) error {
	f, one := s.file, &s.syncing
	if bulk {
		f, one = s.bulk, &s.syncingBulk
	}
	one.Lock()
	defer one.Unlock()
	if err := s.failed(); err != nil {
		return err
	}
	if !bulk {
		s.unsynced.Store(false)
		s.loose.Store(false)
	}
	err := f.Sync()
	if errors.Is(err, mmapfile.ErrClosed) { // Close was faster, and says what became of it
		return ErrDatabaseNotOpen
	}
	if err != nil {
		return s.fail(fmt.Errorf("mapleaf: sync: %w", err))
	}
	return nil
}

// durableTo notes that everything up to a transaction is durable.
func (s *store) durableTo(id tx.TxID) {
	for {
		old := s.durable.Load()
		if uint64(id) <= old || s.durable.CompareAndSwap(old, uint64(id)) {
			return
		}
	}
}

// durableThrough returns the newest txid that is known to be durable. With NoSync
// what a meta describes counts as such, as nothing else could.
func (s *store) durableThrough() tx.TxID { return tx.TxID(s.durable.Load()) }
