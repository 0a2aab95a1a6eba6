package mapleaf

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// A scrap is a damaged file, of which every page was read once: what each of them is,
// and which transaction it was born in. That is nine bytes for a page.
//
// Invariants:
//
//	X1 A page is good if it, or the extent that begins there, has a header with its own
//	   number, a known kind and the file that a meta or most pages name, and agrees with
//	   its checksum. A node is, too, whatever tx.ViewNode accepts.
//	X2 Pages inside of a good extent are nothing else, whatever they look like.
//	X3 Checksums over several pages that turn out wrong are paid from a budget; when
//	   that is used up, no further one is tried. So are long keys and values, each time
//	   that they are read: in a sound file, no two records have one.
type scrap struct {
	f        file
	size     int64 // bytes
	pageSize int
	shift    uint8
	first    tx.PageID
	state    []byte // by page
	birth    []tx.TxID
	budget   int64     // bytes of checksums that may turn out wrong
	reads    int64     // bytes of extents that may still be read for keys and values
	buf      []byte    // of extents
	tags     []fileTag // of the file, as the metas say, or else the pages

	unreadable uint64
	damaged    SalvagePages // that something refers to
}

// What a page is, in the low bits of its state.
const (
	scrapOther      = iota // nothing that verifies
	scrapEmpty             // zeros
	scrapBranch            // a good one, as all that follow
	scrapLeaf              //
	scrapExtent            // the first page of one
	scrapManifest          // the same
	scrapChain             //
	scrapInside            // behind the first page of an extent
	scrapManInside         // of a manifest
	scrapUnreadable        // the system has returned an error
	scrapKind       = 0x0f
)

// What else is known of it.
const (
	scrapSeen  = 0x10 // it was copied
	scrapDead  = 0x20 // it does not belong to the state that is taken
	scrapBelow = 0x40 // a good node refers to it
	scrapBad   = 0x80 // something refers to it, and it is not that
)

// The budget for wrong checksums: so many times the file, and bytes.
const (
	scrapRetries     = 4
	scrapBudgetLeast = 64 << 20
)

// A metaSlot is one of the two, as it was read.
type metaSlot struct {
	raw  []byte
	meta *meta // nil if it does not verify
	err  error // why
}

// empty reports whether there is nothing in the slot.
func (m *metaSlot) empty() bool { return allZero(m.raw) }

// readSlots reads both metas. A slot that cannot be read is one that does not verify.
func readSlots(f file) (slots [2]metaSlot, err error) {
	for i := range slots {
		s := &slots[i]
		s.raw = make([]byte, metaSlotSize)
		n, err := f.ReadAt(s.raw, slotOffset(i))
		clear(s.raw[n:])
		if err != nil && !errors.Is(err, io.EOF) {
			s.err = fmt.Errorf("mapleaf: read meta %d: %w", i, err)
			continue
		}
		s.meta, s.err = decodeMeta(s.raw)
	}
	for i := range slots {
		if slots[1-i].meta == nil && errors.Is(slots[i].err, ErrVersionMismatch) {
			return slots, slots[i].err
		}
	}
	return slots, nil
}

// newScrap prepares the scan of a file. pageSize is 0 if nobody has said it.
func newScrap(f file, pageSize int, slots [2]metaSlot) (*scrap, error) {
	s := &scrap{f: f}
	var err error
	if s.size, err = f.Size(); err != nil {
		return nil, err
	}
	for i := range slots {
		if m := slots[i].meta; m != nil {
			s.tags = append(s.tags, tagOf(m.fileID))
		}
	}
	for i := range slots {
		if m := slots[i].meta; m != nil && pageSize == 0 {
			pageSize = m.pageSize
			if other := slots[1-i].meta; other != nil && other.pageSize != pageSize {
				pageSize = 0
				break
			}
		}
	}
	if pageSize == 0 {
		if pageSize = s.guessPageSize(); pageSize == 0 {
			return nil, fmt.Errorf("%w: no page verifies", ErrInvalid)
		}
	}
	s.pageSize, s.shift = pageSize, uint8(bits.TrailingZeros(uint(pageSize)))
	s.first = firstPage(pageSize)
	pages := min(s.size>>s.shift, hwmMax)
	if pages > math.MaxInt/16 {
		return nil, fmt.Errorf("%w: its pages are too many for this system", ErrInvalidMapping)
	}
	s.state = make([]byte, pages)
	s.birth = make([]tx.TxID, pages)
	s.budget = max(scrapBudgetLeast, scrapRetries*s.size)
	s.reads = s.budget
	return s, nil
}

// A sizeVote is what pages say if the file has pages of one size.
type sizeVote struct {
	bytes int64   // of pages that verify
	tag   fileTag // of most of them, if there is such a one
	lead  int64   // by how many pages at least
}

// add counts a page.
func (v *sizeVote) add(size int, tag fileTag) {
	v.bytes += int64(size)
	switch {
	case v.lead == 0:
		v.tag, v.lead = tag, 1
	case v.tag == tag:
		v.lead++
	default:
		v.lead--
	}
}

// guessPageSize returns the page size under which most of the file verifies, counting
// extents of one page; 0 if nothing does. If no meta says which file the pages belong to,
// they do.
func (s *scrap) guessPageSize() (best int) {
	buf := make([]byte, readBytes)
	var votes [bits.UintSize]sizeVote
	for off := int64(0); off < s.size; off += readBytes {
		n, _ := s.f.ReadAt(buf[:min(readBytes, s.size-off)], off) // what is missing is no page
		for size := pageSizeMin; size <= pageSizeMax; size *= 2 {
			for at := 0; at+size <= n; at += size {
				page, id := buf[at:at+size], (off+int64(at))/int64(size)
				h := decodePageHeader(page)
				if int64(h.id) == id && h.count == 1 && pageSum(h.id, page) == h.checksum &&
					h.id >= firstPage(size) {
					votes[bits.TrailingZeros(uint(size))].add(size, h.file)
				}
			}
		}
	}
	var most sizeVote
	for size := pageSizeMin; size <= pageSizeMax; size *= 2 {
		if v := votes[bits.TrailingZeros(uint(size))]; v.bytes > most.bytes {
			best, most = size, v
		}
	}
	if len(s.tags) == 0 && most.lead > 0 {
		s.tags = []fileTag{most.tag}
	}
	return best
}

// scan reads every page. tell is called now and then with how many were read.
func (s *scrap) scan(tell func(done uint64) error) error {
	buf := make([]byte, readBytes)
	per := uint64(readBytes >> s.shift)
	inside := uint64(0) // up to this page, they belong to an extent that verifies
	end := uint64(len(s.state))
	for from := uint64(0); from < end; from += per {
		if err := tell(from); err != nil {
			return err
		}
		piece := buf[:min(per, end-from)<<s.shift]
		bad := s.readPiece(piece, from)
		for i := range uint64(len(piece)) >> s.shift {
			id := from + i
			switch {
			case bad[i/64]>>(i%64)&1 != 0:
				s.state[id] = scrapUnreadable
				s.unreadable++
			case id < inside || id < uint64(s.first):
			default:
				inside = id + s.look(tx.PageID(id), piece[i<<s.shift:(i+1)<<s.shift])
			}
		}
	}
	return tell(end)
}

// readPiece reads some pages, and notes those that cannot be read.
func (s *scrap) readPiece(piece []byte, from uint64) (bad [readBytes / pageSizeMin / 64]uint64) {
	off := int64(from) << s.shift
	if _, err := s.f.ReadAt(piece, off); err == nil {
		return bad
	}
	for i := range uint64(len(piece)) >> s.shift {
		page := piece[i<<s.shift : (i+1)<<s.shift]
		if _, err := s.f.ReadAt(page, off+int64(i)<<s.shift); err != nil {
			clear(page)
			bad[i/64] |= 1 << (i % 64)
		}
	}
	return bad
}

// look decides what page id is, and returns how many pages that takes.
func (s *scrap) look(id tx.PageID, page []byte) uint64 {
	h := decodePageHeader(page)
	if h.id != id || h.count == 0 || uint64(id)+uint64(h.count) > uint64(len(s.state)) ||
		h.birth.Stamp() == 0 || len(s.tags) > 0 && !slices.Contains(s.tags, h.file) {
		if allZero(page) {
			s.state[id] = scrapEmpty
		}
		return 1
	}
	state, inside := byte(scrapOther), byte(scrapInside)
	switch h.kind {
	case tx.KindExtent:
		state = scrapExtent
	case tx.KindManifest:
		state, inside = scrapManifest, scrapManInside
	case tx.KindChain:
		state = scrapChain
	case tx.KindNode:
		state = scrapLeaf
	default:
		return 1
	}
	switch {
	case h.count == 1 && pageSum(id, page) != h.checksum:
		return 1
	case h.count > 1 && (state == scrapChain || state == scrapLeaf || !s.whole(h)):
		return 1
	}
	if state == scrapLeaf {
		v, err := tx.ViewNode(page[headerSize:])
		if err != nil {
			return 1
		}
		if v.Branch() {
			state = scrapBranch
		}
	}
	s.state[id], s.birth[id] = state, h.birth
	for i := uint64(1); i < uint64(h.count); i++ {
		if at := uint64(id) + i; s.state[at] != scrapUnreadable {
			s.state[at] = inside
		}
	}
	return uint64(h.count)
}

// whole reports whether an extent of several pages agrees with its checksum (X3).
func (s *scrap) whole(h pageHeader) bool {
	left := int64(h.count) << s.shift
	if s.budget < left {
		return false
	}
	if s.buf == nil {
		s.buf = make([]byte, readBytes)
	}
	var sum extentSum
	sum.begin(h.id)
	for off, rest := int64(h.id)<<s.shift, left; rest > 0; {
		piece := s.buf[:min(rest, int64(len(s.buf)))]
		if _, err := s.f.ReadAt(piece, off); err != nil {
			s.budget -= left
			return false
		}
		sum.add(piece)
		off, rest = off+int64(len(piece)), rest-int64(len(piece))
	}
	if sum.digest.Sum64() != h.checksum {
		s.budget -= left
		return false
	}
	return true
}

// unread notes that the bytes from off to end could not be read, unless it is known of one
// of their pages.
func (s *scrap) unread(off, end int64) {
	first, last := tx.PageID(off>>s.shift), tx.PageID((end-1)>>s.shift)
	for id := first; id <= last; id++ {
		if s.kind(id) == scrapUnreadable {
			return
		}
	}
	if uint64(first) < uint64(len(s.state)) {
		s.state[first] = s.state[first]&^scrapKind | scrapUnreadable
		s.unreadable++
	}
}

// kind returns what page id is.
func (s *scrap) kind(id tx.PageID) byte {
	if uint64(id) >= uint64(len(s.state)) {
		return scrapOther
	}
	return s.state[id] & scrapKind
}

// isNode reports whether page id is a good node.
func (s *scrap) isNode(id tx.PageID) bool {
	k := s.kind(id)
	return k == scrapBranch || k == scrapLeaf
}

// leads reports whether ref leads to a good node.
func (s *scrap) leads(ref tx.Ref) bool {
	return s.isNode(ref.ID) && s.birth[ref.ID].Stamp() == ref.Stamp
}

// node reads the good node at id into buf, which has room for a page, and checks it
// once more. One that fails now is no good node any more.
func (s *scrap) node(id tx.PageID, buf []byte) (tx.NodeView, error) {
	if !s.isNode(id) {
		return tx.NodeView{}, s.broken(id)
	}
	v, err := s.readNode(id, buf[:s.pageSize])
	if err != nil {
		s.unread(int64(id)<<s.shift, int64(id+1)<<s.shift)
	}
	return v, err
}

func (s *scrap) readNode(id tx.PageID, buf []byte) (v tx.NodeView, err error) {
	if _, err := s.f.ReadAt(buf, int64(id)<<s.shift); err != nil {
		return v, tx.Corrupt(id, "it cannot be read: %v", err)
	}
	ref := tx.Ref{ID: id, Stamp: s.birth[id].Stamp()}
	if _, err := checkExtent(buf, ref, tx.KindNode, hwmMax); err != nil {
		return v, err
	}
	return tx.ViewNode(buf[headerSize:])
}

// extent reads the bytes of a long key or value, which are valid until the next call.
func (s *scrap) extent(p tx.Place) ([]byte, error) {
	count := p.Pages(s.shift)
	switch {
	case s.kind(p.Ref.ID) != scrapExtent:
		return nil, s.broken(p.Ref.ID)
	case s.birth[p.Ref.ID].Stamp() != p.Ref.Stamp:
		return nil, tx.Corrupt(p.Ref.ID, "born in transaction %d, reference expects stamp %d",
			s.birth[p.Ref.ID], p.Ref.Stamp)
	case uint64(p.Ref.ID)+uint64(count) > uint64(len(s.state)):
		return nil, tx.Corrupt(p.Ref.ID, "extent of %d pages passes the end", count)
	case int64(count)<<s.shift > min(s.reads, math.MaxInt):
		return nil, tx.Corrupt(p.Ref.ID, "too many records refer to the same bytes")
	}
	n := int(count) << s.shift
	s.reads -= int64(n)
	if len(s.buf) < n {
		s.buf = make([]byte, n)
	}
	b := s.buf[:n]
	if _, err := s.f.ReadAt(b, int64(p.Ref.ID)<<s.shift); err != nil {
		return nil, tx.Corrupt(p.Ref.ID, "it cannot be read: %v", err)
	}
	h, err := checkExtent(b, p.Ref, tx.KindExtent, hwmMax)
	if err == nil && h.count != count {
		err = tx.Corrupt(p.Ref.ID, "extent has %d pages, want %d", h.count, count)
	}
	if err != nil {
		return nil, err
	}
	return b[headerSize:][:p.Size:p.Size], nil
}

// broken returns why page id is none that one could refer to.
func (s *scrap) broken(id tx.PageID) error {
	switch {
	case uint64(id) >= uint64(len(s.state)):
		return tx.Corrupt(id, "file ends at page %d", len(s.state))
	case s.kind(id) == scrapUnreadable:
		return tx.Corrupt(id, "it cannot be read")
	case s.kind(id) == scrapEmpty:
		return tx.Corrupt(id, "nothing but zeros")
	case s.kind(id) == scrapOther:
		return tx.Corrupt(id, "header or checksum is wrong")
	}
	return tx.Corrupt(id, "another page is there, born in transaction %d", s.birth[id])
}

// missed counts a page that something refers to and that is not that.
func (s *scrap) missed(id tx.PageID, kind *uint64, pages uint32) {
	if uint64(id) < uint64(len(s.state)) {
		if s.state[id]&scrapBad != 0 {
			return
		}
		s.state[id] |= scrapBad
	}
	*kind += uint64(pages)
}

// count fills in the report how many pages were what.
func (s *scrap) count(r *SalvageReport) {
	for id := int(s.first); id < len(s.state); id++ {
		switch s.state[id] & scrapKind {
		case scrapBranch:
			r.Good.Branch++
		case scrapLeaf:
			r.Good.Leaf++
		case scrapExtent, scrapInside:
			r.Good.Extent++
		case scrapChain:
			r.Good.FreeSpace++
		case scrapManifest, scrapManInside:
			r.Good.Manifest++
		case scrapEmpty:
			r.Empty++
		case scrapOther:
			if s.state[id]&scrapBad == 0 {
				r.Other++
			}
		}
	}
	r.Damaged, r.Unreadable = s.damaged, s.unreadable
}

// allZero reports whether b holds nothing but zeros.
func allZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeroPage))
		if string(b[:n]) != string(zeroPage[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}
