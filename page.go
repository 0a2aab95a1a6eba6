package mapleaf

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/mapleafdb/mapleaf/tx"
)

// Every extent begins with a page header, little-endian, which this file alone
// writes and reads. The body that package tx sees follows it.
//
//	offset  size  field     meaning
//	0       8     checksum  xxhash64, seeded with the page id, of all that follows in the extent
//	8       4     id        of the extent's first page
//	12      4     count     pages in the extent
//	16      8     birth     txid of the transaction that allocated it
//	24      1     kind      tx.Kind
//	25      7     file      the first bytes of the file id in the metas
//
// Invariants:
//
//	P1 A page's birth is fixed while its id lives. Whoever refers to a page
//	   keeps the low half of it, and a page whose header differs is damage: so
//	   neither a lost write nor an old version put back passes for data. Nor does a
//	   page of another file that has the same id and birth: it names its file.
//	P2 Bytes of an extent become data only after its header, its checksum and
//	   the reference agree; the tables of a mapping remember that they did.
const (
	headerChecksum = 0
	headerID       = 8
	headerCount    = 12
	headerBirth    = 16
	headerKind     = 24
	headerFile     = 25
	headerSize     = 32
)

// The header must fit exactly into the room that package tx leaves for it.
const (
	_ = uint(headerSize - tx.HeaderSize)
	_ = uint(tx.HeaderSize - headerSize)
)

// A pageHeader is the decoded header of an extent.
type pageHeader struct {
	checksum uint64
	id       tx.PageID
	count    uint32
	birth    tx.TxID
	kind     tx.Kind
	file     fileTag
}

// A fileTag tells the pages of one file from those of another.
type fileTag [headerSize - headerFile]byte

// tagOf returns the tag of the pages of the file with this id.
func tagOf(id [16]byte) fileTag { return fileTag(id[:]) }

// seal writes the header into the extent buf, with the checksum, and returns it.
func (h pageHeader) seal(buf []byte) uint64 {
	le := binary.LittleEndian
	le.PutUint32(buf[headerID:], uint32(h.id))
	le.PutUint32(buf[headerCount:], h.count)
	le.PutUint64(buf[headerBirth:], uint64(h.birth))
	buf[headerKind] = byte(h.kind)
	copy(buf[headerFile:headerSize], h.file[:])
	sum := pageSum(h.id, buf)
	le.PutUint64(buf[headerChecksum:], sum)
	return sum
}

// decodePageHeader reads the first headerSize bytes of b.
func decodePageHeader(b []byte) pageHeader {
	le := binary.LittleEndian
	_ = b[headerSize-1]
	return pageHeader{
		checksum: le.Uint64(b[headerChecksum:]),
		id:       tx.PageID(le.Uint32(b[headerID:])),
		count:    le.Uint32(b[headerCount:]),
		birth:    tx.TxID(le.Uint64(b[headerBirth:])),
		kind:     tx.Kind(b[headerKind]),
		file:     fileTag(b[headerFile:]),
	}
}

// checkFile returns an error unless the page belongs to the file with this tag.
func (h *pageHeader) checkFile(tag fileTag) error {
	if h.file != tag {
		return tx.Corrupt(h.id, "page is that of another file")
	}
	return nil
}

// pageSum computes the checksum of a whole extent, without its checksum field.
func pageSum(id tx.PageID, extent []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(uint64(id))
	d.Write(extent[headerID:])
	return d.Sum64()
}

// check compares the header with the reference that led to it.
func (h *pageHeader) check(ref tx.Ref, kind tx.Kind, hwm tx.PageID) error {
	switch {
	case h.id != ref.ID:
		return tx.Corrupt(ref.ID, "header belongs to page %d", h.id)
	case h.kind != kind:
		return tx.Corrupt(ref.ID, "kind is %s where %s belongs", h.kind, kind)
	case h.birth.Stamp() != ref.Stamp:
		return tx.Corrupt(ref.ID, "born in transaction %d, reference expects stamp %d",
			h.birth, ref.Stamp)
	case h.count == 0 || uint64(ref.ID)+uint64(h.count) > uint64(hwm):
		return tx.Corrupt(ref.ID, "extent of %d pages passes the end at page %d", h.count, hwm)
	case kind != tx.KindExtent && kind != tx.KindManifest && h.count != 1:
		return tx.Corrupt(ref.ID, "%s of %d pages", kind, h.count)
	}
	return nil
}

// checkExtent compares a whole extent with the reference that led to it, and
// returns its header.
func checkExtent(b []byte, ref tx.Ref, kind tx.Kind, hwm tx.PageID) (pageHeader, error) {
	h := decodePageHeader(b)
	if err := h.check(ref, kind, hwm); err != nil {
		return h, err
	}
	if pageSum(ref.ID, b) != h.checksum {
		return h, tx.Corrupt(ref.ID, "checksum does not match")
	}
	return h, nil
}

// An extentSum checks an extent that comes in pieces, of which the first holds
// the header.
type extentSum struct {
	digest xxhash.Digest
	header pageHeader
	begun  bool
}

// begin starts with an extent whose first page is id.
func (s *extentSum) begin(id tx.PageID) {
	s.digest.ResetWithSeed(uint64(id))
	s.begun = false
}

// add takes the next piece.
func (s *extentSum) add(piece []byte) {
	if !s.begun {
		s.header, s.begun = decodePageHeader(piece), true
		piece = piece[headerID:]
	}
	s.digest.Write(piece)
}

// check returns an error unless the extent is e, whole and born by txid.
func (s *extentSum) check(e extent, txid tx.TxID) error {
	h := &s.header
	switch {
	case h.id != e.first:
		return tx.Corrupt(e.first, "header belongs to page %d", h.id)
	case h.count != e.count:
		return tx.Corrupt(e.first, "extent has %d pages instead of %d", h.count, e.count)
	case h.birth > txid:
		return tx.Corrupt(e.first, "born in transaction %d, after %d", h.birth, txid)
	case s.digest.Sum64() != h.checksum:
		return tx.Corrupt(e.first, "checksum does not match")
	}
	return nil
}

// firstPage returns the first page behind the metas.
func firstPage(pageSize int) tx.PageID {
	return tx.PageID(max(1, metaRegion/pageSize))
}

// birthOf returns the largest txid up to now whose low half is stamp.
func birthOf(stamp uint32, now tx.TxID) tx.TxID {
	t := now&^0xffffffff | tx.TxID(stamp)
	switch {
	case t <= now:
		return t
	case t>>32 != 0:
		return t - 1<<32
	}
	return 1 // no such transaction: the smallest errs on the safe side
}

// Verify implements tx.Source: it checks the extent that ref names in the
// mapping of s, and returns how many pages it has.
func (s *store) Verify(snap *tx.Snapshot, ref tx.Ref, kind tx.Kind) (uint32, error) {
	if ref.ID < s.first || ref.ID >= snap.HWM {
		return 0, tx.Corrupt(ref.ID, "reference leads outside pages %d to %d",
			s.first, snap.HWM)
	}
	off := uint64(ref.ID) << snap.Shift
	if off+uint64(s.pageSize) > uint64(len(snap.Data)) {
		return 0, tx.Corrupt(ref.ID, "page is behind the end of the mapping")
	}
	h := decodePageHeader(snap.Data[off : off+headerSize])
	if err := h.check(ref, kind, snap.HWM); err != nil {
		return 0, err
	}
	if err := h.checkFile(s.tag); err != nil {
		return 0, err
	}
	if h.birth > snap.Written {
		return 0, tx.Corrupt(ref.ID, "born in transaction %d, and the file ends with %d",
			h.birth, snap.Written)
	}
	end := off + uint64(h.count)<<snap.Shift
	if end > uint64(len(snap.Data)) {
		return 0, tx.Corrupt(ref.ID, "extent of %d pages passes the mapping", h.count)
	}
	b := snap.Data[off:end]
	if pageSum(ref.ID, b) != h.checksum {
		return 0, tx.Corrupt(ref.ID, "checksum does not match")
	}
	return h.count, nil
}
