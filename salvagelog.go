package mapleaf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// What is left of the redo log.
//
// A record that is followed by others whose writer called it durable is not the torn end
// of the log: then those are done without it, and what it held is reported missing. With
// the meta that named them, the salts of a log are lost: its records cannot be verified,
// but each names the checksum of the one before, and their operations can be parsed.
//
// Invariants:
//
//	J1 Records are done in the order of their transactions, each once, and none of a
//	   transaction that the state holds already.
//	J2 Of a record, only its place is kept in memory; it is read and checked again when
//	   it is done.

// A logPiece is a record of the log, where it lies.
type logPiece struct {
	off, size   int64
	salt        uint64 // 0 = nobody knows it
	first, last tx.TxID
	durable     tx.TxID
	link, sum   uint64
}

// A logTrail is the records that go on after a state.
type logTrail struct {
	from   tx.TxID // the last transaction of the state
	pieces []logPiece
	last   tx.TxID      // reached without a gap; from if there are none
	lost   [][2]tx.TxID // from first to last, between or behind the pieces
	link   uint64       // checksum of the last record, 0 = none
	known  []logExtent  // whose salts are known
	tail   extent       // of them, the one in which the next record would be under that salt
	unused int          // records that look like ones of a later log
}

// lose notes that transactions are missing.
func (t *logTrail) lose(first, last tx.TxID) {
	t.lost = append(t.lost, [2]tx.TxID{first, last})
}

// readTrail reads the logs that metas name, after the transaction from.
func (s *scrap) readTrail(metas []*meta, from tx.TxID) *logTrail {
	t := &logTrail{from: from, last: from}
	var all []logPiece
	for _, m := range metas {
		for _, x := range m.logs {
			if x.count > 0 && !slices.Contains(t.known, x) {
				t.known = append(t.known, x)
				all = s.findRecords(all, x)
			}
		}
	}
	slices.SortFunc(all, func(a, b logPiece) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last))
	})
	for _, p := range all {
		if p.last <= from {
			t.link = p.sum
		}
	}
	all = slices.DeleteFunc(all, func(p logPiece) bool { return p.last <= from })
	for i, p := range all {
		next := max(t.last, t.end()).Next()
		if p.first > next {
			durable := tx.TxID(0)
			for _, later := range all[i:] {
				durable = max(durable, later.durable)
			}
			if durable < next {
				break // the torn end
			}
			t.lose(next, p.first-1)
		} else if p.first < next && len(t.pieces) > 0 {
			continue
		}
		t.pieces, t.link = append(t.pieces, p), p.sum
		for _, x := range t.known {
			if x.salt == p.salt {
				t.tail = x.extent
			}
		}
		if len(t.lost) == 0 {
			t.last = p.last
		}
	}
	return t
}

// end returns the last transaction of the pieces.
func (t *logTrail) end() tx.TxID {
	if len(t.pieces) == 0 {
		return t.from
	}
	return t.pieces[len(t.pieces)-1].last
}

// reach returns the last transaction to which the pieces lead without a gap.
func (t *logTrail) reach() tx.TxID {
	if len(t.lost) > 0 {
		return t.last
	}
	return t.end()
}

// findRecords appends the records in an extent that are right under its salt.
func (s *scrap) findRecords(all []logPiece, x logExtent) []logPiece {
	off := int64(x.first) << s.shift
	end := min(int64(x.end())<<s.shift, s.size)
	head := make([]byte, recordHead)
	for off+recordBlock <= end {
		p, ok := s.recordAt(off, end, head)
		if ok {
			p.salt = x.salt
			if ok = s.verifies(&p); !ok {
				s.budget -= p.size
			}
		}
		if !ok {
			off += recordBlock
			continue
		}
		all = append(all, p)
		off += blocks(p.size)
	}
	return all
}

// recordMax is more bytes than any record has: those of a whole log.
const recordMax = 1 << 30

// recordAt decodes the head of the record at off, in a log that ends at end, if it looks
// like one.
func (s *scrap) recordAt(off, end int64, head []byte) (p logPiece, ok bool) {
	if _, err := s.f.ReadAt(head, off); err != nil {
		s.unreadRecord(off, off+recordHead, err)
		return p, false
	}
	le := binary.LittleEndian
	p = logPiece{
		off:     off,
		size:    int64(le.Uint32(head[recordLength:])),
		first:   tx.TxID(le.Uint64(head[recordFirst:])),
		last:    tx.TxID(le.Uint64(head[recordLast:])),
		durable: tx.TxID(le.Uint64(head[recordDurable:])),
		link:    le.Uint64(head[recordLink:]),
		sum:     le.Uint64(head[recordChecksum:]),
	}
	return p, p.size >= recordHead && off+p.size <= end && p.size <= min(s.budget, recordMax) &&
		le.Uint32(head[recordZero:]) == 0 && p.first <= p.last && p.first > 0
}

// record reads a record; its bytes are valid until the next extent or record is read.
func (s *scrap) record(p *logPiece) ([]byte, error) {
	if int64(len(s.buf)) < p.size {
		s.buf = make([]byte, p.size)
	}
	b := s.buf[:p.size]
	_, err := s.f.ReadAt(b, p.off)
	if err != nil {
		s.unreadRecord(p.off, p.off+p.size, err)
	}
	return b, err
}

// unreadRecord notes that a record could not be read, unless because the file ends.
func (s *scrap) unreadRecord(off, end int64, err error) {
	if !errors.Is(err, io.EOF) {
		s.unread(off, end)
	}
}

// verifies reports whether a record agrees with its checksum.
func (s *scrap) verifies(p *logPiece) bool {
	b, err := s.record(p)
	if err != nil {
		return false
	}
	_, ok := decodeRecord(b, p.salt)
	return ok
}

// sections returns the operations of each transaction of a record, if they can be read.
func (s *scrap) sections(p *logPiece) ([][]byte, error) {
	b, err := s.record(p)
	if err != nil {
		return nil, fmt.Errorf("mapleaf: read log: %w", err)
	}
	r := logRecord{first: p.first, last: p.last, ops: b[recordHead:]}
	if p.salt != 0 {
		var ok bool
		if r, ok = decodeRecord(b, p.salt); !ok {
			return nil, fmt.Errorf("mapleaf: log record does not match its checksum")
		}
	}
	return r.sections()
}

// recordTxsMax is how many transactions a record is believed to hold that cannot be verified.
const recordTxsMax = 1 << 20

// trailWithoutSalt continues a trail by records whose salt nobody knows. They may be
// anywhere in the file where nothing else is.
func (s *scrap) trailWithoutSalt(t *logTrail) {
	all := s.looseRecords(t)
	t.unused = len(all)
	byLink := make(map[uint64]int, len(all))
	for i, p := range all {
		if p.link != 0 {
			byLink[p.link] = i
		}
	}
	at := -1
	if i, ok := byLink[t.link]; ok && t.link != 0 && all[i].first == t.end().Next() {
		at = i
	} else if len(t.pieces) == 0 {
		at = firstLoose(all, t.end().Next())
	}
	for at >= 0 {
		p := all[at]
		if !s.parses(&p) {
			return
		}
		t.pieces, t.link = append(t.pieces, p), p.sum
		t.unused--
		next, ok := byLink[p.sum]
		if !ok || all[next].first != p.last.Next() {
			return
		}
		at = next
	}
}

// firstLoose returns which of the records begins with a transaction, -1 if none does. Of
// several it is the one that others follow.
func firstLoose(all []logPiece, first tx.TxID) int {
	found := -1
	for i, p := range all {
		if p.first != first {
			continue
		}
		if found < 0 || slices.ContainsFunc(all, func(q logPiece) bool { return q.link == p.sum }) {
			found = i
		}
	}
	return found
}

// looseRecords returns what looks like a record of transactions after those of a trail,
// in the pages that hold nothing that verifies. Where the next record would be one under a
// known salt, it can only be a torn one.
func (s *scrap) looseRecords(t *logTrail) (all []logPiece) {
	head := make([]byte, recordHead)
	after := t.end()
	for id := int(s.first); id < len(s.state); id++ {
		if s.state[id]&scrapKind != scrapOther ||
			uint64(id) >= uint64(t.tail.first) && uint64(id) < t.tail.end() {
			continue
		}
		for off := int64(id) << s.shift; off < int64(id+1)<<s.shift; off += recordBlock {
			p, ok := s.recordAt(off, s.size, head)
			if ok && p.first > after && p.last-p.first < recordTxsMax && p.durable < p.first {
				all = append(all, p)
			}
		}
	}
	return all
}

// parses reports whether a record consists of operations.
func (s *scrap) parses(p *logPiece) bool {
	sections, err := s.sections(p)
	for _, ops := range sections {
		if err == nil {
			err = tx.ParseOps(ops)
		}
	}
	if err != nil {
		s.budget -= p.size
	}
	return err == nil
}

// redoLog does again what the log tells.
func (w *salvager) redoLog() error {
	t := w.origin.trail
	for _, lost := range t.lost {
		w.miss(SalvageRange{
			Kind:   "log",
			Reason: fmt.Sprintf("%s missing in the log", transactions(lost[0], lost[1])),
		})
	}
	if id, ok := w.scrap.hole(t.known); ok {
		w.miss(SalvageRange{Kind: "log", Page: int(id), Reason: fmt.Sprintf(
			"part of the log cannot be read: what was committed after transaction %d may be missing",
			t.end())})
	}
	left, loose := 0, SalvageRange{Kind: "log"}
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.salt == 0 && loose.Reason == "" {
			loose.Page = int(p.off >> w.scrap.shift)
			loose.Reason = fmt.Sprintf("%s taken from a log whose salt is lost: "+
				"they could not be verified", transactions(p.first, t.end()))
			if !w.guess(loose) {
				break
			}
		}
		sections, err := w.scrap.sections(p)
		if err != nil {
			w.miss(SalvageRange{Kind: "log", Page: int(p.off >> w.scrap.shift), Reason: fmt.Sprintf(
				"%s missing in the log: %v", transactions(p.first, p.last), err)})
			continue
		}
		for _, ops := range sections {
			if tx.ParseOps(ops) != nil {
				left++
				continue
			}
			n, err := w.out.redo(ops)
			if err != nil {
				return err
			}
			left += n
		}
		w.report.LogTxID = int(p.last)
		if err := w.ctx.Err(); err != nil {
			return err
		}
	}
	if t.unused > 0 {
		w.note("%d blocks look like records of a log that no meta names any more, and "+
			"do not go on from what was taken", t.unused)
	}
	if left > 0 {
		w.guess(SalvageRange{Kind: "log", Reason: fmt.Sprintf("%d operations of the log were "+
			"left out: they do not fit to what else was found", left)})
	}
	return nil
}

// hole returns the first page of the logs that could not be read.
func (s *scrap) hole(logs []logExtent) (tx.PageID, bool) {
	for _, x := range logs {
		for id := uint64(x.first); id < x.end(); id++ {
			if id >= uint64(len(s.state)) || s.kind(tx.PageID(id)) == scrapUnreadable {
				return tx.PageID(id), true
			}
		}
	}
	return 0, false
}

// transactions names transactions, with a verb behind them.
func transactions(first, last tx.TxID) string {
	if first == last {
		return fmt.Sprintf("transaction %d is", first)
	}
	return fmt.Sprintf("transactions %d to %d are", first, last)
}
