package mapleaf

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// The file in memory. A mapping reaches far beyond the end of the file where the
// system allows it, so that growth rarely needs another; where it does, the new
// one is made beside the old one and no reader notices.
//
// Invariants:
//
//	V1 A mapping outlives every transaction that can see it: it goes when it is
//	   neither the newest nor the published one, no slot holds a txid up to the
//	   last that it served, and nobody has pinned it: write transactions do until
//	   they have returned, since they give up their slots earlier, and whoever
//	   writes its tables.
//	V2 The newest mapping covers the high-water mark of every state that has
//	   been committed.
//	V3 Only who holds the writer lock makes a mapping the newest, or who follows
//	   another process that does (H5).

// The address space that a mapping takes: twice what is needed, but at least
// this, so that small databases do not map again and again.
const (
	is64Bit        = math.MaxInt>>32 != 0
	reserve64      = 64 << 20
	reserve32      = 1 << 20
	doubleUpTo32   = 256 << 20 // above this, 32-bit systems map in steps of this
	addressLimit32 = math.MaxInt32
)

// A mapping is one view of the file, with what is known about its pages.
type mapping struct {
	section *mmapfile.Mapping
	view    *mmapfile.View
	data    []byte
	tables  *mmapfile.PrivateMemory // of the two that follow; nil if the Go heap has them
	nodes   []atomic.Uint32         // by page: stamp under which it was verified as a node
	extents []atomic.Uint64         // by first page: the same for extents, and their length
	last    tx.TxID                 // the last txid that it served, once there is a newer one
	locked  int                     // bytes locked into memory
	pins    int                     // those who need it besides the readers; under maps.mu
}

// liveMappings counts the mappings of all databases of the process.
var liveMappings atomic.Int64

// mappings are those of one database.
type mappings struct {
	mu struct {
		sync.Mutex
		newest    *mapping
		published *mapping
		old       []*mapping // all others
		closed    bool       // nothing is published any more
	}
}

// reservation returns how many bytes of address space to map for need bytes.
func reservation(need int64, least int) int64 {
	if is64Bit {
		return max(2*need, reserve64, int64(least))
	}
	if need > doubleUpTo32 {
		return min(need+doubleUpTo32, addressLimit32)
	}
	return min(max(2*need, reserve32, int64(least)), addressLimit32)
}

// mapFile maps at least need bytes, and as much beyond as the system lets it.
func (s *store) mapFile(need int64) (*mapping, error) {
	if !is64Bit && need > addressLimit32 {
		return nil, fmt.Errorf("%w: %d bytes: %w", ErrInvalidMapping, need,
			mmapfile.ErrTooLarge)
	}
	want := reservation(need, s.opts.InitialMmapSize)
	if s.opts.ReadOnly && s.peers == nil {
		want = need
	}
	m, err := s.mapBytes(want)
	if err != nil && want > need {
		m, err = s.mapBytes(need)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidMapping, err)
	}
	if int64(len(m.data)) < need {
		return nil, errors.Join(fmt.Errorf("%w: got %d of %d bytes", ErrInvalidMapping,
			len(m.data), need), m.close())
	}
	return m, nil
}

func (s *store) mapBytes(size int64) (m *mapping, err error) {
	section, err := s.mf.Map(mmapfile.MapOptions{
		Protection: mmapfile.ProtRead,
		Size:       size,
		Reserve:    !s.opts.ReadOnly || s.peers != nil,
	})
	if err != nil {
		return nil, err
	}
	view, err := section.View(mmapfile.Read, 0, 0)
	if err != nil {
		return nil, errors.Join(err, section.Close())
	}
	data := view.Bytes()
	m = &mapping{section: section, view: view, data: data[:len(data):len(data)]}
	liveMappings.Add(1)
	if err := m.makeTables(len(data) >> s.shift); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// heapPages is for how many pages the tables may take memory of the Go heap. That is
// zeroed at each opening, and ends the process when there is not enough; what else is
// mapped costs only where it is touched: with the tables of a file of 267 MB on the heap,
// opening it and a first get take 2.5 times as long; those of a sparse file of terabytes
// have gigabytes.
const heapPages = 1 << 12

func (m *mapping) makeTables(pages int) (err error) {
	if pages <= heapPages {
		m.nodes, m.extents = make([]atomic.Uint32, pages), make([]atomic.Uint64, pages)
		return nil
	}
	if m.tables, err = mmapfile.NewSparseMemory(12 * pages); err != nil {
		return err
	}
	b := m.tables.Bytes()
	m.extents, m.nodes = mmapfile.Uint64s(b[:8*pages]), mmapfile.Uint32s(b[8*pages:])
	return nil
}

// close unmaps.
func (m *mapping) close() error {
	liveMappings.Add(-1)
	m.data, m.nodes, m.extents = nil, nil, nil
	var err error
	if m.tables != nil {
		err = m.tables.Free()
	}
	return errors.Join(err, m.view.Close(), m.section.Close())
}

// lock keeps the first size bytes in memory.
func (m *mapping) lock(size int64) error {
	if int(size) <= m.locked {
		return nil
	}
	if err := m.view.Lock(m.locked, int(size)-m.locked); err != nil {
		return fmt.Errorf("mapleaf: lock database in memory: %w", err)
	}
	m.locked = int(size)
	return nil
}

// inherit copies what an older mapping knows about the pages. What is marked
// there meanwhile gets lost, and is verified again.
func (m *mapping) inherit(old *mapping) {
	for i := range old.nodes {
		if stamp := old.nodes[i].Load(); stamp != 0 { // else nothing is touched
			m.nodes[i].Store(stamp)
		}
		if mark := old.extents[i].Load(); mark != 0 {
			m.extents[i].Store(mark)
		}
	}
}

// newestMapping returns the mapping for states to come.
func (s *store) newestMapping() *mapping {
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	return s.maps.mu.newest
}

// pinNewest returns the newest mapping and keeps it until unpin.
func (s *store) pinNewest() *mapping {
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	m := s.maps.mu.newest
	m.pins++
	return m
}

// unpin lets a mapping go, which may have been the last reason to keep it.
func (s *store) unpin(m *mapping) {
	s.maps.mu.Lock()
	m.pins--
	replaced := m.pins == 0 && m != s.maps.mu.newest
	s.maps.mu.Unlock()
	if replaced {
		s.unmapOld()
	}
}

// mappedAt returns the address of the newest mapping, 0 after Close.
func (s *store) mappedAt() uintptr {
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	if s.maps.mu.newest == nil {
		return 0
	}
	return reflect.ValueOf(s.maps.mu.newest.data).Pointer()
}

// cover makes sure that the newest mapping has at least size bytes, all of which
// are in the file. base is the txid of the state that the caller's transaction
// stands on. The caller holds the writer lock.
func (s *store) cover(size int64, base tx.TxID) error {
	old := s.newestMapping()
	if int64(len(old.data)) < size {
		m, err := s.mapFile(size)
		if err != nil {
			return err
		}
		m.inherit(old)
		s.maps.mu.Lock()
		old.last = max(old.last, base)
		s.maps.mu.old = append(s.maps.mu.old, old)
		s.maps.mu.newest = m
		s.maps.mu.Unlock()
		s.unmapOld()
		old = m
	}
	if s.db.Mlock {
		return old.lock(size)
	}
	return nil
}

// publish makes snap what new readers see, on the newest mapping, and gives back
// mappings that nobody needs any more. Once Close was called it does nothing: who
// follows another process may be on the way when Close comes.
func (s *store) publish(snap *tx.Snapshot) {
	s.maps.mu.Lock()
	if s.maps.mu.closed {
		s.maps.mu.Unlock()
		return
	}
	m := s.maps.mu.newest
	snap.Data, snap.Nodes, snap.Extents = m.data, m.nodes, m.extents
	before := s.published.Swap(snap)
	if p := s.maps.mu.published; p != nil && before != nil {
		p.last = max(p.last, before.TxID)
	}
	s.maps.mu.published = m
	waiting := len(s.maps.mu.old) > 0
	s.maps.mu.Unlock()
	if waiting {
		s.unmapOld()
	}
}

// unpublish lets no reader begin any more.
func (s *store) unpublish() {
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	s.maps.mu.closed = true
	s.published.Store(nil)
}

// unmapOld closes the mappings that no transaction can see, and asks to be
// called again when the others may have become so.
func (s *store) unmapOld() {
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	var last tx.TxID
	for _, m := range s.maps.mu.old {
		last = max(last, m.last)
	}
	s.slots.await(wakeMappings, uint64(last))
	live := s.liveHere(nil)
	kept := s.maps.mu.old[:0]
	for _, m := range s.maps.mu.old {
		if m == s.maps.mu.published || m.pins > 0 || len(live) > 0 && live[0] <= m.last {
			kept = append(kept, m)
			continue
		}
		if err := m.close(); err != nil {
			s.opts.Logger.Errorf("mapleaf: unmap %s: %v", s.path, err)
		}
	}
	clear(s.maps.mu.old[len(kept):])
	s.maps.mu.old = kept
	if len(kept) == 0 {
		s.slots.await(wakeMappings, 0)
	}
}

// readerEnded is called when a transaction has ended for which somebody waits:
// an old mapping, or Close.
func (s *store) readerEnded() {
	s.peers.readerEnded() // first: it holds a mapping as the reader did
	s.unmapOld()
	select {
	case s.idle <- struct{}{}:
	default: // Close is told already
	}
}

// unmapAll closes every mapping. No transaction is open.
func (s *store) unmapAll() error {
	s.maps.mu.Lock()
	defer s.maps.mu.Unlock()
	var err error
	for _, m := range s.maps.mu.old {
		err = errors.Join(err, m.close())
	}
	if m := s.maps.mu.newest; m != nil {
		err = errors.Join(err, m.close())
	}
	s.maps.mu.old, s.maps.mu.newest, s.maps.mu.published = nil, nil, nil
	return err
}
