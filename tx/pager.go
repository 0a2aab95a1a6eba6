package tx

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync/atomic"
)

// This file is the seam between transactions and the store beneath them, and
// all that package tx knows of the world. Reads go through a concrete
// Snapshot, so that a page look-up costs two loads and no call; writes go
// through the small Pager interface; what needs the file itself goes through
// Host.
//
// Invariants:
//
//	S1 A Snapshot that was published is never changed. A write transaction
//	   works on a copy of its own, whose Overlay it replaces path by path.
//	S2 Every reference to a page carries the low 32 bits of its birth txid,
//	   its stamp; a page whose header differs is damage, not data.
//	S3 Nodes[id] equals a stamp only while the page at id, as it stands in the
//	   mapping, has been verified under that stamp: frame and structure.
//	   Extents[id] says the same of an extent and holds its page count. No txid
//	   has a zero low half, so zero means unverified.
//	S4 Bytes of a page that a reader can reach are never written to.
//	S5 A page keeps its id while it is resident: a transaction that changes one of
//	   its own epoch puts a copy under the same id into its overlay, and nothing
//	   that refers to it has to change. A page of an older epoch is on its way
//	   into the file, and a change gives it a new id, as one in the file.
//	S6 What stands in the mapping is not younger than Written, and refers to
//	   nothing younger.

// PageID is the number of a page: its bytes begin at PageID * page size.
type PageID uint32

// TxID numbers write transactions, and with them the states of the database.
// Its low 32 bits are never zero.
type TxID uint64

// Stamp returns the low 32 bits of the txid, as references to pages carry it.
func (id TxID) Stamp() uint32 { return uint32(id) }

// Next returns the txid after id. It skips those with a zero stamp (S3).
func (id TxID) Next() TxID {
	id++
	if id.Stamp() == 0 {
		id++
	}
	return id
}

// Ref names a page, or the first page of an extent, together with the stamp
// that its header must show. The zero Ref is the empty tree.
type Ref struct {
	ID    PageID
	Stamp uint32
}

// Kind tells what an extent holds. It stands in the page header.
type Kind uint8

// The kinds of pages. Package tx allocates nodes and extents only.
const (
	KindNode     Kind = 1 // a branch or leaf page of a B+tree
	KindExtent   Kind = 2 // the bytes of one long value or long key
	KindManifest Kind = 3 // what one commit wrote, with checksums
	KindChain    Kind = 4 // a link of the free-space chain
	KindLog      Kind = 5 // a log extent
)

// String names the kind as messages and Tx.Page do.
func (k Kind) String() string {
	switch k {
	case KindNode:
		return "node"
	case KindExtent:
		return "extent"
	case KindManifest:
		return "manifest"
	case KindChain:
		return "freelist"
	case KindLog:
		return "log"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// HeaderSize is the number of bytes in front of every extent that belong to
// the page manager. What follows, up to the end of the extent, is its body.
const HeaderSize = 32

// A Page is an extent in memory: born in a write transaction, or resident.
type Page struct {
	Buf   []byte // the whole extent, header room included
	ID    PageID
	Stamp uint32 // of the transaction that it was born in
	Kind  Kind
	Owner TxID        // the transaction that made Buf what it is, and may change it
	Epoch uint64      // of the checkpoint that will write the page; see Snapshot.Epoch
	lent  bool        // slices into Buf were handed out: its bytes stay (I6)
	tidy  bool        // a leaf whose cells lie in key order
	stale atomic.Bool // a branch whose record counts are not all right (C1)

	flying bool // it is being written (Y1)
}

// Ref returns the reference that leads to the page.
func (p *Page) Ref() Ref { return Ref{p.ID, p.Stamp} }

// Body returns the bytes behind the header.
func (p *Page) Body() []byte { return p.Buf[HeaderSize:] }

// BucketHeaderSize is the encoded size of a BucketHeader.
const BucketHeaderSize = 24

// A BucketHeader is what a leaf cell, or the meta for the root bucket, holds
// of a bucket.
//
//	offset  size  field     meaning
//	0       4     root id   0 = no page: an inline leaf follows, or none
//	4       4     stamp     of the root page
//	8       8     sequence  Bucket.Sequence
//	16      8     count     records in the bucket, sub-buckets included
type BucketHeader struct {
	Root     Ref
	Sequence uint64
	Count    uint64
}

// Append appends the encoded header to b.
func (h BucketHeader) Append(b []byte) []byte {
	b = slices.Grow(b, BucketHeaderSize)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.Root.ID))
	b = binary.LittleEndian.AppendUint32(b, h.Root.Stamp)
	b = binary.LittleEndian.AppendUint64(b, h.Sequence)
	return binary.LittleEndian.AppendUint64(b, h.Count)
}

// DecodeBucketHeader decodes the first BucketHeaderSize bytes of b.
func DecodeBucketHeader(b []byte) BucketHeader {
	_ = b[BucketHeaderSize-1]
	return BucketHeader{
		Root: Ref{
			ID:    PageID(binary.LittleEndian.Uint32(b)),
			Stamp: binary.LittleEndian.Uint32(b[4:]),
		},
		Sequence: binary.LittleEndian.Uint64(b[8:]),
		Count:    binary.LittleEndian.Uint64(b[16:]),
	}
}

// A Snapshot is one state of the database, as a transaction reads it: the
// mapping, the resident pages over it, and the roots. It is immutable once
// published (S1).
type Snapshot struct {
	Data    []byte          // the mapped file; may reach beyond its end
	Nodes   []atomic.Uint32 // by page: the stamp under which it was verified as a node
	Extents []atomic.Uint64 // by first page: stamp<<32 | page count of a verified extent
	Overlay Overlay         // pages that count instead of those in Data
	Shift   uint8           // log2 of the page size
	Root    BucketHeader    // the root bucket
	TxID    TxID            // the last transaction that this state holds
	HWM     PageID          // the high-water mark: every page in use is below it
	Written TxID            // the newest state of which every page is in the mapping
	Epoch   uint64          // of a write transaction: counts the checkpoints begun before
	Source  Source          // verifies what was not verified yet
}

// PageSize returns the page size in bytes.
func (s *Snapshot) PageSize() int { return 1 << s.Shift }

// MarkNode notes that the node at ref stands in the mapping and is sound. It
// does nothing for a page beyond the mapping.
func (s *Snapshot) MarkNode(ref Ref) {
	if uint64(ref.ID) < uint64(len(s.Nodes)) {
		s.Nodes[ref.ID].Store(ref.Stamp)
	}
}

// MarkExtent does the same for an extent of count pages.
func (s *Snapshot) MarkExtent(ref Ref, count uint32) {
	if uint64(ref.ID) < uint64(len(s.Extents)) {
		s.Extents[ref.ID].Store(uint64(ref.Stamp)<<32 | uint64(count))
	}
}

// Mark does so for a page that has just been written to its place.
func (s *Snapshot) Mark(p *Page) {
	switch p.Kind {
	case KindNode:
		s.MarkNode(p.Ref())
	case KindExtent:
		count := uint32(len(p.Buf) >> s.Shift)
		s.MarkExtent(p.Ref(), count)
		s.unmark(p.ID+1, count-1)
	}
}

// Reuse takes back what was noted of the pages of a new extent: the overlay knows of
// its first page only, and a forged reference to one of the others would be followed
// to what they held before.
func (s *Snapshot) Reuse(p *Page) {
	s.unmark(p.ID, uint32(len(p.Buf)>>s.Shift))
}

func (s *Snapshot) unmark(id PageID, count uint32) {
	first := min(uint64(id), uint64(len(s.Nodes)))
	end := min(uint64(id)+uint64(count), uint64(len(s.Nodes)))
	nodes, extents := s.Nodes[first:end], s.Extents[first:end]
	for i := range nodes {
		// Most were never noted: these are not written to.
		if nodes[i].Load() != 0 {
			nodes[i].Store(0)
		}
		if extents[i].Load() != 0 {
			extents[i].Store(0)
		}
	}
}

// Source verifies pages of a snapshot on their first touch.
type Source interface {
	// Verify checks the frame of the extent that ref names in s.Data: bounds
	// against the mapping and s.HWM, checksum, id, kind, stamp, page count. It
	// returns how many pages the extent has, or a *CorruptError. It marks nothing.
	Verify(s *Snapshot, ref Ref, kind Kind) (count uint32, err error)
}

// Pager is the write side of the store, for one write transaction. It is used
// by one goroutine at a time.
type Pager interface {
	// TxID returns the id of this transaction, which stamps the pages it allocates.
	TxID() TxID

	// Alloc returns a new extent of count pages for this transaction, with ID,
	// Stamp and Kind set, and raises the high-water mark of the transaction's
	// snapshot (SnapshotOf) above it. Its body is not zeroed. The caller puts it
	// into its overlay.
	Alloc(kind Kind, count uint32) (*Page, error)

	// Free gives back the extent of count pages at ref. An extent that this
	// transaction allocated may be given out again at once; any other takes
	// effect with Commit and stays readable until no snapshot needs it.
	// page is the extent in memory if it is not only in the mapping; its buffer
	// is kept as it is until the transaction ends.
	Free(ref Ref, count uint32, page *Page)

	// Renew returns a page of this transaction under the id of ref, with a buffer of
	// its own: for a resident page, which it replaces, and which stays as it is
	// until no snapshot needs it; or, if old is nil, for one that was spilled.
	Renew(ref Ref, old *Page) *Page

	// SpillLimit returns how many bytes of pages the transaction may have in memory,
	// 0 for any number.
	SpillLimit() int64

	// Spill writes pages of this transaction, in ascending order, to their places,
	// and makes s read them there. Their buffers are gone afterwards.
	Spill(s *Snapshot, pages []*Page) error

	// BeginSpill is Spill that goes on beside the transaction. Its pages keep their
	// buffers, and are not changed, until EndSpill, which waits until they are written
	// and takes those that it is given out of memory; a second one is not begun before.
	// Commit and Rollback wait for what was begun.
	BeginSpill(s *Snapshot, pages []*Page) error
	EndSpill(s *Snapshot, pages []*Page) error

	// Scratch returns a buffer of one page, whose contents are not defined, to be
	// that of a page of this transaction. Recycle gives back the one that it has
	// replaced, if nobody refers to it any more, and Drop does so at the end of
	// the transaction.
	Scratch() []byte
	Recycle(buf []byte)
	Drop(buf []byte)

	// Log returns an empty buffer for the operations of the transaction, and how
	// many bytes of them are of use. If that is zero, they are not noted.
	Log() (buf []byte, limit int)

	// Commit makes the state s, which this transaction built on its base, the
	// newest, and returns when it is durable and published (or, if changed is
	// false, when the base is). ops is what Replay takes to do the same again; it
	// is empty if that is not known. Whatever Commit returns, the transaction has
	// ended.
	Commit(s *Snapshot, changed bool, ops []byte) error

	// Rollback undoes every Alloc and Free and ends the transaction.
	Rollback()
}

// Session is what a read transaction holds of its store.
type Session interface {
	// End gives back the reader's slot. It is called once.
	End()
}

// Host is the store behind a transaction, for what needs more than pages.
type Host interface {
	// Path names the file, for messages.
	Path() string

	// WriteTo writes the state of t as a database of its own: exactly t.Size() bytes.
	WriteTo(t *Tx, w io.Writer) (int64, error)

	// CopyFile does the same into a new file at path, durably.
	CopyFile(t *Tx, path string, mode fs.FileMode) error

	// CheckSpace reports each page that is not in exactly one place: reached
	// (a bit for each page below the high-water mark), free, pending, or the
	// store's own.
	CheckSpace(t *Tx, reached []uint64, report func(error))

	// PageInfo describes the page id as Tx.Page does; nil if there is none.
	PageInfo(t *Tx, id PageID) (*PageInfo, error)

	// Fault turns a recovered panic value into an error if it is a fault inside
	// the mapping, and returns nil for every other value.
	Fault(recovered any) error

	// Ended takes the statistics of a write transaction that has ended.
	Ended(stats *TxStats)
}
