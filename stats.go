package mapleaf

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// Stats are counters of a database since it was opened, by this process. Where
// others write, too, the free space is that of the last turn of this one.
type Stats struct {
	// TxStats are the sums over all write transactions. It comes first so that
	// its counters are aligned for atomic use on 32-bit systems.
	TxStats TxStats

	FreePageN     int // pages that can be given out
	PendingPageN  int // pages that were freed and may still be read by somebody
	FreeAlloc     int // bytes in free and pending pages
	FreelistInuse int // bytes of the pages that store the free space

	TxN     int // read transactions that were begun
	OpenTxN int // read transactions that are open

	LongReadN int // read transactions that became older than Options.MaxReadAge
}

// Sub returns the difference to an earlier reading: counters are subtracted,
// what describes a state is that of s.
func (s *Stats) Sub(other *Stats) Stats {
	if other == nil {
		return *s
	}
	diff := *s
	diff.TxN -= other.TxN
	diff.LongReadN -= other.LongReadN
	diff.TxStats = s.TxStats.Sub(&other.TxStats)
	return diff
}

// counters collects what the store counts by itself.
type counters struct {
	mu struct {
		sync.Mutex
		tx tx.TxStats
	}
	links atomic.Int64 // pages of the chain
	off   bool
}

// wrote counts the calls that wrote a batch, and their time.
func (c *counters) wrote(calls int64, took time.Duration) {
	if c.off {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.tx.IncWrite(calls)
	c.mu.tx.IncWriteTime(took)
}

// Ended implements tx.Host.
func (s *store) Ended(stats *tx.TxStats) {
	if s.stats.off {
		return
	}
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	s.stats.mu.tx.Add(stats)
}

// readStats returns the counters as they are now.
func (s *store) readStats() Stats {
	var st Stats
	if s.stats.off {
		return st
	}
	s.stats.mu.Lock()
	st.TxStats = s.stats.mu.tx.Copy()
	s.stats.mu.Unlock()
	begun, open := s.slots.counts()
	if p := s.peers; p != nil {
		b, o := p.lf.Load().ownCounts()
		begun, open = begun+b, open+o
	}
	st.TxN, st.OpenTxN = int(begun), open
	st.LongReadN = s.ages.longReads()
	if s.loadShared() != nil {
		return st // the chain of a read-only database is damaged: Check tells
	}
	s.mu.Lock()
	waiting := s.waiting()
	s.mu.Unlock()
	s.free.mu.Lock()
	st.FreePageN = int(s.free.mu.pages)
	st.PendingPageN = int(s.free.mu.waiting + waiting)
	s.free.mu.Unlock()
	st.FreeAlloc = (st.FreePageN + st.PendingPageN) << s.shift
	st.FreelistInuse = int(s.stats.links.Load()) << s.shift
	return st
}

// waiting returns how many pages were freed by epochs that are not in the file yet. The
// caller holds mu.
func (s *store) waiting() uint64 {
	n := s.mu.epoch.waiting()
	before := s.mu.epoch
	for _, b := range append([]*batch{s.mu.sealing}, s.mu.queue...) {
		if b != nil && b.epoch != nil && b.epoch != before {
			n += b.epoch.waiting()
			before = b.epoch
		}
	}
	return n
}
