package mapleaf

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mapleafdb/mapleaf/internal/invariant"
	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// Following the others: how readers see what another process has published, and
// what a writer learns when it takes its turn.
//
// To begin, where the file is shared: load the published txid of the lock file. If
// it is newer than the state that was published here, read the metas and publish
// that state here. Claim a slot of the lock file with the txid of the state, and
// load the published txid and the published state again: if both are still the
// same, every scan that begins after a newer state is published finds the slot. And
// look again whether the file is shared: else nobody may look into this lock file.
//
// Invariants:
//
//	E1 A state is taken over only under the txid that the lock file calls
//	   published: a newer meta may belong to a commit that is still under way, and
//	   one that does not verify is being written: it is read again.
//	E2 After a turn was taken, ledger, free space, high-water mark, mapping and
//	   newest state are those of the file, as if this process had written it.
//	E3 A page that another process has freed becomes free here by the same rule as
//	   one of our own (L3): the entries of the chain say from when to when it could
//	   be seen, and the slots of all processes say who sees it.

// beginShared is beginRead for a store that shares its file.
func (s *store) beginShared(p *peers) (_ *tx.Snapshot, _ tx.Session, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			fault := mmapfile.AsFault(r)
			if fault == nil {
				panic(r)
			}
			err = fmt.Errorf("%w: %w", ErrLockFile, fault)
		}
	}()
	snap := s.published.Load()
	if snap == nil {
		return nil, nil, ErrDatabaseNotOpen
	}
	lf := p.lf.Load()
	sl, err := lf.claim(snap.TxID, &s.slots)
	if err != nil {
		return nil, nil, err
	}
	shown, begun := false, false
	defer func() {
		if shown && !begun {
			sl.show(0)
		}
		if !begun {
			sl.drop()
		}
	}()
	for {
		if snap = s.published.Load(); snap == nil {
			return nil, nil, ErrDatabaseNotOpen
		}
		word := lf.published.Load()
		if uint64(snap.TxID) < word {
			if err := p.refresh(lf); err != nil {
				return nil, nil, err
			}
			continue
		}
		sl.set(snap.TxID)
		shown = true
		if !p.shared.Load() {
			return s.beginRead()
		}
		if lf.published.Load() == word && s.published.Load() == snap {
			sl.begin()
			s.slots.note(sl)
			begun = true
			return snap, sl, nil
		}
	}
}

// claimMirror takes a slot of the lock file for readers in own memory.
func (p *peers) claimMirror(txid tx.TxID) (sl *peerSlot, err error) {
	lf := p.lf.Load()
	err = lf.touch(func() (err error) {
		if sl, err = lf.claim(txid, &p.s.slots); err != nil {
			return err
		}
		sl.mirror.Store(true)
		sl.set(txid)
		sl.noted.Store(sl.begun.Load())
		sl.since.Store(uint64(p.s.ages.since(txid).UnixMilli()))
		return nil
	})
	if err != nil && sl != nil {
		sl.unmirror()
	}
	return sl, err
}

// How often, and at which intervals, the metas are read again before they count
// as damaged: a writer may be stopped between the two halves of a write.
const (
	refreshTries = 2000
	refreshPause = time.Millisecond
)

// refresh publishes here what was published elsewhere (E1).
func (p *peers) refresh(lf *lockFile) error {
	s := p.s
	p.mu.Lock()
	defer p.mu.Unlock()
	for range refreshTries {
		published := tx.TxID(lf.published.Load())
		snap := s.published.Load()
		if snap == nil || snap.TxID >= published {
			return nil
		}
		r, err := publishedMeta(s.file, published)
		if err != nil {
			return err
		}
		if r != nil {
			return s.follow(r.meta, snap.TxID)
		}
		if tx.TxID(lf.published.Load()) == published {
			time.Sleep(refreshPause)
		}
	}
	return tx.Corrupt(0, "neither meta is that of the published state")
}

// follow publishes the state of m here. before is the txid of the one that was
// published. The caller holds peers.mu.
func (s *store) follow(m *meta, before tx.TxID) error {
	if m.fileID != s.fileID || m.pageSize != s.pageSize {
		return tx.Corrupt(0, "the file holds another database now")
	}
	if err := s.cover(int64(m.hwm)<<s.shift, before); err != nil {
		return err
	}
	s.publish(&tx.Snapshot{
		Shift: s.shift, Root: m.root, TxID: m.txid, HWM: m.hwm, Written: m.txid, Source: s,
	})
	s.watch.tell()
	return nil
}

// live returns the txids in the reader slots of all processes, ascending and each
// once: what a decision about free pages needs.
func (s *store) live() ([]tx.TxID, error) {
	live := s.slots.live(nil)
	p := s.peers
	if p == nil {
		return live, nil
	}
	lf := p.lf.Load()
	if !p.shared.Load() {
		live = lf.ownLive(live)
	} else {
		var err error
		if live, err = lf.live(live); err != nil {
			return nil, s.fail(err)
		}
	}
	slices.Sort(live)
	return slices.Compact(live), nil
}

// liveHere is live for the readers of this process alone: what a decision about
// its mappings needs.
func (s *store) liveHere(buf []tx.TxID) []tx.TxID {
	live := s.slots.live(buf)
	p := s.peers
	if p == nil {
		return live
	}
	live = p.lf.Load().ownLive(live)
	slices.Sort(live)
	return slices.Compact(live)
}

// reload takes over a state that another process has written (E2). The caller
// holds the turn, and s.writer; nothing is open or on its way.
func (s *store) reload(r *recovered) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	if s.loading.done.Load() {
		if err := s.catchUp(r.meta); err != nil {
			return err
		}
	}
	p := s.peers
	p.mu.Lock()
	defer p.mu.Unlock()
	if snap := s.published.Load(); snap != nil && snap.TxID < r.meta.txid {
		err = s.follow(r.meta, snap.TxID)
	} else if snap == nil { // Close writes the final state
		err = s.cover(int64(r.meta.hwm)<<s.shift, s.meta.txid)
	}
	if err != nil {
		return err
	}
	s.fileSize = size
	s.sized.Store(size)
	s.unclean = !r.meta.closed
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = max(s.seen, r.seen)
	for _, e := range s.mu.finished { // readers may see its pages in memory up to here
		s.mu.replaced = append(s.mu.replaced,
			replacedPages{last: s.mu.head.TxID, pages: s.born(e)})
	}
	s.meta, s.metaSlot = r.meta, r.slot
	s.log.extents = r.meta.logs
	s.durable.Store(uint64(r.meta.txid))
	s.mu.head = tx.Snapshot{
		Shift: s.shift, Root: r.meta.root, TxID: r.meta.txid, HWM: r.meta.hwm,
		Written: r.meta.txid, Source: s,
	}
	s.mu.finished, s.mu.written = nil, r.meta.txid
	s.mu.epoch = &epoch{number: s.mu.epoch.number + 1, endLog: s.logging()}
	return nil
}

// catchUp brings ledger and free space to the state of m: by the links that are
// new, or by all of them if none of those that were known is there any more.
func (s *store) catchUp(m *meta) error {
	c := &s.chain
	first := firstPage(m.pageSize)
	known := make(map[tx.Ref]struct{}, len(c.links))
	for _, l := range c.links {
		known[l.ref] = struct{}{}
	}
	pages, err := readChain(s.file, m, first, func(ref tx.Ref) bool {
		_, ok := known[ref]
		return ok
	})
	if err != nil {
		return err
	}
	live, err := s.live()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := int(m.chainPages) - len(pages)
	if keep == 0 || keep > len(c.links) || len(pages) > 0 && pages[len(pages)-1].prev != c.head() ||
		len(pages) == 0 && m.chain != c.head() {
		whole, err := loadChain(s.file, m)
		if err != nil {
			return err
		}
		s.chain = whole
		s.free.fill(&s.chain, live)
	} else {
		err = s.append(pages, keep, m, live)
	}
	s.stats.links.Store(int64(m.chainPages))
	return err
}

// append takes the new links in, oldest first, and drops all but keep of the
// known ones.
func (s *store) append(pages []chainPage, keep int, m *meta, live []tx.TxID) error {
	c := &s.chain
	c.drop(len(c.links) - keep)
	c.hwm = uint64(m.hwm)
	s.free.setEnd(c.hwm)
	s.free.reclaim(live)
	for _, page := range slices.Backward(pages) {
		c.add(page.ref, page.entries)
		for _, e := range page.entries {
			known := uint32(0)
			c.walk(e.extent, func(r record) bool {
				known += clip(r.extent, e.extent).count
				return true
			})
			s.free.adopt(e, known, live)
			c.apply(e, c.seq)
		}
	}
	if invariant.Enabled {
		s.mustAgree(m)
	}
	var err error
	if end := c.end(); end > c.hwm {
		err = tx.Corrupt(m.chain.ID, "chain calls pages up to %d free, behind the end at %d",
			end, m.hwm)
	} else {
		err = c.checkOwn(m)
	}
	if err != nil {
		c.links = nil // what was taken in is not to be trusted
	}
	return err
}

// mustAgree panics unless ledger and free space are what the whole chain says.
func (s *store) mustAgree(m *meta) {
	whole, err := loadChain(s.file, m)
	if err != nil {
		return // the caller finds out, too
	}
	s.free.mu.Lock()
	defer s.free.mu.Unlock()
	if n := s.free.mu.pages + s.free.mu.waiting; whole.pages != s.chain.pages || n != whole.pages ||
		len(whole.links) != len(s.chain.links) {
		panic(fmt.Sprintf("mapleaf: state %d has %d free pages in %d links, and was taken over "+
			"with %d in %d, of which %d are known", m.txid, whole.pages, len(whole.links),
			s.chain.pages, len(s.chain.links), n))
	}
}

// steady calls fn while ledger and free space are those of the newest state of
// the file: it takes a turn where that is needed, and waits for it until ctx ends.
func (s *store) steady(ctx context.Context, fn func() error) error {
	if s.alone() {
		return s.loadThen(fn)
	}
	p := s.peers
	for {
		if p.open.Err() != nil && !p.held.Load() {
			return ErrDatabaseNotOpen
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
			if err := s.enterTurn(ctx); err != nil {
				return err
			}
			s.drain()
			if s.opts.ReadOnly {
				defer p.release()
			}
		default:
			if s.opts.ReadOnly || !p.held.Load() { // somebody here has or wants the turn
				time.Sleep(refreshPause)
				continue
			}
		}
		return s.loadThen(fn)
	}
}

func (s *store) loadThen(fn func() error) error {
	if err := s.loadFree(); err != nil {
		return err
	}
	return fn()
}

// statsPatience is how long Stats waits for a turn.
const statsPatience = 100 * time.Millisecond

// loadShared is loadFree for who does not hold the turn, and cannot wait for long.
func (s *store) loadShared() error {
	if s.loading.done.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), statsPatience)
	defer cancel()
	return s.steady(ctx, func() error { return nil })
}
