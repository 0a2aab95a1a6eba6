package mapleaf

import (
	"runtime"
	"sync"
	"time"

	"github.com/mapleafdb/mapleaf/internal/invariant"
	"github.com/mapleafdb/mapleaf/tx"
)

// Read transactions that stay open for long keep pages from being used again. To
// begin one must cost nothing, so nobody notes the time; instead somebody looks at
// the slots from time to time, and remembers when it saw a transaction first.
//
// Invariants:
//
//	X1 The age of a transaction is counted from the first look that found it, and
//	   so is never more than its true one.
//	X2 OnLongRead is called once for a transaction, and with no lock held.

// A LongRead is a read transaction that is open for longer than Options.MaxReadAge.
type LongRead struct {
	TxID  int           // the state that it sees
	Age   time.Duration // at least
	Stack string        // where it was begun; empty without the build tag invariants
}

// A readAge is what is remembered of a slot.
type readAge struct {
	txid, begun uint64
	first       time.Time
	told        bool
}

// readAges are the ages of a database's read transactions.
type readAges struct {
	mu struct {
		sync.Mutex
		slots map[tx.Session]readAge
		long  int // transactions that were told of
	}
}

// look goes over the slots, and returns those that have become older than max, if
// that is not zero.
func (s *store) look(max time.Duration) (long []LongRead) {
	a, now := &s.ages, time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := make(map[tx.Session]readAge)
	s.eachReader(func(slot tx.Session, txid, begun uint64) {
		age, ok := a.mu.slots[slot]
		if !ok || age.txid != txid || age.begun != begun {
			age = readAge{txid: txid, begun: begun, first: now}
		}
		if open := now.Sub(age.first); max > 0 && open >= max && !age.told {
			age.told = true
			a.mu.long++
			long = append(long, LongRead{int(txid), open, s.slots.stack(slot)})
		}
		seen[slot] = age
	})
	a.mu.slots = seen
	return long
}

// eachReader calls fn for every slot of this process with a read transaction.
func (s *store) eachReader(fn func(slot tx.Session, txid, begun uint64)) {
	for _, b := range *s.slots.blocks.Load() {
		for i := range b {
			if txid := b[i].txid.Load(); txid != 0 {
				fn(&b[i], txid, b[i].begun.Load())
			}
		}
	}
	if p := s.peers; p != nil {
		for _, b := range *p.lf.Load().own.Load() {
			for i := range b.slots {
				if sl := &b.slots[i]; sl.here.Load() != 0 && !sl.mirror.Load() {
					fn(sl, sl.here.Load(), sl.count.Load())
				}
			}
		}
	}
}

// since returns when a reader of txid in own memory was seen first.
func (a *readAges) since(txid tx.TxID) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := time.Now()
	for _, age := range a.mu.slots {
		if tx.TxID(age.txid) == txid && age.first.Before(first) {
			first = age.first
		}
	}
	return first
}

// sinceIn returns when the reader in a slot was seen first.
func (a *readAges) sinceIn(slot tx.Session) (first time.Time, begun uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	age, ok := a.mu.slots[slot]
	return age.first, age.begun, ok
}

// The intervals at which the slots are looked at for Options.MaxReadAge.
const (
	readLookMin = time.Millisecond
	readLookMax = time.Second
)

// watchReaders tells of long transactions until Close.
func (s *store) watchReaders() {
	maxAge := s.opts.MaxReadAge
	ticks := time.NewTicker(min(max(maxAge/4, readLookMin), readLookMax))
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-s.closing:
			return
		}
		for _, l := range s.look(maxAge) {
			if s.opts.OnLongRead != nil {
				s.opts.OnLongRead(l)
			}
		}
	}
}

// longReads returns how many transactions were told of.
func (a *readAges) longReads() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.long
}

// stackMax bounds a stack that is kept, in bytes.
const stackMax = 4096

// note keeps the stack of a transaction that begins, under the build tag invariants.
func (t *slotTable) note(slot tx.Session) {
	if invariant.Enabled {
		buf := make([]byte, stackMax)
		t.stacks.Store(slot, string(buf[:runtime.Stack(buf, false)]))
	}
}

// forget drops what note has kept.
func (t *slotTable) forget(slot tx.Session) {
	if invariant.Enabled {
		t.stacks.Delete(slot)
	}
}

// stack returns what note has kept.
func (t *slotTable) stack(slot tx.Session) string {
	stack, _ := t.stacks.Load(slot)
	text, _ := stack.(string)
	return text
}
