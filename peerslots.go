package mapleaf

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// Reader slots in the lock file, for a database that shares its file with others.
// They serve as those of reader.go do, and every process scans them.

// A peerBlock is a block of the lock file that this database owns.
type peerBlock struct {
	index int
	pid   *atomic.Uint32
	slots [peerSlotCount]peerSlot
}

// A peerSlot is what a read transaction holds of a store that is shared: a word
// for this process, by which it is claimed and freed, and one for all.
type peerSlot struct {
	here         atomic.Uint64 // what txid shall be
	count        atomic.Uint64 // what begun shall be
	mirror       atomic.Bool   // it speaks for readers with slots in own memory
	table        *slotTable    // whom to tell of the end
	txid, begun  *atomic.Uint64
	since, noted *atomic.Uint64
	_            [slotSize - 24 - 5*ptrSize]byte
}

// End implements tx.Session: it empties the slot.
func (p *peerSlot) End() {
	p.show(0)
	p.drop()
}

// drop empties a slot that shows nothing.
func (p *peerSlot) drop() {
	p.table.forget(p)
	txid := p.here.Load()
	p.here.Store(0)
	if txid <= p.table.wake.Load() {
		p.table.ended()
	}
}

// set puts a newer txid into a claimed slot.
func (p *peerSlot) set(txid tx.TxID) {
	p.here.Store(uint64(txid))
	p.txid.Store(uint64(txid))
}

// unmirror empties a slot that spoke for readers in own memory.
func (p *peerSlot) unmirror() {
	p.show(0)
	p.mirror.Store(false)
	p.here.Store(0)
}

// begin counts a reader that has begun.
func (p *peerSlot) begin() {
	n := p.count.Load() + 1
	p.count.Store(n)
	p.begun.Store(n)
}

// show stores into the word for all; where the file was cut short, nobody will
// find it in any case.
func (p *peerSlot) show(txid uint64) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { recoverFault(recover()) }()
	p.txid.Store(txid)
}

// recoverFault swallows a fault in mapped memory, and nothing else.
func recoverFault(recovered any) {
	if recovered != nil && mmapfile.AsFault(recovered) == nil {
		panic(recovered)
	}
}

// claim takes a free slot of this database's blocks, for a reader of txid, which
// set shows to others. The caller has armed itself against faults.
func (l *lockFile) claim(txid tx.TxID, table *slotTable) (*peerSlot, error) {
	for {
		own := *l.own.Load()
		if n := uint32(len(own) * peerSlotCount); n > 0 {
			i := rand.Uint32N(n)
			for range min(n, 2*probeLimit) {
				s := &own[i/peerSlotCount].slots[i%peerSlotCount]
				if s.here.Load() == 0 && s.here.CompareAndSwap(0, uint64(txid)) {
					return s, nil
				}
				if i++; i == n {
					i = 0
				}
			}
		}
		if err := l.addBlock(len(own), table); err != nil {
			return nil, err
		}
	}
}

// addBlock makes one more block this database's own, unless it has more than it
// had: a free one, that of a dead process, or a new one.
func (l *lockFile) addBlock(had int, table *slotTable) error {
	l.grow.Lock()
	defer l.grow.Unlock()
	if l.closed {
		return ErrDatabaseNotOpen
	}
	own := *l.own.Load()
	if len(own) != had {
		return nil
	}
	for range blockAttempts {
		n := l.blockCount()
		if err := l.coverLocked(n); err != nil {
			return err
		}
		for i := range n {
			if l.owns(i) {
				continue
			}
			if ok, err := l.locks.Try(lockOwner+i, true); err != nil {
				return err
			} else if ok {
				own = append(slices.Clone(own), l.takeBlock(i, table))
				l.own.Store(&own)
				return nil
			}
		}
		if err := l.enlarge(n); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s: its count of blocks does not stay", ErrLockFile, l.path)
}

// blockAttempts bounds how often a block is looked for: each time there are twice as many,
// if the file is sound.
const blockAttempts = 64

// takeBlock makes the slots of block i, whose lock is held.
func (l *lockFile) takeBlock(i int, table *slotTable) *peerBlock {
	m := l.newest.Load()
	m.wipe(i)
	b := &peerBlock{index: i, pid: m.view.Uint32(lockHeadSize + i*peerBlockSize)}
	for s := range b.slots {
		at := slotAt(i, s+1)
		p := &b.slots[s]
		p.table = table
		p.txid, p.begun = m.view.Uint64(at), m.view.Uint64(at+peerSlotBegun)
		p.since, p.noted = m.view.Uint64(at+peerSlotSince), m.view.Uint64(at+peerSlotNoted)
		p.begun.Store(0)
	}
	b.pid.Store(uint32(os.Getpid()))
	return b
}

// enlarge doubles the number of blocks, unless another process has done so.
func (l *lockFile) enlarge(n int) error {
	for {
		if ok, err := l.locks.Try(lockGrow, true); err != nil {
			return err
		} else if ok {
			break
		}
		time.Sleep(time.Millisecond) // it is held for moments
	}
	err := error(nil)
	if l.blockCount() == n {
		want := max(2*n, lockBlocksNew) // of a file that was cut there may be none left
		if want > lockBlocksMax {
			err = fmt.Errorf("mapleaf: %d blocks of reader slots are in use", n)
		} else if err = l.mapBlocks(want); err == nil {
			l.blocks.Store(uint32(want))
		}
	}
	if unlock := l.locks.Unlock(lockGrow); err == nil {
		err = unlock
	}
	return err
}

// ownLive appends the txids in the slots of this database to buf. It reads the
// words of this process alone, which are there also without the file.
func (l *lockFile) ownLive(buf []tx.TxID) []tx.TxID {
	for _, b := range *l.own.Load() {
		for i := range b.slots {
			if id := b.slots[i].here.Load(); id != 0 {
				buf = append(buf, tx.TxID(id))
			}
		}
	}
	return buf
}

// ownCounts is slotTable.counts for the slots of this database.
func (l *lockFile) ownCounts() (begun uint64, open int) {
	for _, b := range *l.own.Load() {
		for i := range b.slots {
			begun += b.slots[i].count.Load()
			if b.slots[i].here.Load() != 0 && !b.slots[i].mirror.Load() {
				open++
			}
		}
	}
	return begun, open
}

// leave empties the blocks of this database, before its locks go.
func (l *lockFile) leave() error {
	return l.touch(func() error {
		for _, b := range *l.own.Load() {
			l.newest.Load().wipe(b.index)
		}
		return nil
	})
}
