package mapleaf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/mapleafdb/mapleaf/tx"
)

// A database begins with two metas, each a slot of 4,096 bytes at an offset that
// does not depend on the page size, far enough from the other that one failing
// block does not take both. Little-endian:
//
//	offset  size  field            meaning
//	0       8     magic            "Mapleaf" and a zero byte
//	8       4     format           version of the format, 1
//	12      4     page size        bytes
//	16      8     txid             the state that this meta describes
//	24      8     durable through  the newest txid that was durable when it was written
//	32      4     flags            bit 0: closed properly
//	36      4     high-water mark  every page in use is below it
//	40      24    root bucket      tx.BucketHeader
//	64      8     chain            id and stamp of the newest page of the free-space chain
//	72      4     chain pages      pages in the chain, 0 = none
//	76      8     manifest         id and stamp of the manifest's extent; id 0 = inline
//	84      4     manifest pages   pages of that extent
//	88      4     entries          extents that the manifest names
//	92      4     zero
//	96      8     entries checksum xxhash64 of the entries, seeded with the txid
//	104     24    log              the extent of the redo log that the next epoch uses:
//	                               first page, pages (4 each), salt, zero (8 each)
//	128     24    log              the one that is used after it; both zero = no log
//	152     16    file id          random, from the creation of the file
//	168     8     checksum         xxhash64 of bytes 0 to 167
//	176     3920  entries          of an inline manifest, else zero
//
// Invariants:
//
//	M1 The record, bytes 0 to 175, lies in one sector of the drive, so a torn
//	   write leaves the old record or the new one.
//	M2 A meta is written into the slot that does not hold the newest durable
//	   meta, and at most one meta is in flight.
//	M3 A meta that carries the closed mark was written after everything that it
//	   leads to was durable. It counts without its manifest.
const (
	metaMagic      = 0
	metaFormat     = 8
	metaPageSize   = 12
	metaTxID       = 16
	metaDurable    = 24
	metaFlags      = 32
	metaHWM        = 36
	metaRoot       = 40
	metaChain      = 64
	metaChainPages = 72
	metaManifest   = 76
	metaManPages   = 84
	metaEntryCount = 88
	metaZero       = 92
	metaEntrySum   = 96
	metaLog        = 104
	metaLogSize    = 24
	metaLogPages   = 4
	metaLogSalt    = 8
	metaFileID     = 152
	metaChecksum   = 168
	metaEntries    = 176
	metaSlotSize   = 4096

	metaSlotGap = 16384           // from the one slot to the other
	metaRegion  = metaSlotGap * 2 // bytes at the head of the file without pages
	metaInline  = (4096 - metaEntries) / manifestEntrySize
	metaClosed  = 1 // the flag of a meta written by Close
	formatV1    = 1
)

const metaMagicText = "Mapleaf\x00"

// The root bucket must fill its field, and both logs theirs.
const (
	_ = uint(metaChain - metaRoot - tx.BucketHeaderSize)
	_ = uint(tx.BucketHeaderSize - metaChain + metaRoot)
	_ = uint(metaFileID - metaLog - 2*metaLogSize)
	_ = uint(metaLog + 2*metaLogSize - metaFileID)
)

// A meta is one decoded root record.
type meta struct {
	pageSize   int
	txid       tx.TxID
	durable    tx.TxID
	closed     bool
	hwm        tx.PageID
	root       tx.BucketHeader
	chain      tx.Ref
	chainPages uint32
	manifest   tx.Ref // ID 0: the entries stand in the slot
	manPages   uint32
	entries    []manifestEntry // of an inline manifest
	entryCount uint32
	entrySum   uint64
	logs       [2]logExtent // in the order in which they will be used
	fileID     [16]byte
}

// encode returns the whole slot.
func (m *meta) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, metaSlotSize)
	copy(b[metaMagic:], metaMagicText)
	le.PutUint32(b[metaFormat:], formatV1)
	le.PutUint32(b[metaPageSize:], uint32(m.pageSize))
	le.PutUint64(b[metaTxID:], uint64(m.txid))
	le.PutUint64(b[metaDurable:], uint64(m.durable))
	if m.closed {
		le.PutUint32(b[metaFlags:], metaClosed)
	}
	le.PutUint32(b[metaHWM:], uint32(m.hwm))
	m.root.Append(b[metaRoot:metaRoot])
	le.PutUint32(b[metaChain:], uint32(m.chain.ID))
	le.PutUint32(b[metaChain+4:], m.chain.Stamp)
	le.PutUint32(b[metaChainPages:], m.chainPages)
	le.PutUint32(b[metaManifest:], uint32(m.manifest.ID))
	le.PutUint32(b[metaManifest+4:], m.manifest.Stamp)
	le.PutUint32(b[metaManPages:], m.manPages)
	le.PutUint32(b[metaEntryCount:], m.entryCount)
	le.PutUint64(b[metaEntrySum:], m.entrySum)
	for i, x := range m.logs {
		at := b[metaLog+i*metaLogSize:]
		le.PutUint32(at, uint32(x.first))
		le.PutUint32(at[metaLogPages:], x.count)
		le.PutUint64(at[metaLogSalt:], x.salt)
	}
	copy(b[metaFileID:], m.fileID[:])
	le.PutUint64(b[metaChecksum:], xxhash.Sum64(b[:metaChecksum]))
	if m.manifest.ID == 0 {
		appendManifest(b[metaEntries:metaEntries], m.entries)
	}
	return b
}

// errTorn is what decodeMeta returns for a slot with our magic whose record does
// not agree with its checksum.
var errTorn = errors.New("mapleaf: meta does not match its checksum")

// decodeMeta reads a slot and checks everything that can be checked without the
// rest of the file. Inline entries are read even if they do not match their
// checksum: what that means is for recovery to say.
func decodeMeta(b []byte) (*meta, error) {
	le := binary.LittleEndian
	if len(b) < metaSlotSize || string(b[:len(metaMagicText)]) != metaMagicText {
		return nil, ErrInvalid
	}
	if le.Uint64(b[metaChecksum:]) != xxhash.Sum64(b[:metaChecksum]) {
		return nil, errTorn
	}
	if v := le.Uint32(b[metaFormat:]); v != formatV1 {
		return nil, fmt.Errorf("%w: file has format %d, this version knows format %d",
			ErrVersionMismatch, v, formatV1)
	}
	m := &meta{
		pageSize:   int(le.Uint32(b[metaPageSize:])),
		txid:       tx.TxID(le.Uint64(b[metaTxID:])),
		durable:    tx.TxID(le.Uint64(b[metaDurable:])),
		closed:     le.Uint32(b[metaFlags:])&metaClosed != 0,
		hwm:        tx.PageID(le.Uint32(b[metaHWM:])),
		root:       tx.DecodeBucketHeader(b[metaRoot:]),
		chain:      decodeRef(b[metaChain:]),
		chainPages: le.Uint32(b[metaChainPages:]),
		manifest:   decodeRef(b[metaManifest:]),
		manPages:   le.Uint32(b[metaManPages:]),
		entryCount: le.Uint32(b[metaEntryCount:]),
		entrySum:   le.Uint64(b[metaEntrySum:]),
		fileID:     [16]byte(b[metaFileID:]),
	}
	for i := range m.logs {
		at := b[metaLog+i*metaLogSize:]
		m.logs[i] = logExtent{
			extent{tx.PageID(le.Uint32(at)), le.Uint32(at[metaLogPages:])},
			le.Uint64(at[metaLogSalt:]),
		}
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	if m.manifest.ID == 0 {
		end := metaEntries + int(m.entryCount)*manifestEntrySize
		m.entries = decodeManifest(b[metaEntries:end])
	}
	return m, nil
}

// validate checks the fields of a record whose checksum is right, one by one.
func (m *meta) validate() error {
	if !validPageSize(uint64(m.pageSize)) {
		return tx.Corrupt(0, "meta has page size %d", m.pageSize)
	}
	first := firstPage(m.pageSize)
	switch {
	case m.txid.Stamp() == 0 || m.durable > m.txid && m.logs[0].count == 0:
		return tx.Corrupt(0, "meta has txid %d, durable through %d", m.txid, m.durable)
	case m.hwm < first:
		return tx.Corrupt(0, "meta has high-water mark %d", m.hwm)
	case m.root.Root.ID != 0 && (m.root.Root.ID < first || m.root.Root.ID >= m.hwm):
		return tx.Corrupt(0, "meta has its root at page %d", m.root.Root.ID)
	case m.chainPages > uint32(m.hwm-first):
		return tx.Corrupt(0, "meta has a chain of %d pages", m.chainPages)
	case m.manifest.ID == 0 && m.entryCount > metaInline:
		return tx.Corrupt(0, "meta has %d inline manifest entries", m.entryCount)
	case m.manifest.ID == 0 && m.manPages != 0:
		return tx.Corrupt(0, "meta has %d pages of inline manifest", m.manPages)
	case m.manifest.ID != 0 && (m.manPages == 0 || m.manifest.ID < first ||
		uint64(m.manifest.ID)+uint64(m.manPages) > uint64(m.hwm)):
		return tx.Corrupt(0, "meta has a manifest of %d pages at page %d",
			m.manPages, m.manifest.ID)
	case m.entryCount > uint32(m.hwm):
		return tx.Corrupt(0, "meta has %d manifest entries", m.entryCount)
	}
	return m.validateLogs(first)
}

// validateLogs checks that there are two logs within the file, or none.
func (m *meta) validateLogs(first tx.PageID) error {
	if m.logs == [2]logExtent{} {
		return nil
	}
	for _, x := range m.logs {
		if x.count == 0 || x.salt == 0 || x.first < first || x.end() > uint64(m.hwm) {
			return tx.Corrupt(0, "meta has a log of %d pages at page %d", x.count, x.first)
		}
	}
	if m.closed || m.logs[0].end() > uint64(m.logs[1].first) &&
		m.logs[1].end() > uint64(m.logs[0].first) {
		return tx.Corrupt(0, "meta has logs at pages %d and %d", m.logs[0].first,
			m.logs[1].first)
	}
	return nil
}

func decodeRef(b []byte) tx.Ref {
	return tx.Ref{
		ID:    tx.PageID(binary.LittleEndian.Uint32(b)),
		Stamp: binary.LittleEndian.Uint32(b[4:]),
	}
}

// slotOffset returns where in the file meta slot i begins.
func slotOffset(i int) int64 { return int64(i) * metaSlotGap }
