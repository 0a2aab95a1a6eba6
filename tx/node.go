package tx

import (
	"bytes"
	"encoding/binary"
)

// A node is the body of a branch or leaf page, or of an inline bucket. Four
// layouts share one header:
//
//	offset  size  field
//	0       1     layout: 0 = leaf, 1 = branch, 2 = fixed leaf, 4 = leaf of whole keys
//	1       1     suffix length of every key (fixed leaf)
//	2       2     n: records of a leaf, separators of a branch
//	4       2     p: prefix length
//	6       2     value length of every record (fixed leaf)
//	8       2     low: where the lowest cell begins (len(node) if there is none)
//	10      2     dead: bytes of cells that nothing points to any more
//	12      p     prefix, common to all keys of the node, padded to 4 with zeros
//	h=..    4n    heads
//
// followed, at h + 4n, by
//
//	leaf    2n         offset of each cell; free room; cells
//	fixed   n*length   the values
//	branch  8(n+1)     children {u32 id, u32 stamp}
//	        8(n+1)     records below each child
//	        2n         offset of each cell, or, up to 4, the separator's suffix
//	                   length when the head holds all of it; free room; cells
//
// A suffix is a key without the prefix. A head is the first four bytes of the
// suffix, zero-padded, compared as a big-endian number; it decides almost every
// comparison without leaving one or two cache lines. A cell of a leaf is
//
//	2   suffix length (14 bits), 1<<15 = the key continues in an extent
//	2   value length (14 bits), kind of the value << 14
//	..  the suffix behind its first four bytes
//	12  where the whole key lies {u32 id, u32 stamp, u32 length}, if it is long
//	..  the value, or {u32 id, u32 stamp, u32 length}, or a BucketHeader and,
//	    if it names no root page, the inline leaf
//
// In a leaf of whole keys the cell has the length of the key instead of that of
// the suffix, and all of the key: a cursor then hands out keys without putting them
// together. A leaf is built so if that adds no more than a sixteenth to it (build.go).
// The cell of a branch is the first two bytes, the suffix behind the head, and
// the place of a long separator.
//
// Invariants:
//
//	N1 Keys strictly ascend. Every key below child i is >= separator i-1 and
//	   < separator i; no bound is kept at the two ends.
//	N2 Every offset and length lies in bounds; check proves it on the first
//	   touch of a page, so that searching needs no further test.
//	N3 Two records of the largest inline size fit into one node.
//	N4 Room between the arrays and low is free: no byte in it was handed out.
type node []byte

const (
	nodeHeader = 12

	flagBranch = 1
	flagFixed  = 2
	flagWhole  = 4

	cellHeader   = 4
	branchCell   = 2
	longRefSize  = 12
	longBit      = 1 << 15
	lengthMask   = 1<<14 - 1
	kindShift    = 14
	longKeyBytes = 64 // bytes of a long key that stay in the node, behind the prefix
	headSize     = 4

	// maxDepth bounds every descent: a sound tree of 2^32 pages is shallower.
	maxDepth = 40
)

// What the value part of a leaf record holds.
const (
	valueInline = 0
	valueExtent = 1
	valueBucket = 2
)

// inlineLimit is the length up to which a key stays whole in a node of the
// given size: a quarter of it, less what keeps N3.
func inlineLimit(size int) int { return (size-64)/4 - 16 }

// inlineValue tells whether a value stays in a node of the given size: up to a
// quarter of the page, and up to half of it together with its key.
func inlineValue(size, key, value int) bool {
	key = min(key, inlineLimit(size))
	return value <= min((size+HeaderSize)/4, lengthMask) && key+value <= 2*inlineLimit(size)
}

func u16(b []byte) int          { return int(binary.LittleEndian.Uint16(b)) }
func u32(b []byte) uint32       { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64       { return binary.LittleEndian.Uint64(b) }
func setU16(b []byte, v int)    { binary.LittleEndian.PutUint16(b, uint16(v)) }
func setU32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func setU64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }

func (n node) branch() bool { return n[0] == flagBranch }
func (n node) fixed() bool  { return n[0] == flagFixed }
func (n node) count() int   { return u16(n[2:]) }
func (n node) low() int     { return u16(n[8:]) }
func (n node) dead() int    { return u16(n[10:]) }

func (n node) setCount(v int) { setU16(n[2:], v) }
func (n node) setLow(v int)   { setU16(n[8:], v) }
func (n node) addDead(v int)  { setU16(n[10:], n.dead()+v) }

func (n node) prefix() []byte { return n[nodeHeader : nodeHeader+u16(n[4:])] }

// heads returns where the heads begin.
func (n node) heads() int { return nodeHeader + (u16(n[4:])+3)&^3 }

func (n node) head(i int) uint32 { return u32(n[n.heads()+4*i:]) }

// arraysEnd returns where the arrays end and the free room begins.
func (n node) arraysEnd() int {
	c, h := n.count(), n.heads()
	switch {
	case n.branch():
		return h + 22*c + 16
	case n.fixed():
		return h + c*(headSize+u16(n[6:]))
	}
	return h + 6*c
}

// room returns how many bytes are free between the arrays and the cells.
func (n node) room() int {
	if n.fixed() {
		return len(n) - n.arraysEnd()
	}
	return n.low() - n.arraysEnd()
}

// used returns how many bytes of the node its records take.
func (n node) used() int { return len(n) - n.room() - n.dead() }

// headOf returns the head of a suffix.
func headOf(s []byte) uint32 {
	if len(s) >= headSize {
		return binary.BigEndian.Uint32(s)
	}
	var h uint32
	for i, c := range s {
		h |= uint32(c) << (24 - 8*i)
	}
	return h
}

// against compares a key with the keys of the node as far as the prefix
// decides it: -1 if the key is below all of them, 1 if it is above, 0 if it
// begins with the prefix.
func (n node) against(key []byte) int {
	p := n.prefix()
	if len(key) < len(p) {
		if c := bytes.Compare(key, p[:len(key)]); c != 0 {
			return c
		}
		return -1
	}
	return bytes.Compare(key[:len(p)], p)
}

// hasPrefix tells whether key begins with the p bytes of the node's prefix. It
// looks at short prefixes as one word.
func (n node) hasPrefix(key []byte, p int) bool {
	if p <= 8 && len(key) >= 8 {
		return (u64(key)^u64(n[nodeHeader:]))<<(64-8*p) == 0
	}
	return len(key) >= p && string(key[:p]) == string(n[nodeHeader:nodeHeader+p])
}

// compareShort compares two suffixes with equal heads of which one, at least,
// is shorter than a head: zero padding hid which is longer.
func compareShort(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A longRef tells where all bytes of a long key or value lie.
type longRef struct {
	Ref
	size uint32
}

func decodeLong(b []byte) longRef {
	_ = b[longRefSize-1]
	return longRef{Ref{PageID(u32(b)), u32(b[4:])}, u32(b[8:])}
}

func (r longRef) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(r.ID))
	b = binary.LittleEndian.AppendUint32(b, r.Stamp)
	return binary.LittleEndian.AppendUint32(b, r.size)
}

// compareLong compares a long key, of which sl suffix bytes stay in the node,
// with a suffix that has the same head. rest is the inline part behind the head,
// p the length of the node's prefix.
func (s *Snapshot) compareLong(rest []byte, r longRef, p int, suffix []byte) (int, error) {
	if len(suffix) < headSize {
		return 1, nil
	}
	tail := suffix[headSize:]
	if len(tail) <= len(rest) {
		if c := bytes.Compare(rest[:len(tail)], tail); c != 0 {
			return c, nil
		}
		return 1, nil
	}
	if c := bytes.Compare(rest, tail[:len(rest)]); c != 0 {
		return c, nil
	}
	key, err := s.extent(r)
	if err != nil {
		return 0, err
	}
	from := p + headSize + len(rest)
	if len(key) < from {
		return 0, Corrupt(r.ID, "long key of %d bytes is shorter than its first part", len(key))
	}
	return bytes.Compare(key[from:], tail[len(rest):]), nil
}

// load returns the node that ref names: from the overlay with its page, or
// from the mapping.
func (s *Snapshot) load(ref Ref) (node, *Page, error) {
	if !s.Overlay.Empty() {
		if p := s.Overlay.Get(ref.ID); p != nil {
			return p.node(ref)
		}
	}
	return s.mapped(ref)
}

// node returns the node that the page in memory is, if it is the one that ref names.
func (p *Page) node(ref Ref) (node, *Page, error) {
	if p.Stamp != ref.Stamp || p.Kind != KindNode {
		return nil, nil, Corrupt(ref.ID, "page in memory has stamp %d, want %d",
			p.Stamp, ref.Stamp)
	}
	return p.Body(), p, nil
}

// mapped is load for a page that is not in the overlay.
func (s *Snapshot) mapped(ref Ref) (node, *Page, error) {
	if uint64(ref.ID) < uint64(len(s.Nodes)) && ref.Stamp != 0 &&
		s.Nodes[ref.ID].Load() == ref.Stamp {
		off := int(ref.ID) << s.Shift
		end := off + 1<<s.Shift
		return node(s.Data[off+HeaderSize : end]), nil, nil // its capacity tells its place
	}
	return s.loadFirst(ref)
}

// loadFirst verifies a page on its first touch.
func (s *Snapshot) loadFirst(ref Ref) (node, *Page, error) {
	count, err := s.Source.Verify(s, ref, KindNode)
	if err != nil {
		return nil, nil, err
	}
	if count != 1 {
		return nil, nil, Corrupt(ref.ID, "node of %d pages", count)
	}
	off := int(ref.ID) << s.Shift
	end := off + 1<<s.Shift
	n := node(s.Data[off+HeaderSize : end])
	if err := n.check(); err != nil {
		return nil, nil, Corrupt(ref.ID, "%v", err)
	}
	s.MarkNode(ref)
	return n, nil, nil
}

// extentPages returns how many pages an extent of size bytes takes.
func extentPages(size uint32, shift uint8) uint32 {
	return uint32((uint64(size) + HeaderSize + (1<<shift - 1)) >> shift)
}

// extent returns the bytes of a long key or value.
func (s *Snapshot) extent(r longRef) ([]byte, error) {
	count := extentPages(r.size, s.Shift)
	if p := s.Overlay.Get(r.ID); p != nil {
		if p.Stamp != r.Stamp || p.Kind != KindExtent || len(p.Buf) != int(count)<<s.Shift {
			return nil, Corrupt(r.ID, "extent in memory is not the one that is referred to")
		}
		end := HeaderSize + int(r.size)
		return p.Buf[HeaderSize:end:end], nil
	}
	mark := uint64(r.Stamp)<<32 | uint64(count)
	if uint64(r.ID) >= uint64(len(s.Extents)) || r.Stamp == 0 || s.Extents[r.ID].Load() != mark {
		got, err := s.Source.Verify(s, r.Ref, KindExtent)
		if err != nil {
			return nil, err
		}
		if got != count {
			return nil, Corrupt(r.ID, "extent has %d pages, want %d for %d bytes",
				got, count, r.size)
		}
		s.MarkExtent(r.Ref, count)
	}
	off := int(r.ID)<<s.Shift + HeaderSize
	end := off + int(r.size)
	return s.Data[off:end:end], nil
}
