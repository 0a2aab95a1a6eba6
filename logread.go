package mapleaf

import (
	"context"

	"github.com/mapleafdb/mapleaf/tx"
)

// Reading the redo log when a file is opened that was not closed properly.
//
// A crash tears the end of the log: records that were not durable may be missing, in
// part or whole, also some before others that are there. The log is cut at the first
// gap. But a record says how far durability had come when it was written; one that
// calls durable what is missing shows that the gap is damage.
//
// Invariants:
//
//	Q1 Of each extent every block is read once, and what its bytes say is checked
//	   before it is followed.
//	Q2 What was replayed is published under a txid above all that were: readers of
//	   another process may stand at the last of these, whose pages differ.

// A logTail is what the log of a meta holds.
type logTail struct {
	ops  [][]byte // of each transaction after the meta's, in order
	last tx.TxID  // the last of them, or that of the meta
}

// readLog reads the log that m names, if it names one.
func readLog(f file, m *meta) (*logTail, error) {
	tail := &logTail{last: m.txid}
	if m.logs[0].count == 0 {
		return tail, nil
	}
	var blocks [2][]byte
	var ends [2]int64
	link := uint64(0)
	for i, x := range m.logs {
		var err error
		if blocks[i], err = readExtent(f, x.extent, m.pageSize); err != nil {
			return nil, err
		}
		if ends[i], err = tail.follow(blocks[i], x, m.txid, &link); err != nil {
			return nil, err
		}
	}
	for i, x := range m.logs {
		if at, ok := laterRecord(blocks[i], ends[i], x.salt, tail.last); ok {
			return nil, tx.Corrupt(x.first+tx.PageID(at/int64(m.pageSize)),
				"log misses transaction %d, and calls it durable", tail.last.Next())
		}
	}
	return tail, nil
}

// readExtent reads a whole extent.
func readExtent(f file, x extent, pageSize int) ([]byte, error) {
	b := make([]byte, int(x.count)*pageSize)
	return b, readPage(f, b, x.first, int64(x.first)*int64(pageSize))
}

// follow takes the records at the head of an extent that go on where the tail ends,
// and returns where the first one that does not would begin. Those up to the meta's
// txid are left out: the log goes on over a checkpoint.
func (t *logTail) follow(b []byte, x logExtent, from tx.TxID, link *uint64) (int64, error) {
	off := int64(0)
	for off < int64(len(b)) {
		r, ok := decodeRecord(b[off:], x.salt)
		if !ok {
			break
		}
		if r.last > from {
			if r.first != t.last.Next() || *link != 0 && r.link != *link {
				break
			}
			ops, err := r.sections()
			if err != nil {
				return 0, tx.Corrupt(x.first, "%v", err)
			}
			t.ops = append(t.ops, ops...)
			t.last = r.last
		}
		*link = r.checksum
		off += blocks(r.size)
	}
	return off, nil
}

// laterRecord looks for a record behind off that calls a transaction after last
// durable.
func laterRecord(b []byte, off int64, salt uint64, last tx.TxID) (int64, bool) {
	for ; off < int64(len(b)); off += recordBlock {
		if r, ok := decodeRecord(b[off:], salt); ok && r.durable > last {
			return off, true
		}
	}
	return 0, false
}

// knownOnly reports whether no record counts under a salt that newer names and older
// does not: such a record was written when newer was durable.
func knownOnly(f file, newer, older *meta, size int64) (bool, error) {
	for _, x := range newer.logs {
		if x.count == 0 || x.salt == older.logs[0].salt || x.salt == older.logs[1].salt ||
			int64(x.end())*int64(newer.pageSize) > size {
			continue
		}
		b, err := readExtent(f, x.extent, newer.pageSize)
		if err != nil {
			return false, err
		}
		for off := 0; off < len(b); off += recordBlock {
			if _, ok := decodeRecord(b[off:], x.salt); ok {
				return false, nil
			}
		}
	}
	return true, nil
}

// replay brings the store to the state that the log tells of, and ends the log. A
// read-only store keeps the result in memory.
func (s *store) replay(tail *logTail) error {
	if len(tail.ops) == 0 {
		if s.opts.ReadOnly {
			return nil
		}
		s.writing.Lock()
		defer s.writing.Unlock()
		return s.endLog()
	}
	t, err := s.beginWrite(context.Background())
	if err != nil {
		return err
	}
	defer rollback(t)
	err = s.managed(t, func(t *Tx) error {
		for _, ops := range tail.ops {
			if err := tx.Replay(t, ops); err != nil {
				return tx.Corrupt(s.log.extents[0].first, "log: %v", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.Commit()
}

// keep publishes the state of a transaction that is never written.
func (w *writer) keep(snap *tx.Snapshot) {
	s := w.s
	s.mu.Lock()
	s.mu.head = *snap
	s.mu.head.TxID = w.txid
	s.mu.head.HWM = tx.PageID(s.free.top())
	head := s.mu.head
	s.mu.Unlock()
	s.replayed = true
	w.end()
	s.publish(&head)
	w.unpin()
}
