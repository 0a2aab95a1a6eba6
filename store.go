package mapleaf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// A store is the page manager of one open database: everything behind DB that
// knows the file. It is the tx.Host and tx.Source of its transactions.
//
// Locks, in the order in which they may be taken; none is held while mapped
// memory is touched:
//
//	writer    the channel: from the begin of a write transaction until it has
//	          joined a batch or is rolled back. Guards the fields under "writer".
//	mu        the head and the batches; held for moments
//	maps.mu   the mappings
//	free.mu   the free space; held for moments
//	syncing   one sync at a time; taken with none of the others but writer
//
// The fields under "committer" belong to the committer's goroutine while it
// runs, and to Open and Close before and after.
type store struct {
	db       *DB
	opts     Options
	path     string
	file     file
	mf       *mmapfile.File
	of       *openFile
	peers    *peers // nil if nobody else can have the file open, or know of us
	watch    watch
	ages     readAges
	first    tx.PageID // behind the metas
	fileID   [16]byte  // of the metas
	shift    uint8     // log2 of the page size
	pageSize int

	published atomic.Pointer[tx.Snapshot] // nil once Close was called
	broken    atomic.Pointer[error]       // set by the first write that failed
	slots     slotTable
	idle      chan struct{} // tells Close that a reader has ended
	maps      mappings
	free      freelist
	stats     counters
	syncing   sync.Mutex
	loading   struct { // of the free space of a read-only database
		sync.Once
		err  error
		done atomic.Bool // without an error
	}

	// writer
	writer   chan struct{} // full while a write transaction runs
	closing  chan struct{} // closed when Close was called
	running  *writer
	pool     [][]byte
	prunes   uint64
	fileSize int64
	seen     tx.TxID // the largest txid that either meta showed at opening

	mu struct {
		sync.Mutex
		wake     sync.Cond   // tells the committer
		head     tx.Snapshot // the newest committed state, durable or not
		open     *batch
		sealing  *batch
		finished []*batch // durable, and not yet out of the head's overlay
		stop     bool
	}

	// committer
	stopped  chan struct{} // closed when the committer has ended
	chain    chain
	meta     *meta // the newest durable one
	metaSlot int   // where it stands
	written  bool  // something was written since Open
	unclean  bool  // the newest meta was not closed properly
}

// openStore opens, locks and recovers the file.
func openStore(ctx context.Context, db *DB, path string, mode fs.FileMode, o Options) (
	_ *store, err error) {
	wait := newLockWait(ctx, o.Timeout)
	defer wait.cancel()
	of, err := openData(path, mode, &o, wait)
	if err != nil {
		return nil, err
	}
	s := &store{
		db:      db,
		opts:    o,
		path:    path,
		file:    of.file,
		mf:      of.mf,
		of:      of,
		idle:    make(chan struct{}, 1),
		writer:  make(chan struct{}, 1),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.unmapAll(), s.detach())
		}
	}()
	s.mu.wake.L = &s.mu.Mutex
	s.stats.off = o.NoStatistics
	s.slots.init(!o.NoStatistics || o.MaxReadAge > 0, s.readerEnded)
	if err := s.recover(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// recover finds the state of the file, and makes sure of it.
func (s *store) recover() error {
	var r *recovered
	var err error
	if s.of.attached == attachedShared {
		r, err = s.lookAtOthers()
	} else {
		r, err = recoverState(s.file, s.opts.trustManifest)
	}
	if err != nil {
		return err
	}
	if s.fileSize, err = s.file.Size(); err != nil {
		return err
	}
	s.meta, s.metaSlot, s.seen = r.meta, r.slot, r.seen
	s.pageSize, s.fileID = r.meta.pageSize, r.meta.fileID
	s.shift = uint8(bits.TrailingZeros(uint(s.pageSize)))
	s.first = firstPage(s.pageSize)
	s.unclean = !r.meta.closed
	if !s.opts.ReadOnly && s.of.attached == attachedAlone &&
		(s.unclean || r.seen != r.meta.txid) && !s.opts.trustManifest {
		if err := r.rewrite(s.file); err != nil {
			return fmt.Errorf("mapleaf: recover: %w", err)
		}
	}
	if !s.opts.ReadOnly || s.opts.PreLoadFreelist {
		if err := s.loadFree(); err != nil {
			return err
		}
	}
	return s.takePart()
}

// loadFree reads the free space, once.
func (s *store) loadFree() error {
	s.loading.Do(func() {
		c, err := loadChain(s.file, s.meta)
		if err != nil {
			s.loading.err = err
			s.free.reset(s.meta.hwm)
			return
		}
		s.chain = c
		s.stats.links.Store(int64(len(c.links)))
		live, err := s.live()
		s.free.fill(&s.chain, live)
		s.loading.err = err
		s.loading.done.Store(err == nil)
	})
	return s.loading.err
}

// start maps the file, publishes its state, and starts the committer.
func (s *store) start() error {
	size := int64(s.meta.hwm) << s.shift
	m, err := s.mapFile(size)
	if err != nil {
		return err
	}
	s.maps.mu.newest = m
	if s.opts.Mlock {
		if err := m.lock(size); err != nil {
			return err
		}
	}
	snap := &tx.Snapshot{
		Shift: s.shift, Root: s.meta.root, TxID: s.meta.txid, HWM: s.meta.hwm, Source: s,
	}
	s.publish(snap)
	s.mu.head = *snap
	if s.opts.ReadOnly {
		close(s.stopped)
	} else {
		go s.runCommits()
	}
	s.peers.start()
	if s.opts.MaxReadAge > 0 {
		go s.watchReaders()
	}
	return nil
}

// close waits for all transactions, brings the file into its final state, and
// gives everything back. It is called once.
func (s *store) close() error {
	close(s.closing)
	s.peers.closing()
	s.watch.close()
	s.writer <- struct{}{}
	s.drain() // else the last batch would publish itself after what follows
	s.peers.stopWriting()
	s.published.Store(nil)
	s.waitIdle()
	s.peers.stop()
	s.mu.Lock()
	s.mu.stop = true
	s.mu.wake.Signal()
	s.mu.Unlock()
	<-s.stopped
	last, err := s.isLast()
	if err == nil && last {
		err = s.finalState()
	}
	err = errors.Join(err, s.unmapAll())
	if err == nil && last && s.written && s.failed() == nil {
		err = s.cutFile()
	}
	return errors.Join(err, s.detach())
}

// finalState writes a state that needs no recovery, unless that is what the file
// holds already.
func (s *store) finalState() error {
	if !s.written && !s.unclean {
		return nil
	}
	s.free.reclaim(nil)
	if b, ok := s.finalBatch(); ok {
		if err := s.writeFinal(b); err != nil {
			return err
		}
	}
	if err := s.sync(); err != nil {
		return err
	}
	m := *s.meta
	m.closed, m.durable = true, m.txid
	slot := [][]byte{m.encode()}
	for _, i := range []int{1 - s.metaSlot, s.metaSlot} {
		if err := s.file.WriteVec(slot, slotOffset(i)); err != nil {
			return s.fail(fmt.Errorf("mapleaf: write meta: %w", err))
		}
		s.written = true
		if err := s.sync(); err != nil {
			return err
		}
	}
	return nil
}

// cutMin is the least number of pages at the end of the file that are worth a
// batch of their own to be cut off.
const cutMin = 16

// finalBatch makes the batch that cuts off the free end of the file, if that is
// worth it.
func (s *store) finalBatch() (*batch, bool) {
	links := chainRoom(2, s.chain.capacity)
	if tail, ok := s.free.tail(); !ok || tail.count < links+cutMin {
		return nil, false
	}
	b := &batch{root: s.meta.root, links: int(links)}
	b.first = max(s.meta.txid, s.seen).Next()
	b.last = b.first
	var ok bool
	if b.reserve, ok = s.free.takeLowest(links); !ok {
		return nil, false
	}
	b.tail, ok = s.free.cutTail()
	return b, ok
}

// writeFinal makes the final batch durable.
func (s *store) writeFinal(b *batch) error {
	w, err := s.compose(b)
	if err != nil {
		return s.fail(err)
	}
	if err := s.write(w); err != nil {
		return s.fail(err)
	}
	if err := s.sync(); err != nil {
		return err
	}
	s.metaSlot = 1 - s.metaSlot
	s.meta = w.meta
	return nil
}

// cutFile cuts off what was reserved for growth.
func (s *store) cutFile() error {
	if err := s.file.Truncate(int64(s.meta.hwm) << s.shift); err != nil {
		return fmt.Errorf("mapleaf: cut file: %w", err)
	}
	return nil
}

// Path implements tx.Host.
func (s *store) Path() string { return s.path }

// Fault implements tx.Host.
func (s *store) Fault(recovered any) error {
	if f := mmapfile.AsFault(recovered); f != nil {
		return f
	}
	return nil
}

// strictCheck checks the whole database if DB.StrictMode asks for it, and panics
// if something is wrong.
func (s *store) strictCheck() error {
	if !s.db.StrictMode {
		return nil
	}
	snap, slot, err := s.beginRead()
	if err != nil {
		return nil // closed meanwhile
	}
	t := tx.NewReader(snap, s, slot)
	var problems []string
	for err := range t.Check() {
		problems = append(problems, err.Error())
	}
	if err := t.Rollback(); err != nil {
		return err
	}
	if len(problems) > 0 {
		panic("mapleaf: check failed: " + strings.Join(problems, "\n"))
	}
	return nil
}
