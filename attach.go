package mapleaf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// Being one of several processes on a file. A database is *alone* while it holds
// the attach lock exclusively, which is how it begins where nobody else is: its
// readers then use the slots of reader.go, in its own memory, and nobody asks for
// its writer lock. Else it is *shared*: readers use slots in the lock file.
//
// Who wants to be let in sets the word "wish", signals the event "call", and waits
// for the shared lock; a small goroutine of the one that is alone sees it and
// leaves that mode. When all others have gone, it goes back to it.
//
// Invariants:
//
//	H1 Nobody is attached while a database is alone. So it may look at no foreign
//	   slot, and nobody misses those that it keeps to itself.
//	H2 Leaving that mode goes: new readers turn to the lock file; every txid that
//	   then stands in a slot of its own memory is put into the lock file, too, until
//	   no reader here has it any more; and only then the attach lock becomes a shared
//	   one. A reader claims its slot, and then looks which mode it is: if that is not
//	   the one of its slot, it begins anew, else whoever changes the mode finds it.
//	   So a reader is seen by others from the moment on in which others can be there.
//	H3 The writer lock is held from the beginning of being alone, and beyond it:
//	   others begin no transaction, not even to read, before it was theirs.
//	H4 There is no log in the file while it is shared: who leaves the mode of being
//	   alone ends it first, and a reader that finds one stays unlisted, so that the
//	   next one that writes is alone and ends it. Where the lock file says that
//	   somebody is alone nobody joins, even if the attach lock could be had: then
//	   that process has died, and who is next alone recovers what it left.
//	H5 A state becomes the published one of this process, and the mapping for it the
//	   newest, either by a commit of its own (or when it takes a turn), or under
//	   peers.mu because a newer one was published elsewhere. The latter happens
//	   only while others may write, so never beside the former.
type peers struct {
	s      *store
	of     *openFile
	lf     atomic.Pointer[lockFile] // replaced only while alone
	shared atomic.Bool              // readers use the lock file
	held   atomic.Bool              // the writer lock is this process's
	mu     sync.Mutex               // held while a state is published here

	generation uint32 // of the lock file; changes while alone
	recoveries uint32 // seen by who holds the turn
	unsynced   bool   // something was published and not synced; the committer's

	mirror struct {
		sync.Mutex
		slots  map[tx.TxID]*peerSlot // by what readers in own memory see
		newest atomic.Uint64         // of them
	}

	old       []*lockFile     // that lost their name while this process was alone
	open      context.Context // done when Close was called
	refuse    context.CancelFunc
	life      context.Context // done when the goroutine shall end
	end       context.CancelFunc
	poked     chan struct{}
	ended     chan struct{} // closed when the goroutine has ended
	noWriters chan struct{} // closed by Close when it holds s.writer for good
}

// alone reports whether nobody else can have the file open, or could see a state
// that is not in the file as pages. Once it is false for the committer, the file is
// about to be shared.
func (s *store) alone() bool { return s.peers == nil || !s.peers.shared.Load() }

// takePart makes the store one of the processes on its file, after it has found
// the newest state as the only one that is attached. Where there can be no lock
// file, it stays the only one; a reader is then unlisted.
func (s *store) takePart() error {
	of := s.of
	if of.attached != attachedAlone || s.opts.Exclusive && !s.opts.ReadOnly {
		return nil
	}
	if !of.mayLock || s.opts.ReadOnly && s.logging() {
		return s.stayUnlisted() // what others see would not be all that is in the file
	}
	if of.lf != nil { // it was opened to ask somebody who has gone since
		_ = of.lf.close()
		of.lf = nil
	}
	lf, err := s.makeLockFile()
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, mmapfile.ErrUnsupported) ||
		mmapfile.IsReadOnly(err):
		if s.opts.ReadOnly {
			return s.stayUnlisted()
		}
		return nil
	default:
		return err
	}
	of.lf = lf
	p := s.newPeers(lf)
	if s.opts.ReadOnly {
		p.share(true)
		ok, err := of.locks.Try(dataAttached, false)
		if !ok && err == nil {
			err = errStranger
		}
		return err
	}
	p.held.Store(true)
	if ok, err := of.locks.Try(dataWriter, true); err != nil || !ok {
		return errors.Join(fmt.Errorf("mapleaf: lock database: writer lock is held"), err)
	}
	return nil
}

// stayUnlisted keeps writers out instead of telling them what is read.
func (s *store) stayUnlisted() error {
	of := s.of
	if ok, err := of.locks.Try(dataWriter, false); err != nil || !ok {
		return errors.Join(fmt.Errorf("mapleaf: lock database: writer lock is held"), err)
	}
	of.attached = attachedUnlisted
	ok, err := of.locks.Try(dataAttached, false)
	if err == nil && !ok {
		err = mmapfile.ErrLocked
	}
	return err
}

// makeLockFile opens the lock file, or makes it, and resets it for the state that
// was found. The caller is alone, and says so there unless it only reads.
func (s *store) makeLockFile() (*lockFile, error) {
	data, err := s.mf.Identity()
	if err != nil {
		return nil, err
	}
	lf, err := openLockFile(s.of.lockPath, &s.opts, s.of.mode, true)
	if err != nil {
		return nil, err
	}
	err = lf.occupy()
	if err == nil {
		err = lf.reset(s.meta.fileID, data)
	}
	if err == nil {
		err = lf.addBlock(0, &s.slots)
	}
	if err == nil {
		var ok bool
		if ok, err = lf.locks.Try(lockPresent, false); err == nil && !ok {
			err = mmapfile.ErrLocked
		}
	}
	if err == nil {
		err = lf.touch(func() error {
			lf.published.Store(uint64(s.meta.txid))
			if !s.opts.ReadOnly {
				lf.alonePid.Store(uint32(os.Getpid()))
			}
			if !s.opts.ReadOnly || s.meta.closed {
				lf.dirty.Store(0)
			}
			return nil
		})
	}
	if err != nil {
		return nil, errors.Join(err, lf.close())
	}
	return lf, nil
}

// newPeers makes the store take part in the lock file.
func (s *store) newPeers(lf *lockFile) *peers {
	p := &peers{
		s:         s,
		of:        s.of,
		poked:     make(chan struct{}, 1),
		ended:     make(chan struct{}),
		noWriters: make(chan struct{}),
	}
	p.open, p.refuse = context.WithCancel(context.Background())
	p.life, p.end = context.WithCancel(context.Background())
	p.mirror.slots = make(map[tx.TxID]*peerSlot)
	p.lf.Store(lf)
	_ = lf.touch(func() error { p.generation = lf.generation.Load(); return nil })
	s.peers = p
	return p
}

// lookAtOthers finds the newest state where others are attached. The writer lock
// is held, and a writer keeps it.
func (s *store) lookAtOthers() (*recovered, error) {
	lf := s.of.lf
	p := s.newPeers(lf)
	p.share(true)
	p.held.Store(true)
	r, err := p.look(lf)
	if err != nil {
		return nil, err
	}
	data, err := s.mf.Identity()
	if err == nil {
		err = lf.check(r.meta.fileID, data)
	}
	if err == nil {
		err = lf.touch(func() error {
			lf.writerPid.Store(uint32(os.Getpid()))
			return lf.addBlock(0, &s.slots)
		})
	}
	return r, err
}

// attend is the goroutine that answers the others.
func (p *peers) attend() {
	defer close(p.ended)
	ticks := time.NewTicker(attendTick)
	defer ticks.Stop()
	for p.life.Err() == nil {
		lf := p.lf.Load()
		seen, err := lf.call.Value()
		if err == nil {
			err = p.answer(lf)
		}
		if err != nil {
			p.s.fail(err)
			if p.held.Load() && p.shared.Load() {
				p.yield() // nobody can ask for it any more
			}
		}
		if err == nil && p.held.Load() {
			ctx, cancel := context.WithTimeout(p.life, attendTick)
			_, err = lf.call.Wait(ctx, seen)
			cancel()
			if err == nil {
				continue
			}
		} else {
			select {
			case <-p.poked:
				continue
			case <-ticks.C:
			case <-p.life.Done():
			}
		}
		p.tick()
	}
}

// attendTick is how often the goroutine looks after what nobody calls it for.
const attendTick = time.Second

// poke makes the goroutine look again, after the turn was taken.
func (p *peers) poke() {
	select {
	case p.poked <- struct{}{}:
	default:
	}
}

// answer does what the words of the lock file ask for.
func (p *peers) answer(lf *lockFile) error {
	var wish, waiter bool
	err := lf.touch(func() error {
		wish, waiter = lf.wish.Load() != 0, lf.waiter.Load() != 0
		return nil
	})
	if err != nil {
		return err
	}
	if wish && !p.shared.Load() {
		if err := p.leaveAlone(lf); err != nil {
			return err
		}
	}
	if waiter && p.held.Load() && p.shared.Load() || p.s.failed() != nil && p.shared.Load() {
		p.yield()
	}
	return nil
}

// leaveAlone lets others in (H2).
func (p *peers) leaveAlone(lf *lockFile) error {
	s := p.s
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-p.noWriters:
	case <-p.life.Done():
		return nil
	}
	s.drain()
	p.share(true)
	s.watch.tell() // who waits must wait for others, too
	err := p.writeAll(lf)
	if err == nil {
		err = p.reflect()
	}
	if err != nil {
		p.share(false)
		return err
	}
	ok, err := p.of.locks.Try(dataAttached, false)
	if err == nil && !ok {
		err = mmapfile.ErrLocked
	}
	if err != nil {
		return fmt.Errorf("mapleaf: lock database: %w", err)
	}
	return lf.touch(func() error {
		lf.alonePid.Store(0)
		lf.wish.Store(0)
		return nil
	})
}

// writeAll ends the log, so that what was published is in the file, and tells the
// others what that is. A handle that has failed writes nothing: others recover.
func (p *peers) writeAll(lf *lockFile) error {
	s := p.s
	if s.failed() != nil {
		return lf.touch(func() error { lf.dirty.Store(1); return nil })
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.endLog(); err != nil {
		return err
	}
	return lf.touch(func() error {
		lf.published.Store(uint64(s.meta.txid))
		return nil
	})
}

// share says whether readers use the lock file; there is no log meanwhile.
func (p *peers) share(on bool) {
	if p.shared.Swap(on) == on {
		return
	}
	if on {
		p.s.withoutLog(1)
	} else {
		p.s.withoutLog(-1)
	}
}

// reflect puts into the lock file what readers with slots in own memory see, and
// takes out what none of them sees any more. Before it looks who is there, it asks
// to be told of every end (R4): who ends meanwhile calls it again, and waits for it.
func (p *peers) reflect() error {
	p.mirror.Lock()
	defer p.mirror.Unlock()
	p.awaitMirrored(math.MaxUint64)
	live := p.s.slots.live(nil)
	if !p.shared.Load() {
		live = nil
	}
	newest := tx.TxID(0)
	for _, txid := range live {
		if p.mirror.slots[txid] == nil {
			sl, err := p.claimMirror(txid)
			if err != nil {
				return err // the next end of a reader takes out what is there
			}
			p.mirror.slots[txid] = sl
		}
		newest = max(newest, txid)
	}
	for txid, sl := range p.mirror.slots {
		if _, there := slices.BinarySearch(live, txid); !there {
			delete(p.mirror.slots, txid)
			sl.unmirror()
		}
	}
	p.awaitMirrored(newest)
	return nil
}

// awaitMirrored makes readers up to a txid tell when they end.
func (p *peers) awaitMirrored(newest tx.TxID) {
	p.mirror.newest.Store(uint64(newest))
	p.s.slots.await(wakeMirror, uint64(newest))
}

// readerEnded is called when a reader has ended for which somebody waits.
func (p *peers) readerEnded() {
	if p != nil && p.mirror.newest.Load() != 0 {
		_ = p.reflect() // which only takes out: nobody has begun meanwhile
	}
}

// alarm makes the goroutine look, after a failure: others must not wait for this
// process then.
func (p *peers) alarm() {
	if p != nil {
		_ = p.lf.Load().call.Signal() // else it notices after a while
		p.poke()
	}
}
