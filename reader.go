package mapleaf

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mapleafdb/mapleaf/tx"
)

// Reader slots: who reads which state. A read transaction takes no lock and
// shares no counter with others; it puts its txid into a slot on a cache line of
// its own and takes it out at the end. Writers scan the slots to learn which
// freed pages and old mappings nobody needs.
//
// To begin: load the published snapshot, claim a free slot with its txid by one
// compare-and-swap, and load the published snapshot again. If it is still the
// same, every scan that begins after another one is published finds the slot;
// if not, store the newer txid and look again. A slow reader may hold a txid that
// is too old for a moment, which holds pages back and hurts nobody.
//
// Invariants:
//
//	R1 A slot holds a txid from before its owner touches the snapshot until
//	   after it has forgotten every slice into it.
//	R2 A scan counts for pages and mappings that were given up by states
//	   published before the scan began, and for no others.
//	R3 The number of slots grows while they are in use and never shrinks; a
//	   slot never moves. There is no largest number of readers.
//	R4 Who ends a transaction looks at wake after emptying its slot, and who
//	   wants to be told sets wake before scanning: one of the two sees the other.

// slotSize keeps the owners of neighbouring slots off each other's cache lines,
// also where the processor fetches lines in pairs.
const slotSize = 128

// A slot belongs to at most one transaction at a time. It is what a read
// transaction holds of the store.
type slot struct {
	txid  atomic.Uint64 // 0 = free
	begun atomic.Uint64 // transactions so far; written by the owner alone
	table *slotTable
	_     [slotSize - 16 - ptrSize]byte
}

const ptrSize = 4 << (^uintptr(0) >> 63)

const (
	blockSlots = 64 // slots in a block
	probeLimit = 32 // slots that a beginning reader tries before it adds more
)

type slotBlock [blockSlots]slot

// A slotTable is all the slots of a database. Its zero value needs init.
type slotTable struct {
	blocks atomic.Pointer[[]*slotBlock] // their number is a power of two
	writer slot                         // of the write transaction
	wake   atomic.Uint64                // the end of a reader up to this txid is waited for,
	wants  struct {                     // by the one who wants most
		sync.Mutex
		upTo [wakers]uint64
	}
	ended  func()   // called by such a reader, after its end
	count  bool     // count transactions
	stacks sync.Map // of open transactions, under the tag invariants

	grow struct {
		sync.Mutex
	}
}

// Those who wait for the end of readers.
const (
	wakeMappings = iota // that are old
	wakeMirror          // in the lock file, of slots in own memory
	wakeClose
	wakers
)

// await says up to which txid who wants to hear of ends. It comes before the scan
// that tells who is left.
func (t *slotTable) await(who int, upTo uint64) {
	t.wants.Lock()
	defer t.wants.Unlock()
	t.wants.upTo[who] = upTo
	t.wake.Store(slices.Max(t.wants.upTo[:]))
}

// init prepares the table. ended is called, on the goroutine of a transaction
// that has ended, when somebody waits for it.
func (t *slotTable) init(count bool, ended func()) {
	t.count, t.ended = count, ended
	t.writer.table = t
	blocks := []*slotBlock{t.block()}
	t.blocks.Store(&blocks)
}

func (t *slotTable) block() *slotBlock {
	b := new(slotBlock)
	for i := range b {
		b[i].table = t
	}
	return b
}

// claim takes a free slot and puts txid into it.
func (t *slotTable) claim(txid tx.TxID) *slot {
	for {
		blocks := t.blocks.Load()
		mask := uint32(len(*blocks)*blockSlots - 1)
		i := rand.Uint32()
		for range probeLimit {
			s := &(*blocks)[i&mask/blockSlots][i%blockSlots]
			if s.txid.Load() == 0 && s.txid.CompareAndSwap(0, uint64(txid)) {
				return s
			}
			i++
		}
		t.double(blocks)
	}
}

// double adds as many blocks as there are, unless somebody else just did.
func (t *slotTable) double(seen *[]*slotBlock) {
	t.grow.Lock()
	defer t.grow.Unlock()
	if t.blocks.Load() != seen {
		return
	}
	blocks := slices.Clone(*seen)
	for range *seen {
		blocks = append(blocks, t.block())
	}
	t.blocks.Store(&blocks)
}

// End implements tx.Session: it empties the slot.
func (s *slot) End() {
	t := s.table
	t.forget(s)
	txid := s.txid.Load()
	s.txid.Store(0)
	if txid <= t.wake.Load() {
		t.ended()
	}
}

// live appends the txids in all slots to buf, ascending and each once.
func (t *slotTable) live(buf []tx.TxID) []tx.TxID {
	if id := t.writer.txid.Load(); id != 0 {
		buf = append(buf, tx.TxID(id))
	}
	for _, b := range *t.blocks.Load() {
		for i := range b {
			if id := b[i].txid.Load(); id != 0 {
				buf = append(buf, tx.TxID(id))
			}
		}
	}
	slices.Sort(buf)
	return slices.Compact(buf)
}

// counts returns how many read transactions have begun and how many are open.
func (t *slotTable) counts() (begun uint64, open int) {
	for _, b := range *t.blocks.Load() {
		for i := range b {
			begun += b[i].begun.Load()
			if b[i].txid.Load() != 0 {
				open++
			}
		}
	}
	return begun, open
}

// beginRead claims a slot for the published snapshot: one in own memory, unless the
// file is shared.
func (s *store) beginRead() (*tx.Snapshot, tx.Session, error) {
	if !s.alone() {
		return s.beginShared(s.peers)
	}
	return s.beginAlone()
}

// beginAlone is beginRead for a store that found itself alone. Once the slot is
// claimed it looks at that again (H2).
func (s *store) beginAlone() (*tx.Snapshot, tx.Session, error) {
	snap := s.published.Load()
	if snap == nil {
		return nil, nil, ErrDatabaseNotOpen
	}
	sl := s.slots.claim(snap.TxID)
	if s.published.Load() != snap || !s.alone() {
		sl.End()
		return s.beginRead()
	}
	if s.slots.count {
		sl.begun.Store(sl.begun.Load() + 1)
	}
	s.slots.note(sl)
	return snap, sl, nil
}

// waitIdle returns when no slot is in use. New transactions must be refused
// already.
func (s *store) waitIdle() {
	s.slots.await(wakeClose, math.MaxUint64)
	for len(s.liveHere(nil)) > 0 {
		<-s.idle
	}
}
