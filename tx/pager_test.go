package tx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync/atomic"
	"testing"
)

// A memStore is a store in memory for the tests of this package: an image of
// pages with small frames, and the state that was committed last.
type memStore struct {
	t     testing.TB
	state Snapshot
	used  map[PageID]uint32 // extents in use: first page to count
	next  PageID
	// resident keeps committed pages in the overlay instead of the image.
	resident bool
	// everyEpoch is the number of resident transactions between checkpoints that
	// begin, and never end; 0 = none.
	everyEpoch uint64
	follower   *memStore // replays the operations of every transaction
	dropped    bool      // some transaction had too many operations for that
	spillLimit int64     // bytes that a transaction may have in memory
	spillErr   error     // of BeginSpill
	landErr    error     // of EndSpill
	allocMax   int       // allocations that succeed before Alloc fails; 0 = all
	below      PageID    // new pages come from the lowest free ones below it first
	hostile    bool      // the pages lead to one another in ways that free them twice
}

const memFirstPage = 3

func newMemStore(t testing.TB, shift uint8) *memStore {
	s := &memStore{t: t, used: map[PageID]uint32{}, next: memFirstPage}
	s.state = Snapshot{Shift: shift, TxID: 1, HWM: memFirstPage, Source: s}
	return s
}

func (s *memStore) Verify(sn *Snapshot, ref Ref, kind Kind) (uint32, error) {
	at := int(ref.ID) << sn.Shift
	if younger(ref.Stamp, sn.Written.Stamp()) {
		return 0, Corrupt(ref.ID, "is younger than the file: %d", ref.Stamp)
	}
	if ref.ID >= sn.HWM || at+HeaderSize > len(sn.Data) {
		return 0, Corrupt(ref.ID, "is outside the file")
	}
	h := sn.Data[at:]
	if binary.LittleEndian.Uint32(h) != uint32(ref.ID) || u32(h[4:]) != ref.Stamp ||
		Kind(h[12]) != kind {
		return 0, Corrupt(ref.ID, "is another page: %x", h[:13])
	}
	return u32(h[8:]), nil
}

func (s *memStore) begin() *Tx {
	p := &memPager{store: s, id: s.state.TxID.Next(), own: map[PageID]uint32{}}
	t := NewWriter(s.state, s, p)
	p.snap = SnapshotOf(t)
	return t
}

func (s *memStore) read() *Tx {
	state := s.state
	return NewReader(&state, s, memSession{})
}

type memSession struct{}

func (memSession) End() {}

func (s *memStore) update(fn func(t *Tx) error) {
	s.t.Helper()
	t := s.begin()
	if err := fn(t); err != nil {
		s.t.Fatal(err)
	}
	if err := t.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// check fails the test if the state is inconsistent or loses pages.
func (s *memStore) check() {
	s.t.Helper()
	t := s.read()
	for err := range t.Check() {
		s.t.Error(err)
	}
	if err := t.Rollback(); err != nil {
		s.t.Error(err)
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (s *memStore) Path() string { return "memory" }
func (s *memStore) WriteTo(*Tx, io.Writer) (int64, error) {
	return 0, errors.ErrUnsupported
}
func (s *memStore) CopyFile(*Tx, string, fs.FileMode) error { return errors.ErrUnsupported }
func (s *memStore) PageInfo(*Tx, PageID) (*PageInfo, error) { return nil, nil }
func (s *memStore) Fault(any) error                         { return nil }
func (s *memStore) Ended(*TxStats)                          {}

func (s *memStore) CheckSpace(t *Tx, reached []uint64, report func(error)) {
	in := make(map[PageID]bool)
	for id, count := range s.used {
		for i := range PageID(count) {
			in[id+i] = true
		}
	}
	for id := PageID(memFirstPage); id < t.snap.HWM; id++ {
		if got := reached[id/64]>>(id%64)&1 != 0; got != in[id] {
			report(fmt.Errorf("page %d: reached %v, allocated %v", id, got, in[id]))
		}
	}
}

// A memPager is the Pager of one write transaction on a memStore.
type memPager struct {
	store *memStore
	id    TxID
	snap  *Snapshot // the transaction's own
	own   map[PageID]uint32
	freed []PageID
	count int

	spilled  []PageID
	spilling map[*Page][]byte // their bytes when that began
}

func (p *memPager) TxID() TxID { return p.id }

var errNoRoom = errors.New("no room")

func (p *memPager) Alloc(kind Kind, count uint32) (*Page, error) {
	p.count++
	if p.store.allocMax > 0 && p.count > p.store.allocMax {
		return nil, errNoRoom
	}
	id, ok := p.low(count)
	if !ok {
		id = p.store.next
		p.store.next += PageID(count)
	}
	p.snap.HWM = max(p.snap.HWM, p.store.next)
	p.own[id] = count
	buf := make([]byte, int(count)<<p.store.state.Shift)
	for i := range buf {
		buf[i] = 0xa5 // a body is not zeroed
	}
	return &Page{Buf: buf, ID: id, Stamp: p.id.Stamp(), Kind: kind}, nil
}

// low returns the lowest extent of count pages that is free, if it lies below
// memStore.below.
func (p *memPager) low(count uint32) (PageID, bool) {
	in := make(map[PageID]bool)
	for _, used := range []map[PageID]uint32{p.store.used, p.own} {
		for id, n := range used {
			for i := range PageID(n) {
				in[id+i] = true
			}
		}
	}
	for id, run := PageID(memFirstPage), uint32(0); id < p.store.below; id++ {
		if run++; in[id] {
			run = 0
		}
		if run == count {
			return id + 1 - PageID(count), true
		}
	}
	return 0, false
}

func (p *memPager) Renew(ref Ref, page *Page) *Page {
	if page == nil {
		if _, ok := p.own[ref.ID]; !ok || ref.Stamp != p.id.Stamp() {
			p.store.t.Errorf("page %v was not spilled", ref)
		}
		return &Page{Buf: p.Scratch(), ID: ref.ID, Stamp: ref.Stamp, Kind: KindNode}
	}
	if page.Owner == p.id || page.Epoch != p.store.state.Epoch {
		p.store.t.Errorf("page %v of epoch %d is replaced by transaction %d of epoch %d",
			page.Ref(), page.Epoch, p.id, p.store.state.Epoch)
	}
	return &Page{Buf: p.Scratch(), ID: page.ID, Stamp: page.Stamp, Kind: page.Kind}
}

func (p *memPager) Free(ref Ref, count uint32, page *Page) {
	if c, ok := p.own[ref.ID]; ok {
		if c != count || page == nil && !slices.Contains(p.spilled, ref.ID) {
			p.store.t.Errorf("free of own extent %v: %d pages, want %d", ref, count, c)
		}
		delete(p.own, ref.ID)
		return
	}
	if c := p.store.used[ref.ID]; p.store.hostile {
		return
	} else if c != count || slices.Contains(p.freed, ref.ID) {
		p.store.t.Errorf("free of extent %v: %d pages, want %d", ref, count, c)
	}
	p.freed = append(p.freed, ref.ID)
}

func (p *memPager) Scratch() []byte { return make([]byte, 1<<p.store.state.Shift) }

func (p *memPager) Recycle(buf []byte) {
	for i := range buf {
		buf[i] = 0x5a // whoever still looks here finds out
	}
}

func (p *memPager) Drop([]byte) {}

func (p *memPager) SpillLimit() int64 { return p.store.spillLimit }

// Spill writes into a new image: what was handed out of the old one must not be seen
// to change by chance only.
func (p *memPager) Spill(sn *Snapshot, pages []*Page) error {
	s := p.store
	data := make([]byte, max(int(s.next)<<sn.Shift, len(sn.Data)))
	copy(data, sn.Data)
	nodes, extents := sn.Nodes, sn.Extents
	sn.Nodes = make([]atomic.Uint32, s.next)
	sn.Extents = make([]atomic.Uint64, s.next)
	for i := range nodes {
		sn.Nodes[i].Store(nodes[i].Load())
		sn.Extents[i].Store(extents[i].Load())
	}
	sn.Data, sn.HWM = data, s.next
	for _, page := range pages {
		count := uint32(len(page.Buf) >> sn.Shift)
		if page.Stamp != p.id.Stamp() || p.own[page.ID] != count {
			s.t.Errorf("page %v of %d pages is spilled", page.Ref(), count)
		}
		s.frame(data, page, sn.Overlay)
		if page.Kind == KindNode {
			sn.MarkNode(page.Ref())
		} else {
			sn.MarkExtent(page.Ref(), count)
		}
		p.spilled = append(p.spilled, page.ID)
	}
	return nil
}

// BeginSpill notes what is to be written, and EndSpill that nobody has changed it.
func (p *memPager) BeginSpill(_ *Snapshot, pages []*Page) error {
	if p.spilling != nil {
		p.store.t.Error("a second spill begins before the first ends")
	}
	p.spilling = make(map[*Page][]byte, len(pages))
	for _, page := range pages {
		p.spilling[page] = bytes.Clone(page.Body())
	}
	return p.store.spillErr
}

func (p *memPager) EndSpill(sn *Snapshot, pages []*Page) error {
	for page, body := range p.spilling {
		if !bytes.Equal(page.Body(), body) {
			p.store.t.Errorf("page %v was changed while it was written", page.Ref())
		}
	}
	p.spilling = nil
	if p.store.landErr != nil {
		return p.store.landErr
	}
	if err := p.Spill(sn, pages); err != nil {
		return err
	}
	for _, page := range pages {
		p.Recycle(page.Buf)
	}
	return nil
}

// frame writes a page into an image.
func (s *memStore) frame(data []byte, page *Page, overlay Overlay) {
	page = page.Counted(&overlay, nil)
	binary.LittleEndian.PutUint32(page.Buf, uint32(page.ID))
	setU32(page.Buf[4:], page.Stamp)
	setU32(page.Buf[8:], uint32(len(page.Buf)>>s.state.Shift))
	page.Buf[12] = byte(page.Kind)
	copy(data[int(page.ID)<<s.state.Shift:], page.Buf)
}

func (p *memPager) Rollback() {}

func (p *memPager) Log() ([]byte, int) {
	if p.store.follower == nil {
		return nil, 0
	}
	return nil, opsMax
}

func (p *memPager) Commit(sn *Snapshot, changed bool, ops []byte) error {
	s := p.store
	if !changed {
		return nil
	}
	if s.follower != nil {
		s.follow(ops)
	}
	for _, id := range p.freed {
		delete(s.used, id)
	}
	for id, count := range p.own {
		s.used[id] = count
	}
	sn.HWM = s.next
	state := *sn
	state.Epoch = s.state.Epoch
	if s.everyEpoch > 0 && uint64(p.id)%s.everyEpoch == 0 {
		state.Epoch++
	}
	if !s.resident || len(p.spilled) > 0 {
		data := make([]byte, int(s.next)<<s.state.Shift)
		copy(data, sn.Data)
		for id := range s.used {
			if page := sn.Overlay.Get(id); page != nil {
				s.frame(data, page, sn.Overlay)
			}
		}
		state.Data, state.Overlay = data, Overlay{}
		state.Nodes = make([]atomic.Uint32, s.next)
		state.Extents = make([]atomic.Uint64, s.next)
		state.Written, state.Epoch = sn.TxID, uint64(sn.TxID)
	}
	s.state = state
	return nil
}
