package mapleaf

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// A Process is one that has the database open, as DB.Processes finds it.
type Process struct {
	PID     int      // as the process itself sees it, which differs in a container
	Self    bool     // it is this one
	Writer  bool     // it holds the writer lock now, perhaps without using it
	Readers []Reader // its read transactions, the oldest state first
}

// A Reader is a read transaction, or several of one process that see the same state.
type Reader struct {
	TxID  int           // the state that it sees
	Lag   int           // how many transactions later the newest state is
	Age   time.Duration // at least; below a second or two it is zero
	Pages int           // pages that were freed since, and that it still sees
}

// Processes lists who has the database open, with what they read. It tells of
// itself alone if it was opened with Exclusive, or reads where it may not write;
// of others of that kind it does not know.
func (db *DB) Processes() ([]Process, error) {
	s := db.store
	if s == nil || s.published.Load() == nil {
		return nil, ErrDatabaseNotOpen
	}
	var all []Process
	err := s.steady(context.Background(), func() (err error) {
		all, err = s.processes()
		return err
	})
	return all, err
}

// processes does the work of Processes, while the free space is that of the newest
// state.
func (s *store) processes() ([]Process, error) {
	self := Process{PID: os.Getpid(), Self: true}
	all := []Process{self}
	if s.alone() {
		s.eachReader(func(slot tx.Session, txid, _ uint64) {
			first, _, ok := s.ages.sinceIn(slot)
			all[0].add(txid, first, ok)
		})
		all[0].Writer = !s.opts.ReadOnly
	} else if err := s.peers.lf.Load().processes(&all); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range all {
		readers := all[i].Readers
		slices.SortFunc(readers, func(a, b Reader) int { return cmp.Compare(a.TxID, b.TxID) })
		for j := range readers {
			r := &readers[j]
			r.Lag = int(s.meta.txid) - r.TxID
			r.Pages = s.chain.seenBy(tx.TxID(r.TxID))
		}
	}
	return all, nil
}

// add notes a reader that was there at first, if that is known.
func (p *Process) add(txid uint64, first time.Time, known bool) {
	age := time.Duration(0)
	if known {
		age = max(time.Since(first), 0)
	}
	for i := range p.Readers {
		if r := &p.Readers[i]; r.TxID == int(txid) {
			r.Age = max(r.Age, age)
			return
		}
	}
	p.Readers = append(p.Readers, Reader{TxID: int(txid), Age: age})
}

// processes adds what the blocks of all processes say, to a list that begins with
// this one.
func (l *lockFile) processes(all *[]Process) error {
	return l.touch(func() error {
		if err := l.cover(); err != nil {
			return err
		}
		m, writer := l.newest.Load(), int(l.writerPid.Load())
		for i := range m.blocks {
			pid := int(m.view.Uint32(lockHeadSize + i*peerBlockSize).Load())
			if pid == 0 {
				continue
			}
			if !l.owns(i) {
				if dead, err := l.bury(i); err != nil {
					return err
				} else if dead {
					continue
				}
			}
			at := slices.IndexFunc(*all, func(p Process) bool { return p.PID == pid })
			if at < 0 {
				at = len(*all)
				*all = append(*all, Process{PID: pid})
			}
			m.readers(i, &(*all)[at])
		}
		for i := range *all {
			(*all)[i].Writer = (*all)[i].PID == writer
		}
		return nil
	})
}

// readers adds those of block i.
func (m *lockMap) readers(i int, p *Process) {
	for s := 1; s <= peerSlotCount; s++ {
		at := slotAt(i, s)
		txid := m.view.Uint64(at).Load()
		if txid == 0 {
			continue
		}
		begun := m.view.Uint64(at + peerSlotBegun).Load()
		noted := m.view.Uint64(at + peerSlotNoted).Load()
		since := m.view.Uint64(at + peerSlotSince).Load()
		p.add(txid, time.UnixMilli(int64(since)), since != 0 && noted == begun)
	}
}

// seenBy returns how many pages were freed that a reader of txid still sees.
func (c *chain) seenBy(txid tx.TxID) (n int) {
	c.tree.Ascend(func(r record) bool {
		if r.birth <= txid && txid < r.freed {
			n += int(r.count)
		}
		return true
	})
	return n
}
