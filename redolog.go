package mapleaf

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/mapleafdb/mapleaf/tx"
)

// The redo log lies in the file itself: two extents, written over and over, which take
// the records of one epoch each, in turn. A record makes one batch durable by a single
// append. It begins at a block of its own, so that no block with durable records is
// ever written again. Little-endian:
//
//	offset  size  field            meaning
//	0       8     checksum         xxhash64, seeded with the extent's salt, of all that follows
//	8       4     length           bytes of the record
//	12      4     zero
//	16      8     first txid       behind the last one of the batch before, whether or not
//	                               a transaction of this batch has it
//	24      8     last txid
//	32      8     durable through  the newest txid that was durable when it was written
//	40      8     link             checksum of the record before in its run, 0 = none
//	48      ...   operations       of each transaction: uvarint length, tx.Replay's bytes
//
// A run of records begins after a meta that was written by pages, and goes on from
// extent to extent over checkpoints. A meta names both extents with their salts: the
// one that the next epoch uses first.
//
// Invariants:
//
//	L1 A record counts if its checksum is right under the salt that the meta names
//	   for its extent, its txids follow without a gap, and its link is the record
//	   before it. Salts are random and new whenever an extent is used again, so
//	   that nothing that was written under an older one counts.
//	L2 An extent is written over only when a meta is durable that ends after the
//	   last record in it, and that names its new salt.
//	L3 Nothing is ever appended behind a cut: recovery ends the log, and the next
//	   one has new salts.
const (
	recordChecksum = 0
	recordLength   = 8
	recordZero     = 12
	recordFirst    = 16
	recordLast     = 24
	recordDurable  = 32
	recordLink     = 40
	recordHead     = 48

	recordBlock = 4096 // a record begins at a multiple of it
)

// The sizes of a log extent, up to Options.LogSize: a part of the file, since the later
// a checkpoint comes the fewer pages it writes for each commit; or with NoSync, whose
// checkpoints are bound by memory, room for a few records of the present size.
const (
	logSizeMin         = 1 << 20
	logPart            = 8
	logRecordsUnsynced = 2

	// logPays is how many bytes a log would have saved when one is begun.
	logPays = 512 << 10

	// pageModeExtra is about what a commit by pages writes besides those that it changes.
	pageModeExtra = 4

	// recordBufMax is how large a buffer for records may be that is kept.
	recordBufMax = 1 << 20
)

// A logExtent is one of the two, as metas name it.
type logExtent struct {
	extent
	salt uint64
}

// A redoLog is the log of a running store.
type redoLog struct {
	extents [2]logExtent // under store.mu; of count 0 while there is no log

	// The committer's: where it is.
	epoch *epoch // whose part is being written
	off   int64  // in the extent, of the next record
	link  uint64
	buf   []byte // of the record before, for the next

	clearing logClearing
}

// newSalt returns a random salt, never zero.
func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// blocks returns n rounded up to whole blocks.
func blocks(n int64) int64 { return (n + recordBlock - 1) &^ (recordBlock - 1) }

// recordRoom returns what operations of n bytes take of an extent at most, whatever
// batch they come to be in.
func recordRoom(n int) int64 { return blocks(int64(recordHead + binary.MaxVarintLen32 + n)) }

// A logRecord is a decoded record.
type logRecord struct {
	first, last tx.TxID
	durable     tx.TxID
	link        uint64
	checksum    uint64
	ops         []byte
	size        int64
}

// encodeRecord appends the record for a batch to dst, and returns it with its checksum.
func encodeRecord(dst []byte, b *batch, durable tx.TxID, link, salt uint64) ([]byte, uint64) {
	le := binary.LittleEndian
	size := recordHead
	for _, ops := range b.ops {
		size += binary.MaxVarintLen32 + len(ops)
	}
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+recordHead]
	for _, ops := range b.ops {
		dst = append(binary.AppendUvarint(dst, uint64(len(ops))), ops...)
	}
	record := dst[start:]
	le.PutUint32(record[recordLength:], uint32(len(record)))
	le.PutUint32(record[recordZero:], 0)
	le.PutUint64(record[recordFirst:], uint64(b.first))
	le.PutUint64(record[recordLast:], uint64(b.state.TxID))
	le.PutUint64(record[recordDurable:], uint64(durable))
	le.PutUint64(record[recordLink:], link)
	sum := recordSum(record, salt)
	le.PutUint64(record[recordChecksum:], sum)
	return dst, sum
}

// recordSum returns the checksum of a record, which covers all but itself.
func recordSum(record []byte, salt uint64) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(salt)
	d.Write(record[recordLength:])
	return d.Sum64()
}

// decodeRecord reads the record at the head of b. It reports false if there is none
// under that salt.
func decodeRecord(b []byte, salt uint64) (r logRecord, ok bool) {
	le := binary.LittleEndian
	if len(b) < recordHead {
		return r, false
	}
	size := int64(le.Uint32(b[recordLength:]))
	if size < recordHead || size > int64(len(b)) || le.Uint32(b[recordZero:]) != 0 {
		return r, false
	}
	r = logRecord{
		first:    tx.TxID(le.Uint64(b[recordFirst:])),
		last:     tx.TxID(le.Uint64(b[recordLast:])),
		durable:  tx.TxID(le.Uint64(b[recordDurable:])),
		link:     le.Uint64(b[recordLink:]),
		checksum: le.Uint64(b[recordChecksum:]),
		ops:      b[recordHead:size:size],
		size:     size,
	}
	return r, recordSum(b[:size], salt) == r.checksum && r.first <= r.last
}

// sections returns the operations of each transaction of the record.
func (r *logRecord) sections() ([][]byte, error) {
	var all [][]byte
	for rest := r.ops; len(rest) > 0; {
		n, head := binary.Uvarint(rest)
		if head <= 0 || n > uint64(len(rest)-head) {
			return nil, fmt.Errorf("mapleaf: log record of transactions %d to %d is cut off",
				r.first, r.last)
		}
		rest = rest[head:]
		all = append(all, rest[:n:n])
		rest = rest[n:]
	}
	return all, nil
}

// logging reports whether there is a log. The caller holds mu.
func (s *store) logging() bool { return s.log.extents[0].count > 0 }

// unlogged reports whether what joins now goes by pages in any case: there is no log, or
// there was none when the batch began that is open. The caller holds mu.
func (s *store) unlogged() bool {
	return !s.logging() || s.mu.open != nil && s.mu.open.pages
}

// logSize returns the bytes of the extent that the epoch uses. The caller holds mu.
func (s *store) logSize(e *epoch) int64 {
	return int64(s.log.extents[e.log].count) << s.shift
}

// byPages decides how the transaction becomes durable: by pages if there is no log, if
// its operations are not known or do not fit, or if it fills its pages: if those of the
// whole epoch, and the links and the meta of a commit, are no more bytes than the record
// and once more the operations. What is loaded in key order touches hardly a page again:
// with a log, all of it would be written twice. But it does not wait for a checkpoint that
// is under way, as a commit by pages would have to. The caller holds mu.
func (s *store) byPages(w *writer, ops []byte, pages int, r *room) bool {
	if len(ops) == 0 || s.mu.epoch.endLog || s.mu.noLog > 0 {
		return true
	}
	e, cost := s.mu.epoch, recordRoom(len(ops))
	paid := cost + int64(len(ops)) + w.long
	if s.unlogged() {
		s.mu.saving = max(0, s.mu.saving+int64(pages+pageModeExtra)<<s.shift-paid)
		return true
	}
	fills := int64(e.pages+pages+pageModeExtra)<<s.shift <= paid
	if e.logUsed+cost > s.logSize(e) || fills && s.mu.checkpoint == 0 {
		return true
	}
	r.log = cost
	return false
}

// withoutLog adds to the number of those who want pages, and no log.
func (s *store) withoutLog(n int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.noLog += n
}

// unsyncedPart is which part of Options.CheckpointBytes counts with NoSync.
const unsyncedPart = 16

// full reports whether the epoch should end: its part of the log is nearly used up, or
// its pages take as much memory as they may. The caller holds mu.
func (s *store) full(e *epoch) bool {
	limit := int64(s.opts.CheckpointBytes)
	if !e.sync {
		limit /= unsyncedPart
	}
	size := s.logSize(e)
	return e.logUsed > size-size/8 || int64(e.pages)<<s.shift >= limit
}

// takeLogs takes extents for the log: both, when page mode has cost so much more than
// a log would have that beginning one pays; or a larger one for later, when the file has
// grown. Where there is no room for that, things stay as they are.
func (w *writer) takeLogs(r *room, ops int) {
	s := w.s
	size, count := s.wantLog(ops)
	if limit := int64(s.db.MaxSize); limit > 0 &&
		int64(s.free.top())<<s.shift+2*size > limit/2 {
		return
	}
	if count == 0 || !s.openBulk() {
		return
	}
	for range count {
		e, ok := s.free.take(uint32(size >> s.shift))
		if !ok {
			break
		}
		r.logs = append(r.logs, e)
	}
	if len(r.logs) == count && s.makeRoom(w.base) == nil {
		return
	}
	for _, e := range r.logs {
		s.free.give(e)
	}
	r.logs = nil
}

// wantLog returns the size and the number of the extents that the log needs now, for
// transactions with so many bytes of operations.
func (s *store) wantLog(ops int) (size int64, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.mu.epoch
	if e.logs != nil || e.endLog || s.mu.starting || s.mu.noLog > 0 || s.opts.LogSize == 0 {
		return 0, 0
	}
	size = max(logSizeMin, s.fileSize/logPart)
	if s.db.NoSync {
		size = min(size, max(logSizeMin, logRecordsUnsynced*recordRoom(ops)))
	}
	size = min(size, int64(s.opts.LogSize)) &^ (pageSizeMax - 1)
	switch now := s.logSize(e); {
	case s.logging() && size >= 2*now:
		return size, 1
	case s.logging():
		return 0, 0
	case s.mu.saving >= logPays || s.opts.logAtOnce || s.opts.Lazy:
		return size, 2
	}
	return 0, 0
}

// appendRecord writes the record of the batch, and makes it durable if the batch asks
// for that. The caller is the committer.
func (s *store) appendRecord(b *batch) error {
	if last := s.log.epoch; last != b.epoch {
		// L2: the meta that ends after what is written over may not be durable yet,
		// and what is durable in the epoch between them stands on it.
		if last != nil && last.sync && s.loose.Load() {
			if err := s.sync(); err != nil {
				return err
			}
		}
		s.log.epoch, s.log.off = b.epoch, 0
	}
	s.mu.Lock()
	x := s.log.extents[b.epoch.log]
	s.mu.Unlock()
	record, sum := encodeRecord(s.log.buf[:0], b, s.durableThrough(), s.log.link, x.salt)
	if s.log.buf = record; cap(record) > recordBufMax {
		s.log.buf = nil
	}
	size := int64(len(record))
	if s.log.off+size > int64(x.count)<<s.shift {
		return s.fail(fmt.Errorf("mapleaf: log record of %d bytes does not fit at %d of %d",
			size, s.log.off, int64(x.count)<<s.shift))
	}
	s.clearAhead(b.epoch.log, x.extent, blocks(size), b.sync)
	off := int64(x.first)<<s.shift + s.log.off
	began := time.Now()
	all := b.sync && s.unsynced.Load() // before it, too
	err := s.writeRecord(record, off, b.sync && !all)
	if err == nil && all {
		err = s.sync()
	}
	if err != nil {
		return err
	}
	if !b.sync {
		s.unsynced.Store(true)
	} else {
		s.durableTo(b.state.TxID)
	}
	s.stats.wrote(1, time.Since(began))
	s.written.Store(true)
	s.output.Add(size)
	s.log.off += blocks(size)
	s.log.link = sum
	s.mu.Lock()
	b.epoch.logUsed += blocks(size) - b.room
	s.mu.Unlock()
	return nil
}

// writeRecord writes a record, and waits until it is durable if that is asked for (K4).
func (s *store) writeRecord(record []byte, off int64, durable bool) error {
	write := s.file.WriteVec
	if durable {
		s.syncing.Lock()
		defer s.syncing.Unlock()
		write = s.file.WriteVecDurable
	}
	if err := s.failed(); err != nil {
		return err
	}
	if err := write([][]byte{record}, off); err != nil {
		return s.fail(fmt.Errorf("mapleaf: write log: %w", err))
	}
	return nil
}
