package mapleaf

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// The other half of attach.go: what the goroutine of a database does from time to
// time, and how a database leaves its file to others.
//
// Invariants:
//
//	J1 A database goes back to being alone only by converting its attach lock, where
//	   the system does that without letting anybody in between, and with the turn.
//	J2 Only the last one that is attached writes the final state and cuts the file.
//	   If two leave at the same time, neither may be the last: then the next one
//	   to open finds a state that was not closed, and makes sure of it.
//	J3 A lock file that was removed is made again by who is alone, as soon as no
//	   reader has a slot in it; while several share one, it is lost to newcomers,
//	   who get ErrLockFile.

// start begins to answer the others.
func (p *peers) start() {
	if p == nil {
		return
	}
	if p.s.opts.ReadOnly {
		p.release()
	}
	go p.attend()
}

// closing ends the waiting for a turn.
func (p *peers) closing() {
	if p != nil {
		p.refuse()
	}
}

// stopWriting lets others write while Close waits for readers. It holds s.writer
// for good, and nothing is open or on its way.
func (p *peers) stopWriting() {
	if p == nil {
		return
	}
	if p.shared.Load() {
		p.release()
	}
	close(p.noWriters) // last: from now on the goroutine gives it back
}

// stop ends the goroutine.
func (p *peers) stop() {
	if p != nil {
		p.end()
		<-p.ended
	}
}

// tick does what nobody calls for.
func (p *peers) tick() {
	p.stamp()
	if p.s.opts.ReadOnly || p.s.failed() != nil {
		return
	}
	lf := p.lf.Load()
	switch {
	case !p.shared.Load():
		if !lf.named() {
			p.renew(lf)
		}
	case !lf.named():
		p.yield() // so that newcomers find out
	case !mmapfile.ConvertsLocks || !p.regain(lf):
		p.rest()
	}
}

// rest gives an idle writer lock back, also if nobody has asked: who cannot find
// the lock file, because it stands beside another name, cannot ask.
func (p *peers) rest() {
	select {
	case p.s.writer <- struct{}{}:
		defer func() { <-p.s.writer }()
		p.s.drain()
		p.release()
	default:
	}
}

// named reports whether the path still leads to the file.
func (l *lockFile) named() bool { return sameFile(l.mf, l.path) == nil }

// renew makes a lock file where one was removed. The database is alone.
func (p *peers) renew(lf *lockFile) {
	select {
	case p.s.writer <- struct{}{}:
		defer func() { <-p.s.writer }()
	default:
		return // the next tick will do
	}
	p.s.drain()
	if len(lf.ownLive(nil)) > 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh, err := p.s.makeLockFile()
	if err != nil {
		p.s.opts.Logger.Errorf("mapleaf: make lock file %s: %v", lf.path, err)
		return
	}
	_ = fresh.touch(func() error { // it was touched a moment ago
		p.generation = fresh.generation.Load()
		p.recoveries = 0
		return nil
	})
	p.old = append(p.old, lf)
	p.lf.Store(fresh)
	p.of.lf = fresh
}

// regain makes the database alone again, if nobody else is attached (J1), and
// reports that.
func (p *peers) regain(lf *lockFile) bool {
	s := p.s
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	default:
		return false // there is more important work
	}
	if !p.held.Load() {
		if ok, err := p.of.locks.Try(dataWriter, true); err != nil || !ok {
			return false
		}
		if err := p.takeOver(lf); err != nil {
			s.opts.Logger.Errorf("mapleaf: take over %s: %v", s.path, err)
			_ = p.of.locks.Unlock(dataWriter) // the next writer meets the same
			return false
		}
		p.held.Store(true)
	}
	if ok, err := p.of.locks.Try(dataAttached, true); err != nil || !ok {
		return false
	}
	_ = lf.touch(func() error { // a wish that was not seen is told again
		lf.wish.Store(0)
		lf.waiter.Store(0)
		lf.alonePid.Store(uint32(os.Getpid()))
		return nil
	})
	p.share(false)
	_ = p.reflect() // which only takes out
	return true
}

// stamp notes in the lock file since when readers are there, for others to see.
func (p *peers) stamp() {
	p.s.look(0)
	if !p.shared.Load() {
		return
	}
	lf := p.lf.Load()
	_ = lf.touch(func() error { // without the file nobody sees it
		for _, b := range *lf.own.Load() {
			for i := range b.slots {
				sl := &b.slots[i]
				first, begun, ok := p.s.ages.sinceIn(sl)
				if ok && !sl.mirror.Load() && sl.noted.Load() != begun {
					sl.since.Store(uint64(first.UnixMilli()))
					sl.noted.Store(begun)
				}
			}
		}
		return nil
	})
}

// isLast reports whether Close shall write the final state: nobody else is
// attached, and what this process knows is the newest (J2).
func (s *store) isLast() (bool, error) {
	if s.opts.ReadOnly || s.failed() != nil {
		return false, nil
	}
	if s.alone() {
		return true, nil
	}
	p := s.peers
	ok, err := p.of.locks.Try(dataAttached, true)
	if !ok || err != nil {
		if errors.Is(err, mmapfile.ErrLocked) {
			err = nil
		}
		return false, named("lock database", err) // without one, others are there, and do it
	}
	if !p.held.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.takeTurn(ctx); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = nil // somebody is just beginning
			}
			return false, err
		}
	}
	return true, nil
}

// endAlone says that nobody is alone any more, and that the state is in the file (H4).
func (p *peers) endAlone() {
	if p == nil {
		return
	}
	lf := p.lf.Load()
	_ = lf.touch(func() error { lf.alonePid.Store(0); return nil }) // else who comes waits
}

// detach leaves the file to others, and closes it.
func (s *store) detach() error {
	var errs []error
	if p := s.peers; p != nil {
		p.refuse()
		p.end()
		lf := p.lf.Load()
		errs = append(errs, lf.leave())
		_ = lf.touch(func() error { // for messages only
			if p.held.Load() {
				lf.writerPid.Store(0)
				lf.waiter.Store(0)
			}
			return nil
		})
		for _, old := range p.old {
			errs = append(errs, old.close())
		}
	}
	return errors.Join(append(errs, s.of.release())...)
}
