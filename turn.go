package mapleaf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// Taking turns: while several processes are attached, one of them at a time has the
// writer lock of the data file. It keeps it from batch to batch as long as nobody
// else asks, so that a lone writer pays nothing for it.
//
// Who wants the lock takes the lock "next" first, and is then the only one in front
// of "writer": so a process that writes all the time cannot get in again before
// one that has waited. He sets the word "waiter" and signals the event "call". The
// holder then gives the lock back as soon as the transactions that wait in its
// own process already, which stand in one queue with the giving back, have been
// made durable.
//
// Invariants:
//
//	U1 A write transaction of a shared database runs, and a batch is written, only
//	   while this process holds the writer lock.
//	U2 The lock is given back only while this process's own writer lock is held
//	   (or nobody will take it any more), and nothing is open or on its way: what
//	   the committer knows then is what the file says.
//	U3 Who takes the lock compares what he knows with the published txid and with
//	   the number of recoveries, and reads again what has changed, before his first
//	   transaction begins. If the dirty word is set, the last holder has died or
//	   failed on the way: what the file holds is recovered as after a crash.
//	U4 The dirty word is set before the first write of a commit and cleared after
//	   its publication.
//	U5 What was published and not synced is synced before the lock is given back.

// waitTurn takes the writer lock. lf may be nil: then nobody can be asked.
func waitTurn(ctx context.Context, locks *mmapfile.LockSet, lf *lockFile) error {
	var advanced, released *mmapfile.Event
	ask := func() {}
	if lf != nil {
		advanced, released = lf.advanced, lf.released
		ask = func() { lf.ask(lf.waiter) }
	}
	if err := waitLock(ctx, locks, dataNext, advanced, func() {}); err != nil {
		return err
	}
	err := waitLock(ctx, locks, dataWriter, released, ask)
	err = errors.Join(err, locks.Unlock(dataNext))
	if lf != nil {
		_ = advanced.Signal() // else they notice after a while
	}
	return err
}

// waitLock takes lock i exclusively. It tries again whenever the event is
// signalled, and from time to time, since a holder that dies signals nothing.
func waitLock(ctx context.Context, locks *mmapfile.LockSet, i int, event *mmapfile.Event,
	ask func()) error {
	for pause := lockPauseMin; ; pause = min(pause*3/2, lockPauseMax) {
		seen := uint32(0)
		if event != nil {
			seen, _ = event.Value() // on a fault the pause alone counts
		}
		ok, err := locks.Try(i, true)
		if err != nil {
			return fmt.Errorf("mapleaf: lock database: %w", err)
		}
		if ok {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		ask()
		sleep(ctx, pause, event, seen)
	}
}

// sleep waits for the event, the end of the pause, or that of ctx.
func sleep(ctx context.Context, pause time.Duration, event *mmapfile.Event, seen uint32) {
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	if event != nil {
		if _, err := event.Wait(ctx, seen); err == nil {
			return
		}
	}
	<-ctx.Done()
}

// ask sets a word and calls whoever holds what the caller wants.
func (l *lockFile) ask(word *atomic.Uint32) {
	_ = l.touch(func() error { // else he is not called, and notices by himself
		word.Store(1)
		return l.call.Signal()
	})
}

// enterTurn makes sure that this process may write. The caller holds s.writer.
func (s *store) enterTurn(ctx context.Context) error {
	p := s.peers
	if p == nil || p.held.Load() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(p.open, cancel)
	defer stop()
	err := p.takeTurn(ctx)
	if err != nil && p.open.Err() != nil {
		return ErrDatabaseNotOpen
	}
	return err
}

// takeTurn waits for the writer lock and learns what has happened meanwhile.
func (p *peers) takeTurn(ctx context.Context) error {
	lf := p.lf.Load()
	if err := waitTurn(ctx, p.of.locks, lf); err != nil {
		return err
	}
	if err := p.takeOver(lf); err != nil {
		return errors.Join(err, p.of.locks.Unlock(dataWriter))
	}
	p.held.Store(true)
	p.poke()
	return nil
}

// takeOver brings this process up to date. It holds the writer lock.
func (p *peers) takeOver(lf *lockFile) error {
	s, current := p.s, false
	err := lf.touch(func() error {
		lf.writerPid.Store(uint32(os.Getpid()))
		if g := lf.generation.Load(); g != p.generation {
			return fmt.Errorf("%w: %s was reset while it was in use", ErrLockFile, lf.path)
		}
		current = lf.dirty.Load() == 0 && lf.recoveries.Load() == p.recoveries &&
			tx.TxID(lf.published.Load()) == s.meta.txid
		return nil
	})
	if err != nil || current {
		return err
	}
	r, err := p.look(lf)
	if err != nil {
		return err
	}
	return s.reload(r)
}

// look finds the state of the file for who holds the writer lock (U3). A reader
// cannot recover for others, and leaves that to the next writer: the published
// state is whole, whatever became of a commit after it.
func (p *peers) look(lf *lockFile) (*recovered, error) {
	var dirty bool
	var published tx.TxID
	err := lf.touch(func() error {
		dirty, published = lf.dirty.Load() != 0, tx.TxID(lf.published.Load())
		p.recoveries = lf.recoveries.Load()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !dirty || p.s.opts.ReadOnly {
		r, err := publishedMeta(p.s.file, published)
		if r != nil || err != nil {
			return r, err
		}
	}
	r, err := recoverState(p.s.file, p.s.opts.trustManifest)
	if err != nil {
		return nil, err
	}
	if r.meta.txid < published {
		return nil, tx.Corrupt(0, "state %d was published, and the newest one that is whole "+
			"is %d", published, r.meta.txid)
	}
	if p.s.opts.ReadOnly {
		return r, nil
	}
	if err := r.secure(p.s.file); err != nil {
		return nil, fmt.Errorf("mapleaf: recover: %w", err)
	}
	return r, lf.touch(func() error {
		p.recoveries = lf.recoveries.Add(1)
		lf.published.Store(uint64(r.meta.txid))
		lf.dirty.Store(0)
		return nil
	})
}

// publishedMeta returns the meta of state txid, or nil if neither is its.
func publishedMeta(f file, txid tx.TxID) (*recovered, error) {
	metas, _, err := readMetas(f)
	if err != nil && !errors.Is(err, ErrChecksum) {
		return nil, err
	}
	r := &recovered{}
	for i, m := range metas {
		if m == nil {
			continue
		}
		r.seen = max(r.seen, m.txid)
		if m.txid == txid {
			r.meta, r.slot = m, i
		}
	}
	if r.meta == nil {
		return nil, nil
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return r, checkSize(r.meta, size)
}

// release gives the writer lock back (U2, U5).
func (p *peers) release() {
	if !p.held.Load() {
		return
	}
	s, lf := p.s, p.lf.Load()
	if p.unsynced && s.failed() == nil {
		_ = s.sync() // the next call returns what has failed
	}
	p.unsynced = false
	_ = lf.touch(func() error { // nobody is asked through a file that is gone
		lf.writerPid.Store(0)
		lf.waiter.Store(0)
		return nil
	})
	p.held.Store(false)
	if err := p.of.locks.Unlock(dataWriter); err != nil {
		s.fail(fmt.Errorf("mapleaf: unlock database: %w", err))
	}
	_ = lf.released.Signal() // else they notice after a while
}

// yield gives the writer lock back to whoever waits for it, after the write
// transactions that were here first.
func (p *peers) yield() {
	select {
	case p.s.writer <- struct{}{}:
		defer func() { <-p.s.writer }()
	case <-p.noWriters:
	case <-p.life.Done():
		return
	}
	p.s.drain()
	p.release()
}

// drain returns when no batch is open or on its way. The caller makes sure that
// no transaction joins one.
func (s *store) drain() {
	for {
		s.mu.Lock()
		b := s.mu.newest
		s.mu.Unlock()
		if b == nil {
			return
		}
		<-b.done
	}
}

// startWriting notes that the file is about to be changed (U4).
func (s *store) startWriting() error {
	p := s.peers
	if p == nil {
		return nil
	}
	lf := p.lf.Load()
	return lf.touch(func() error { lf.dirty.Store(1); return nil })
}

// announce publishes a state that was written, to this process and to all others.
// The word for the others comes first: so nobody can see a state here and then
// find an older one there.
func (s *store) announce(snap *tx.Snapshot, synced bool) error {
	p := s.peers
	if p == nil {
		s.publish(snap)
		s.watch.tell()
		return nil
	}
	p.unsynced = p.unsynced || !synced
	lf := p.lf.Load()
	watched := false
	p.mu.Lock()
	defer p.mu.Unlock()
	err := lf.touch(func() error {
		lf.published.Store(uint64(snap.TxID))
		watched = lf.watchers.Load() != 0
		return nil
	})
	s.publish(snap)
	s.watch.tell()
	if err != nil {
		return err
	}
	if watched {
		_ = lf.changed.Signal() // else they notice after a while
	}
	return lf.touch(func() error { lf.dirty.Store(0); return nil })
}
