package mapleaf

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/mapleafdb/mapleaf/tx"
)

// The manifest of a commit names every extent that it wrote, chain pages
// included and itself not, in ascending order. It lets one sync make a commit
// durable: after a crash the newest meta counts only if everything that it
// wrote is there. Entries, little-endian:
//
//	offset  size  field     meaning
//	0       4     id        first page of the extent
//	4       4     count     pages
//	8       8     checksum  the one in the extent's header
//
// They stand behind the record in the meta's slot if they fit there, else in an
// extent of kind manifest, directly behind its header.
//
// Invariants:
//
//	F1 Checksums are exact, so what an earlier attempt at the same txid has left
//	   behind does not pass for this one.
//	F2 Ids ascend and extents do not overlap, so reading a manifest costs at most
//	   the file once, whatever its bytes.
const (
	manifestEntrySize = 16
	manifestCount     = 4
	manifestSum       = 8
)

// The entries of one slot must end with it.
const _ = uint(metaSlotSize - metaEntries - metaInline*manifestEntrySize)

type manifestEntry struct {
	extent
	checksum uint64
}

// appendManifest appends the encoded entries to b.
func appendManifest(b []byte, entries []manifestEntry) []byte {
	le := binary.LittleEndian
	for _, e := range entries {
		b = le.AppendUint32(b, uint32(e.first))
		b = le.AppendUint32(b, e.count)
		b = le.AppendUint64(b, e.checksum)
	}
	return b
}

// decodeManifest reads as many entries as b holds.
func decodeManifest(b []byte) []manifestEntry {
	le := binary.LittleEndian
	entries := make([]manifestEntry, 0, len(b)/manifestEntrySize)
	for ; len(b) >= manifestEntrySize; b = b[manifestEntrySize:] {
		entries = append(entries, manifestEntry{
			extent: extent{
				first: tx.PageID(le.Uint32(b)),
				count: le.Uint32(b[manifestCount:]),
			},
			checksum: le.Uint64(b[manifestSum:]),
		})
	}
	return entries
}

// manifestSumOf computes the checksum of encoded entries for the meta of txid.
func manifestSumOf(txid tx.TxID, encoded []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(uint64(txid))
	d.Write(encoded)
	return d.Sum64()
}

// manifestPages returns how many pages an extent for n entries takes, 0 if they
// fit into the meta.
func manifestPages(n, pageSize int) uint32 {
	if n <= metaInline {
		return 0
	}
	return uint32((headerSize + n*manifestEntrySize + pageSize - 1) / pageSize)
}

// checkManifest checks that entries ascend, do not overlap, and lie between the
// metas and the high-water mark of m.
func checkManifest(m *meta, entries []manifestEntry) error {
	next := uint64(firstPage(m.pageSize))
	for _, e := range entries {
		if e.count == 0 || uint64(e.first) < next || e.end() > uint64(m.hwm) {
			return tx.Corrupt(e.first, "manifest names %d pages here", e.count)
		}
		next = e.end()
	}
	return nil
}
