package tx

import (
	"bytes"
	"encoding/binary"
)

// This file reads and edits leaves in place. What does not fit in place is
// rebuilt from its items (build.go).

// A record is a decoded leaf cell. Its slices point into the node.
type record struct {
	suffix int // bytes of the suffix that the node holds
	rest   []byte
	long   []byte // the place of a long key, or nil
	kind   int
	value  []byte
}

// fixedSuffix and fixedValue are the lengths that all records of a fixed leaf share.
func (n node) fixedSuffix() int { return int(n[1]) }
func (n node) fixedValue() int  { return u16(n[6:]) }

// cellAt returns the offset of cell i of a leaf that is not fixed.
func (n node) cellAt(i int) int { return u16(n[n.heads()+headSize*n.count()+2*i:]) }

// keyPart returns, for the cell at at, how many suffix bytes the node holds,
// where those behind the head lie, and where the key's part of the cell ends.
func (n node) keyPart(at int) (suffix, rest, end int) {
	size := u16(n[at:]) & lengthMask
	at += cellHeader
	if n[0] == flagWhole {
		p := u16(n[4:])
		return size - p, at + p + headSize, at + size
	}
	return size, at, at + max(0, size-headSize)
}

// record decodes record i.
func (n node) record(i int) record {
	if n.fixed() {
		size := n.fixedValue()
		at := n.heads() + headSize*n.count() + i*size
		return record{suffix: n.fixedSuffix(), value: n[at : at+size : at+size]}
	}
	at := n.cellAt(i)
	long, b := u16(n[at:])&longBit != 0, u16(n[at+2:])
	suffix, rest, at := n.keyPart(at)
	r := record{suffix: suffix, kind: b >> kindShift}
	if suffix > headSize {
		r.rest = n[rest:at]
	}
	if long {
		r.long = n[at : at+longRefSize]
		at += longRefSize
	}
	end := at + b&lengthMask
	r.value = n[at:end:end]
	return r
}

// valueAt returns the kind of the value part of record i and where it lies.
func (n node) valueAt(i int) (kind, from, to int) {
	if n.fixed() {
		size := n.fixedValue()
		at := n.heads() + headSize*n.count() + i*size
		return valueInline, at, at + size
	}
	at := n.cellAt(i)
	long, b := u16(n[at:])&longBit != 0, u16(n[at+2:])
	_, _, at = n.keyPart(at)
	if long {
		at += longRefSize
	}
	return b >> kindShift, at, at + b&lengthMask
}

// value returns the kind and the value part of record i: less work than record.
func (n node) value(i int) (kind int, value []byte) {
	kind, from, to := n.valueAt(i)
	return kind, n[from:to:to]
}

// cellSize returns how many bytes cell i takes.
func (n node) cellSize(i int) int {
	at := n.cellAt(i)
	_, _, end := n.keyPart(at)
	size := end - at + u16(n[at+2:])&lengthMask
	if u16(n[at:])&longBit != 0 {
		size += longRefSize
	}
	return size
}

// findLeaf returns the first record whose key is not below key, and whether it
// is key itself.
func (s *Snapshot) findLeaf(n node, key []byte) (int, bool, error) {
	header := u64(n) // one load for count and prefix length
	c, p := int(header>>16&0xffff), int(header>>32&0xffff)
	h := nodeHeader
	if p > 0 {
		if !n.hasPrefix(key, p) {
			if n.against(key) < 0 {
				return 0, false, nil
			}
			return c, false, nil
		}
		key = key[p:]
		h += (p + 3) &^ 3
	}
	head := headOf(key)
	heads := n[h : h+headSize*c]
	i := lowerBound(heads, head)
	if i == c || u32(heads[headSize*i:]) != head {
		return i, false, nil
	}
	if n.fixed() {
		switch size := n.fixedSuffix(); {
		case len(key) == size:
			return i, true, nil
		case len(key) > size:
			return i + 1, false, nil
		}
		return i, false, nil
	}
	if i+1 == c || u32(heads[headSize*(i+1):]) != head {
		d, err := s.compareLeaf(n, i, key)
		if d < 0 {
			i++
		}
		return i, d == 0, err
	}
	return s.findTie(n, i, key, head)
}

// clearlyAbove reports whether key is above all records of a leaf, of which the prefix and
// the last head tell that. A key that is just above the last one may need more.
func (n node) clearlyAbove(key []byte) bool {
	c, p := n.count(), u16(n[4:])
	return c > 0 && n.hasPrefix(key, p) &&
		headOf(key[p:]) > u32(n[n.heads()+headSize*(c-1):])
}

// findTie searches among the records from i on that share one head.
func (s *Snapshot) findTie(n node, i int, key []byte, head uint32) (int, bool, error) {
	h := n.heads()
	end := n.count()
	if head != ^uint32(0) {
		end = i + lowerBound(n[h+headSize*i:h+headSize*end], head+1)
	}
	for i < end {
		mid := int(uint(i+end) >> 1)
		d, err := s.compareLeaf(n, mid, key)
		if err != nil || d == 0 {
			return mid, d == 0, err
		}
		if d < 0 {
			i = mid + 1
		} else {
			end = mid
		}
	}
	return i, false, nil
}

// compareLeaf compares record i, whose head equals that of suffix, with it.
func (s *Snapshot) compareLeaf(n node, i int, suffix []byte) (int, error) {
	at := n.cellAt(i)
	size, rest, end := n.keyPart(at)
	if u16(n[at:])&longBit != 0 {
		return s.compareLong(n[rest:end], decodeLong(n[end:]), u16(n[4:]), suffix)
	}
	if size < headSize || len(suffix) < headSize {
		return compareShort(size, len(suffix)), nil
	}
	return bytes.Compare(n[rest:rest+size-headSize], suffix[headSize:]), nil
}

// appendKey appends the inline bytes of key i to b: all of it unless it is long.
func (n node) appendKey(b []byte, i int) []byte {
	e := n.entry(i)
	b = append(b, n.prefix()...)
	h := [headSize]byte{byte(e.head >> 24), byte(e.head >> 16), byte(e.head >> 8), byte(e.head)}
	b = append(b, h[:min(e.suffix, headSize)]...)
	if e.suffix > headSize {
		b = append(b, n[e.rest:e.rest+e.suffix-headSize]...)
	}
	return b
}

// keySize returns how many inline bytes key i has.
func (n node) keySize(i int) int {
	if n.fixed() {
		return u16(n[4:]) + n.fixedSuffix()
	}
	suffix, _, _ := n.keyPart(n.cellAt(i))
	return u16(n[4:]) + suffix
}

// An entry is a leaf record as a cursor hands it out: decoded in one pass.
type entry struct {
	head     uint32
	suffix   int // bytes of the suffix that the node holds
	rest     int // where those behind the head lie
	long     bool
	kind     int
	from, to int // where the value part lies
}

// entry decodes record i.
func (n node) entry(i int) (e entry) {
	h, c := n.heads(), n.count()
	e.head = u32(n[h+headSize*i:])
	if n.fixed() {
		size := n.fixedValue()
		e.suffix = n.fixedSuffix()
		e.from = h + headSize*c + i*size
		e.to = e.from + size
		return e
	}
	at := u16(n[h+headSize*c+2*i:])
	b := u16(n[at+2:])
	e.long, e.kind = u16(n[at:])&longBit != 0, b>>kindShift
	e.suffix, e.rest, e.from = n.keyPart(at)
	if e.long {
		e.from += longRefSize
	}
	e.to = e.from + b&lengthMask
	return e
}

// putKey writes the inline bytes of the key of e to b, which has room for
// exactly these.
func (n node) putKey(b []byte, e *entry) {
	b = b[copy(b, n.prefix()):]
	if len(b) < headSize {
		for j := range b {
			b[j] = byte(e.head >> (24 - 8*j))
		}
		return
	}
	binary.BigEndian.PutUint32(b, e.head)
	copy(b[headSize:], n[e.rest:])
}

// longKey returns the place of key i if it is long.
func (n node) longKey(i int) (longRef, bool) {
	if n.fixed() {
		return longRef{}, false
	}
	at := n.cellAt(i)
	if u16(n[at:])&longBit == 0 {
		return longRef{}, false
	}
	_, _, end := n.keyPart(at)
	return decodeLong(n[end:]), true
}

// leafNeed returns how many bytes it as a record would take in n.
func (n node) leafNeed(it *item) int {
	return 2 + headSize + n.cellFor(it)
}

// cellFor returns how many bytes the cell of it would take in n.
func (n node) cellFor(it *item) int {
	if n[0] == flagWhole {
		return it.wholeCell()
	}
	return it.cellSize(u16(n[4:]))
}

// insertLeaf inserts it as record i if it fits in place, and tells if it did.
// tidy says that the cells lie in key order and may move: then they still do so
// afterwards.
func (n node) insertLeaf(i int, it *item, tidy bool) bool {
	if n.against(it.key) != 0 || it.long != nil &&
		(n[0] == flagWhole || len(it.key) < u16(n[4:])+headSize) {
		return false
	}
	if n.fixed() {
		return n.insertFixed(i, it)
	}
	if n.room() < n.leafNeed(it) {
		return false
	}
	c, h := n.count(), n.heads()
	offsets := h + headSize*c
	end := offsets + 2*c
	copy(n[offsets+headSize+2*(i+1):], n[offsets+2*i:end])
	copy(n[offsets+headSize:], n[offsets:offsets+2*i])
	copy(n[h+headSize*(i+1):], n[h+headSize*i:offsets])
	n.setCount(c + 1)
	setU32(n[h+headSize*i:], headOf(it.key[u16(n[4:]):]))
	offsets += headSize
	size := n.cellFor(it)
	at := n.low() - size
	if tidy {
		at = n.slide(offsets, i, size)
	}
	n.setLow(n.low() - size)
	n.writeCell(it, at)
	setU16(n[offsets+2*i:], at)
	return true
}

// slide moves the cells of the first i records, which lie below all others, down
// by size bytes, and returns where the room behind them begins.
func (n node) slide(offsets, i, size int) int {
	low, end := n.low(), len(n)
	if next := offsets + 2*(i+1); i+1 < n.count() {
		end = u16(n[next:])
	}
	copy(n[low-size:], n[low:end])
	for o := offsets; o < offsets+2*i; o += 2 {
		setU16(n[o:], u16(n[o:])-size)
	}
	return end - size
}

// writeCell writes the cell of it at at.
func (n node) writeCell(it *item, at int) {
	setU16(n[at+2:], len(it.value)|it.kind<<kindShift)
	to := n[at+cellHeader:]
	if n[0] == flagWhole {
		setU16(n[at:], len(it.key))
		copy(to[copy(to, it.key):], it.value)
		return
	}
	suffix := it.key[u16(n[4:]):]
	if it.long != nil && len(suffix) > longKeyBytes {
		suffix = suffix[:longKeyBytes]
	}
	a := len(suffix)
	if it.long != nil {
		a |= longBit
	}
	setU16(n[at:], a)
	if len(suffix) > headSize {
		to = to[copy(to, suffix[headSize:]):]
	}
	to = to[copy(to, it.long):]
	copy(to, it.value)
}

// pushCell writes the cell of it below the lowest one and returns its offset.
func (n node) pushCell(it *item) int {
	at := n.low() - n.cellFor(it)
	n.setLow(at)
	n.writeCell(it, at)
	return at
}

// close moves the cells of the records before record i, which lie below its own,
// up over it.
func (n node) close(i int) {
	at, size, low := n.cellAt(i), n.cellSize(i), n.low()
	copy(n[low+size:], n[low:at])
	offsets := n.heads() + headSize*n.count()
	for o := offsets; o < offsets+2*i; o += 2 {
		setU16(n[o:], u16(n[o:])+size)
	}
	n.setLow(low + size)
}

// insertFixed inserts a record of the shape that all records of n have.
func (n node) insertFixed(i int, it *item) bool {
	p, size := u16(n[4:]), n.fixedValue()
	if it.kind != valueInline || it.long != nil ||
		len(it.key)-p != n.fixedSuffix() || len(it.value) != size ||
		n.room() < headSize+size {
		return false
	}
	c, h := n.count(), n.heads()
	values := h + headSize*c
	end := values + c*size
	copy(n[values+headSize+(i+1)*size:], n[values+i*size:end])
	copy(n[values+headSize:], n[values:values+i*size])
	copy(n[h+headSize*(i+1):], n[h+headSize*i:values])
	setU32(n[h+headSize*i:], headOf(it.key[p:]))
	copy(n[values+headSize+i*size:], it.value)
	n.setCount(c + 1)
	return true
}

// replaceLeaf gives record i another value if that fits in place, and tells if
// it did. If lent is set, bytes of the old value are left as they are (I6).
func (n node) replaceLeaf(i int, it *item, lent bool) bool {
	if n.fixed() {
		if it.kind != valueInline || len(it.value) != n.fixedValue() {
			return false
		}
		_, old := n.value(i)
		copy(old, it.value)
		return true
	}
	kind, old := n.value(i)
	if kind == it.kind && len(old) == len(it.value) && !lent {
		copy(old, it.value)
		return true
	}
	if it.long != nil && n[0] == flagWhole || n.room() < n.cellFor(it) {
		return false
	}
	n.addDead(n.cellSize(i))
	at := n.pushCell(it)
	setU16(n[n.heads()+headSize*n.count()+2*i:], at)
	return true
}

// removeLeaf removes record i. The values of a fixed leaf move; cells do so only
// if tidy says that they lie in key order and may.
func (n node) removeLeaf(i int, tidy bool) {
	c, h := n.count(), n.heads()
	width := 2
	switch {
	case n.fixed():
		width = n.fixedValue()
	case tidy:
		n.close(i)
	default:
		n.addDead(n.cellSize(i))
	}
	second := h + headSize*c
	end := second + c*width
	copy(n[h+headSize*i:], n[h+headSize*(i+1):second])
	copy(n[second-headSize:], n[second:second+i*width])
	copy(n[second-headSize+i*width:], n[second+(i+1)*width:end])
	n.setCount(c - 1)
}
