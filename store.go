package mapleaf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
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
//	writing   by who writes an epoch, until it is in the file: the committer or a
//	          checkpoint. Guards the fields under "writing".
//	mu        the head, the batches and the epoch; held for moments
//	maps.mu   the mappings
//	free.mu   the free space; held for moments
//	syncing   one sync at a time of each descriptor; nothing is taken under it
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
	tag      fileTag   // of the pages
	shift    uint8     // log2 of the page size
	pageSize int
	capacity int // entries in a link of the chain

	published atomic.Pointer[tx.Snapshot] // nil once Close was called
	broken    atomic.Pointer[error]       // set by the first write that failed
	told      atomic.Bool                 // some caller has got that error
	slots     slotTable
	idle      chan struct{} // tells Close that a reader has ended
	maps      mappings
	free      freelist
	stats     counters
	durable   atomic.Uint64 // the newest txid that is durable
	written   atomic.Bool   // something was written since Open
	output    atomic.Int64  // bytes of pages and of the log since then
	unsynced  atomic.Bool   // something was, and no sync began since,
	loose     atomic.Bool   // and so was the newest meta

	syncing, syncingBulk sync.Mutex
	lazy                 struct {
		bytes int64       // published and not durable; of the committer
		timed atomic.Bool // a sync is on its way
	}
	idleSince atomic.Int64 // when a batch went by the log
	idleTimed atomic.Bool  // a timer runs for the checkpoint after that

	loading struct { // of the free space and the chain
		sync.Mutex
		err  error // damage, which stays
		done atomic.Bool
	}

	// writer
	writer   chan struct{} // full while a write transaction runs
	closing  chan struct{} // closed when Close was called
	running  *writer
	lists    writerLists // of the writer before, for the next
	buffers  buffers
	replaced []replacedPages // whose buffers may still be seen
	prunes   uint64
	fileSize int64
	sized    atomic.Int64 // the same, for the committer
	seen     tx.TxID      // the largest txid that the file showed at opening
	bulk     *openFile    // the same file for checkpoints (K4), nil until there is a log
	shrunk   bool         // Close has made the end of the file free
	moving   bool         // Close does so: what was synced must last meanwhile, also with NoSync

	mu struct {
		sync.Mutex
		wake       sync.Cond   // tells the goroutine that commits what is left
		committing bool        // somebody does so
		head       tx.Snapshot // the newest committed state, durable or not
		epoch      *epoch      // that the next transaction joins
		open       *batch
		queue      []*batch // closed, and not yet taken by the committer
		sealing    *batch
		newest     *batch          // the last one, nil once it is done
		finished   []*epoch        // in the file, and not yet out of the head's overlay
		written    tx.TxID         // the last transaction of these
		replaced   []replacedPages // by batches that are done
		opBufs     [][]byte        // for operations
		saving     int64           // bytes that a log would have saved
		starting   bool            // an epoch on its way brings the log
		noLog      int             // who wants pages without a log
		hadLog     bool            // the log has ended since a base state was made
		synced     uint64          // the newest epoch with a batch that was to be durable
		checkpoint uint64          // the newest epoch that a checkpoint writes, until it has; 0 = none
		stop       bool
	}
	log redoLog

	// writing
	writing  sync.Mutex
	chain    chain
	meta     *meta // the newest one
	metaSlot int   // where it stands
	unclean  bool  // the newest meta of the file was not closed properly

	replayed bool // a read-only database has replayed the log in memory

	stopped chan struct{} // closed when the goroutine has ended that commits
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
			err = errors.Join(err, s.unmapAll(), s.buffers.close(), s.detach())
		}
	}()
	s.mu.wake.L = &s.mu.Mutex
	s.stats.off = o.NoStatistics
	s.slots.init(!o.NoStatistics || o.MaxReadAge > 0, s.readerEnded)
	tail, err := s.recover()
	if err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	if tail != nil { // others are attached, and so there is no log
		err = s.replay(tail)
	}
	if err == nil {
		err = s.takePart()
	}
	if err != nil {
		s.halt()
		return nil, err
	}
	s.peers.start()
	if s.opts.MaxReadAge > 0 {
		go s.watchReaders()
	}
	return s, nil
}

// recover finds the state of the file, and makes sure of it.
func (s *store) recover() (*logTail, error) {
	var r *recovered
	var err error
	if s.of.attached == attachedShared {
		r, err = s.lookAtOthers()
	} else {
		r, err = recoverState(s.file, s.opts.trustManifest)
	}
	if err != nil {
		return nil, err
	}
	if s.fileSize, err = s.file.Size(); err != nil {
		return nil, err
	}
	s.sized.Store(s.fileSize)
	s.log.extents = r.meta.logs
	s.meta, s.metaSlot, s.seen = r.meta, r.slot, r.seen
	s.pageSize, s.fileID = r.meta.pageSize, r.meta.fileID
	s.tag = tagOf(s.fileID)
	s.capacity = chainCapacity(s.pageSize)
	s.buffers.size = s.pageSize
	s.durable.Store(uint64(r.meta.txid))
	s.shift = uint8(bits.TrailingZeros(uint(s.pageSize)))
	s.first = firstPage(s.pageSize)
	s.unclean = !r.meta.closed
	dirty := !s.opts.ReadOnly && s.of.attached == attachedAlone &&
		(s.unclean || r.seen != r.meta.txid)
	if dirty && !s.opts.trustManifest {
		if err := r.secure(s.file); err != nil {
			return nil, fmt.Errorf("mapleaf: recover: %w", err)
		}
	}
	if dirty || s.opts.PreLoadFreelist {
		return r.log, s.loadFree()
	}
	return r.log, nil
}

// loadFree reads the free space, once: before the first write transaction, since
// a database that is only read does without. Nobody writes before that, so the
// newest meta is the one that was opened.
func (s *store) loadFree() error {
	if s.loading.done.Load() {
		return nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.loading.done.Load() || s.loading.err != nil {
		return s.loading.err
	}
	c, err := loadChain(s.file, s.meta)
	if err != nil {
		s.free.reset(s.meta.hwm)
		if errors.Is(err, ErrCorrupt) { // else the next caller may have more luck
			s.loading.err = err
		}
		return err
	}
	live, err := s.live()
	if err != nil {
		return err
	}
	s.chain = c
	s.stats.links.Store(int64(len(c.links)))
	s.free.fill(&s.chain, live)
	s.loading.done.Store(true)
	return nil
}

// start maps the file, publishes its state, and starts the goroutine that commits what
// nobody else does.
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
		Shift: s.shift, Root: s.meta.root, TxID: s.meta.txid, HWM: s.meta.hwm,
		Written: s.meta.txid, Source: s,
	}
	s.publish(snap)
	s.mu.head, s.mu.written = *snap, snap.TxID
	s.mu.epoch = &epoch{number: 1, endLog: s.logging()}
	if s.opts.ReadOnly {
		close(s.stopped)
	} else {
		go s.runCommits()
	}
	return nil
}

// halt stops the goroutine that commits, also of a store that could not be opened.
func (s *store) halt() {
	s.mu.Lock()
	s.mu.stop = true
	s.mu.wake.Signal()
	s.mu.Unlock()
	<-s.stopped
}

// close waits for all transactions, brings the file into its final state, and
// gives everything back. It is called once.
func (s *store) close() error {
	close(s.closing)
	s.peers.closing()
	s.watch.close()
	s.writer <- struct{}{}
	s.drain() // else the last batch would publish itself after what follows
	err := s.shrink()
	s.peers.stopWriting()
	s.unpublish()
	s.waitIdle()
	s.peers.stop()
	s.halt()
	s.log.clearing.settle()
	last := false
	if err == nil {
		last, err = s.isLast()
	}
	s.writing.Lock() // a checkpoint may be under way
	defer s.writing.Unlock()
	if err == nil && last {
		if err = s.finalState(); err == nil {
			s.peers.endAlone()
		}
	} else if err == nil && !s.told.Load() {
		err = s.failed()
	}
	err = errors.Join(err, s.unmapAll())
	if err == nil && last && s.written.Load() && s.failed() == nil {
		err = s.cutFile()
	}
	if s.bulk != nil {
		err = errors.Join(err, s.bulk.mf.Close())
	}
	return errors.Join(err, s.buffers.close(), s.detach())
}

// finalState writes a state that needs no recovery, unless that is what the file
// holds already.
func (s *store) finalState() error {
	if !s.written.Load() && !s.unclean {
		return nil
	}
	if err := s.loadFree(); err != nil {
		return err
	}
	if err := s.endLog(); err != nil {
		return err
	}
	s.free.reclaim(nil)
	if e, ok := s.chainEpoch(); ok {
		if err := s.checkpoint(e, false, true); err != nil {
			return err
		}
	}
	if e, ok := s.finalEpoch(); ok {
		if err := s.checkpoint(e, false, true); err != nil {
			return err
		}
	}
	if err := s.sync(); err != nil {
		return err
	}
	m := *s.meta
	m.closed, m.durable = true, m.txid
	m.entries, m.entryCount, m.entrySum = nil, 0, manifestSumOf(m.txid, nil)
	slot := [][]byte{m.encode()}
	for _, i := range []int{1 - s.metaSlot, s.metaSlot} {
		if err := s.file.WriteVec(slot, slotOffset(i)); err != nil {
			return s.fail(fmt.Errorf("mapleaf: write meta: %w", err))
		}
		s.written.Store(true)
		if err := s.sync(); err != nil {
			return err
		}
	}
	return nil
}

// endLog writes everything that is in memory, and gives back the extents of the log,
// if there is any of either. The caller holds the writer lock and writing, and no batch
// is on its way.
func (s *store) endLog() error {
	s.mu.Lock()
	e := s.mu.epoch
	logging := s.logging()
	s.mu.Unlock()
	if e.first == 0 && !logging {
		return nil
	}
	if err := s.loadFree(); err != nil {
		return err
	}
	e.endLog = logging
	if e.first == 0 {
		e.state = s.mu.head
		e.state.TxID = max(e.state.TxID, s.seen).Next()
		e.first = e.state.TxID
		s.mu.head.TxID = e.first
	}
	if n := int(chainRoom(len(e.changes)+4, s.capacity)); n > e.links {
		x, err := s.takePages(uint32(n - e.links))
		if err != nil {
			return err
		}
		e.reserve, e.links = append(e.reserve, x), n
	}
	if err := s.makeRoom(s.mu.head.TxID); err != nil {
		return err
	}
	if err := s.checkpoint(e, false, true); err != nil {
		return err
	}
	s.mu.Lock()
	head := s.mu.head
	s.mu.epoch = &epoch{number: e.number + 1}
	s.mu.hadLog = true
	s.mu.Unlock()
	if s.published.Load() != nil {
		s.publish(&head)
	}
	return nil
}

// cutMin is the least number of pages at the end of the file that are worth a
// batch of their own to be cut off.
const cutMin = 16

// finalEpoch makes the epoch that cuts off the free end of the file, if that is
// worth it.
func (s *store) finalEpoch() (*epoch, bool) {
	links := chainRoom(2, s.capacity)
	if tail, ok := s.free.tail(); !ok || tail.count < links+cutMin {
		return nil, false
	}
	e := &epoch{links: int(links)}
	e.state = tx.Snapshot{Root: s.meta.root, TxID: max(s.meta.txid, s.seen).Next()}
	e.first = e.state.TxID
	var ok bool
	if e.reserve, ok = s.free.takeLowest(links); !ok {
		return nil, false
	}
	e.tail, ok = s.free.cutTail()
	return e, ok
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
		return fmt.Errorf("mapleaf: read database: %w", f)
	}
	return nil
}
