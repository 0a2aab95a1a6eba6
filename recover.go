package mapleaf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// Opening a database: which of the two metas counts, and what has to be done
// before anything is built on it.
//
// The fault model: a crash keeps any subset of the writes since the last sync, each
// torn at any sector, in any order. A sector (512 bytes) is written whole or
// not at all. Hence a meta's record is either old or new, and one that does not
// match its checksum is damage, not a crash.
//
//	newest meta            other meta                 taken
//	closed mark            any                        the newest, without more ado
//	manifest verifies      any                        the newest, and its log
//	manifest does not      with its log it reaches    the other, if its manifest verifies,
//	                       `durable through` of the   and its log; unless a record shows
//	                       newest                     that the newest was durable
//	any other case                                    nothing: it is damage
//
// Invariants:
//
//	O1 A commit that was durable is never silently given up: a meta says how far
//	   durability had come when it was written, and a fallback must reach that.
//	   A record that is damaged but shows a newer txid, and is no copy of the
//	   other one, is an error for the same reason.
//	O2 What is in the system's cache is not taken for what is on the drive: of
//	   everything that the accepted meta names, what the drive does not have is
//	   written again, and synced before anything is published or built on it. What
//	   it has stays untouched: a sector that is written when the power goes may be
//	   lost, and this may be the only copy of what was acknowledged. (What the drive
//	   does not have was not acknowledged, and the state before it is whole.)
//	O3 The first transaction gets a txid above every one that was seen in
//	   either meta, so that no leftover of a commit that was given up carries
//	   the stamp of a new page.
//	O4 Whatever the bytes of the file, opening reads each of them a bounded
//	   number of times and allocates no more than the file is long.

// A recovered state is what a file says.
type recovered struct {
	meta *meta
	slot int     // where it stands
	seen tx.TxID // the largest txid in either meta, or in the log
	log  *logTail
}

// recoverState decides which meta counts. trust turns off the check of the
// manifest, for tests.
func recoverState(f file, trust bool) (*recovered, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	metas, raw, err := readMetas(f)
	if err != nil {
		return nil, err
	}
	newest := 0
	if metas[0] == nil || metas[1] != nil && metas[1].txid > metas[0].txid ||
		metas[1] != nil && metas[1].txid == metas[0].txid && metas[1].closed {
		newest = 1
	}
	r := &recovered{meta: metas[newest], slot: newest, seen: metas[newest].txid}
	other := metas[1-newest]
	if other == nil {
		newer := rawTxID(raw[1-newest]) > r.meta.txid
		if newer && !twins(raw[0], raw[1]) {
			return nil, tx.Corrupt(0, "meta %d is damaged, and was newer than meta %d",
				1-newest, newest)
		}
	} else if other.fileID != r.meta.fileID || other.pageSize != r.meta.pageSize {
		return nil, tx.Corrupt(0, "the metas belong to different databases")
	}
	if r.meta.closed || trust {
		if err := checkSize(r.meta, size); err != nil {
			return nil, err
		}
		return r, r.readLog(f)
	}
	err = verifyManifest(f, r.meta, size)
	if err == nil {
		return r, r.readLog(f)
	}
	if !errors.Is(err, ErrCorrupt) {
		return nil, err
	}
	return r, r.fallBack(f, other, size, err)
}

// readLog reads the log of the accepted meta.
func (r *recovered) readLog(f file) (err error) {
	if r.log, err = readLog(f, r.meta); err != nil {
		return err
	}
	if r.log.last < r.meta.durable {
		return tx.Corrupt(r.meta.logs[0].first, "log ends at transaction %d, and %d was durable",
			r.log.last, r.meta.durable)
	}
	r.seen = max(r.seen, r.log.last)
	return nil
}

// fallBack accepts the other meta, since the newest is damaged, if that loses nothing
// that was durable.
func (r *recovered) fallBack(f file, other *meta, size int64, damage error) error {
	newest := r.meta
	lost := func() error {
		return fmt.Errorf("mapleaf: newest state is damaged, and the one before is "+
			"older than what was durable: %w", damage)
	}
	if other == nil {
		return lost()
	}
	var err error
	if other.closed {
		err = checkSize(other, size)
	} else {
		err = verifyManifest(f, other, size)
	}
	if err != nil {
		return fmt.Errorf("mapleaf: both states are damaged: %w", err)
	}
	r.meta, r.slot = other, 1-r.slot
	if err := r.readLog(f); err != nil {
		return err
	}
	if known, err := knownOnly(f, newest, other, size); err != nil {
		return err
	} else if !known || r.log.last < newest.durable {
		return lost()
	}
	return nil
}

// readMetas reads both slots. A slot that cannot be taken is nil; if neither can,
// the error says why.
func readMetas(f file) (metas [2]*meta, raw [2][]byte, err error) {
	var errs [2]error
	for i := range metas {
		raw[i] = make([]byte, metaSlotSize)
		n, err := f.ReadAt(raw[i], slotOffset(i))
		if err != nil && !errors.Is(err, io.EOF) {
			return metas, raw, err
		}
		clear(raw[i][n:])
		metas[i], errs[i] = decodeMeta(raw[i])
		if errors.Is(errs[i], ErrVersionMismatch) {
			return metas, raw, errs[i]
		}
	}
	if metas[0] != nil || metas[1] != nil {
		return metas, raw, nil
	}
	for _, e := range errs {
		if errors.Is(e, ErrCorrupt) {
			return metas, raw, e
		}
	}
	if errs[0] == errTorn || errs[1] == errTorn {
		return metas, raw, ErrChecksum
	}
	return metas, raw, ErrInvalid
}

// rawTxID returns the txid that a damaged slot shows, 0 if it shows no meta.
func rawTxID(slot []byte) tx.TxID {
	if string(slot[:len(metaMagicText)]) != metaMagicText {
		return 0
	}
	return tx.TxID(binary.LittleEndian.Uint64(slot[metaTxID:]))
}

// twins reports whether two slots hold the same record but for one damaged word,
// as Close writes them: then a txid that looks newer is itself the damage.
func twins(a, b []byte) bool {
	differ := 0
	for i := 0; i < metaChecksum; i += 8 {
		if !bytes.Equal(a[i:i+8], b[i:i+8]) {
			differ++
		}
	}
	return differ <= 1
}

// checkSize checks that the file holds all pages that the meta counts.
func checkSize(m *meta, size int64) error {
	if !is64Bit && int64(m.hwm)*int64(m.pageSize) > addressLimit32 {
		return fmt.Errorf("%w: %d pages are too many for 32 bits", ErrInvalidMapping, m.hwm)
	}
	if need := int64(m.hwm) * int64(m.pageSize); size < need {
		return tx.Corrupt(tx.PageID(size/int64(m.pageSize)),
			"file ends here and should have %d pages", m.hwm)
	}
	return nil
}

// readPage reads at page id, what is there by all that is known: so if the file ends
// before that, it was cut.
func readPage(f file, b []byte, id tx.PageID, off int64) error {
	_, err := f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		return tx.Corrupt(id, "file ends here")
	}
	if err != nil {
		return fmt.Errorf("mapleaf: read page %d: %w", id, err)
	}
	return nil
}

// readBytes is how much of an extent is read at a time.
const readBytes = 1 << 20

// verifyManifest checks that everything that the commit of m wrote is there. An
// error that is no ErrCorrupt comes from reading.
func verifyManifest(f file, m *meta, size int64) error {
	if err := checkSize(m, size); err != nil {
		return err
	}
	entries, err := readManifest(f, m)
	if err != nil {
		return err
	}
	m.entries = entries
	return eachExtent(f, m, nil)
}

// eachExtent reads every extent that the manifest of m names, checks it, and
// calls fn, unless it is nil, with its pieces in order.
func eachExtent(f file, m *meta, fn func(piece []byte, off int64) error) error {
	buf := make([]byte, readBytes)
	var sum extentSum
	for _, e := range m.entries {
		off := int64(e.first) * int64(m.pageSize)
		left := int64(e.count) * int64(m.pageSize)
		sum.begin(e.first)
		for left > 0 {
			piece := buf[:min(left, readBytes)]
			if err := readPage(f, piece, e.first, off); err != nil {
				return err
			}
			sum.add(piece)
			if fn != nil {
				if err := fn(piece, off); err != nil {
					return err
				}
			}
			off += int64(len(piece))
			left -= int64(len(piece))
		}
		if err := sum.check(e.extent, m.txid); err != nil {
			return err
		}
		if sum.header.checksum != e.checksum {
			return tx.Corrupt(e.first, "checksum is not the one in the manifest")
		}
	}
	return nil
}

// readManifest returns the entries of the manifest of m.
func readManifest(f file, m *meta) ([]manifestEntry, error) {
	encoded := appendManifest(nil, m.entries)
	if m.manifest.ID != 0 {
		if m.manPages != manifestPages(int(m.entryCount), m.pageSize) {
			return nil, tx.Corrupt(m.manifest.ID, "manifest of %d pages with %d entries",
				m.manPages, m.entryCount)
		}
		buf := make([]byte, int(m.manPages)*m.pageSize)
		off := int64(m.manifest.ID) * int64(m.pageSize)
		if err := readPage(f, buf, m.manifest.ID, off); err != nil {
			return nil, err
		}
		h, err := checkExtent(buf, m.manifest, tx.KindManifest, m.hwm)
		if err != nil {
			return nil, err
		}
		if h.count != m.manPages {
			return nil, tx.Corrupt(m.manifest.ID, "manifest of %d pages", h.count)
		}
		encoded = buf[headerSize : headerSize+int(m.entryCount)*manifestEntrySize]
	}
	if manifestSumOf(m.txid, encoded) != m.entrySum {
		return nil, tx.Corrupt(m.manifest.ID, "manifest does not match its checksum")
	}
	entries := decodeManifest(encoded)
	return entries, checkManifest(m, entries)
}

// secure makes sure that what the accepted state names is on the drive (O2): it asks
// the drive, and writes again what that does not have. Where it cannot be asked,
// everything is written again.
func (r *recovered) secure(f file) error {
	if err := f.Sync(); err != nil {
		return err
	}
	c := &securing{r: r, f: f}
	if d, err := f.Drive(); err == nil {
		c.drive = d
		defer d.Close()
	}
	if !r.meta.closed {
		if err := c.pages(); err != nil {
			return err
		}
	}
	slot := make([]byte, metaSlotSize)
	if err := c.read("meta", slot, slotOffset(r.slot)); err != nil {
		return err
	}
	if err := c.keep(slot, slotOffset(r.slot)); err != nil || !c.wrote {
		return err
	}
	return f.Sync()
}

// A securing is one run of secure.
type securing struct {
	r     *recovered
	f     file
	drive mmapfile.DriveReader // nil if it cannot be asked
	buf   []byte
	wrote bool
}

// read reads what the system shows.
func (c *securing) read(what string, b []byte, off int64) error {
	if _, err := c.f.ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("mapleaf: read %s: %w", what, err)
	}
	return nil
}

// keep writes the piece again unless the drive has it. The lengths of pieces and
// their places are multiples of 4,096.
func (c *securing) keep(piece []byte, off int64) error {
	if c.drive != nil {
		if cap(c.buf) < len(piece) {
			c.buf = make([]byte, max(len(piece), readBytes))
		}
		got := c.buf[:len(piece)]
		n, err := c.drive.ReadAt(got, off)
		if n == len(piece) && (err == nil || err == io.EOF) && bytes.Equal(got, piece) {
			return nil
		}
	}
	c.wrote = true
	return c.f.WriteVec([][]byte{piece}, off)
}

// pages sees to the extents of the manifest, and to the manifest itself.
func (c *securing) pages() error {
	m := c.r.meta
	if err := eachExtent(c.f, m, c.keep); err != nil {
		return err
	}
	if m.manifest.ID == 0 {
		return nil
	}
	buf := make([]byte, int(m.manPages)*m.pageSize)
	off := int64(m.manifest.ID) * int64(m.pageSize)
	if err := c.read("manifest", buf, off); err != nil {
		return err
	}
	return c.keep(buf, off)
}
