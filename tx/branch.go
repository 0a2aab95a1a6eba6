package tx

import "bytes"

// This file reads and edits branches in place. A branch of n separators has
// n+1 children; what does not fit in place is rebuilt from its links (build.go).

// children and counts return where these arrays begin.
func (n node) children() int { return n.heads() + headSize*n.count() }
func (n node) counts() int   { return n.heads() + 12*n.count() + 8 }

// sepOffsets returns where the offsets of the separators begin.
func (n node) sepOffsets() int { return n.heads() + 20*n.count() + 16 }

func (n node) child(i int) Ref {
	at := n.children() + 8*i
	return Ref{PageID(u32(n[at:])), u32(n[at+4:])}
}

func (n node) setChild(i int, r Ref) {
	at := n.children() + 8*i
	setU32(n[at:], uint32(r.ID))
	setU32(n[at+4:], r.Stamp)
}

// below returns how many records lie below child i.
func (n node) below(i int) uint64       { return u64(n[n.counts()+8*i:]) }
func (n node) setBelow(i int, v uint64) { setU64(n[n.counts()+8*i:], v) }

// total returns how many records the node holds, or has below it.
func (n node) total() uint64 {
	c := n.count()
	if !n.branch() {
		return uint64(c)
	}
	var sum uint64
	for i := 0; i <= c; i++ {
		sum += n.below(i)
	}
	return sum
}

// findBranch returns the child below which key belongs: the number of
// separators that are not above it.
func (s *Snapshot) findBranch(n node, key []byte) (int, error) {
	header := u64(n) // one load for count and prefix length
	c, p := int(header>>16&0xffff), int(header>>32&0xffff)
	h := nodeHeader
	if p > 0 {
		if !n.hasPrefix(key, p) {
			if n.against(key) < 0 {
				return 0, nil
			}
			return c, nil
		}
		key = key[p:]
		h += (p + 3) &^ 3
	}
	head := headOf(key)
	heads := n[h : h+headSize*c]
	i := lowerBound(heads, head)
	if i == c || u32(heads[headSize*i:]) != head {
		return i, nil
	}
	end := c
	if head != ^uint32(0) {
		end = i + lowerBound(heads[headSize*i:], head+1)
	}
	for i < end {
		mid := int(uint(i+end) >> 1)
		d, err := s.compareBranch(n, mid, key)
		if err != nil {
			return 0, err
		}
		if d <= 0 {
			i = mid + 1
		} else {
			end = mid
		}
	}
	return i, nil
}

// compareBranch compares separator i, whose head equals that of suffix, with it.
func (s *Snapshot) compareBranch(n node, i int, suffix []byte) (int, error) {
	at := u16(n[n.sepOffsets()+2*i:])
	if at <= headSize {
		if at < headSize || len(suffix) < headSize {
			return compareShort(at, len(suffix)), nil
		}
		return compareShort(headSize, len(suffix)), nil
	}
	a := u16(n[at:])
	size := a & lengthMask
	at += branchCell
	if a&longBit != 0 {
		end := at + size - headSize
		return s.compareLong(n[at:end], decodeLong(n[end:]), u16(n[4:]), suffix)
	}
	if len(suffix) < headSize {
		return compareShort(size, len(suffix)), nil
	}
	return bytes.Compare(n[at:at+size-headSize], suffix[headSize:]), nil
}

// separator returns the inline suffix length of separator i, what follows its
// head, and its place if it is long.
func (n node) separator(i int) (size int, rest, long []byte) {
	at := u16(n[n.sepOffsets()+2*i:])
	if at <= headSize {
		return at, nil, nil
	}
	a := u16(n[at:])
	size = a & lengthMask
	at += branchCell
	end := at + size - headSize
	rest = n[at:end]
	if a&longBit != 0 {
		long = n[end : end+longRefSize]
	}
	return size, rest, long
}

// sepSize returns how many bytes of separator i are in the node, prefix included.
func (n node) sepSize(i int) int {
	size, _, _ := n.separator(i)
	return u16(n[4:]) + size
}

// appendSep appends the inline bytes of separator i to b.
func (n node) appendSep(b []byte, i int) []byte {
	b = append(b, n.prefix()...)
	head := n.head(i)
	size, rest, _ := n.separator(i)
	h := [headSize]byte{byte(head >> 24), byte(head >> 16), byte(head >> 8), byte(head)}
	b = append(b, h[:min(size, headSize)]...)
	return append(b, rest...)
}

// insertSep puts separator sep behind child i and right behind it, if that
// fits in place, and tells if it did. The count of child i is left to the caller.
func (n node) insertSep(i int, sep *item, right Ref, below uint64) bool {
	p := u16(n[4:])
	if n.against(sep.key) != 0 || sep.long != nil && len(sep.key) < p+headSize {
		return false
	}
	if n.room() < 22+sep.sepCell(p) {
		return false
	}
	c, h := n.count(), n.heads()
	at := 0
	if suffix := len(sep.key) - p; suffix <= headSize && sep.long == nil {
		at = suffix
	} else {
		at = n.writeSep(sep)
	}
	children, counts, offsets := n.children(), n.counts(), n.sepOffsets()
	end := offsets + 2*c
	copy(n[offsets+20+2*(i+1):], n[offsets+2*i:end])
	copy(n[offsets+20:], n[offsets:offsets+2*i])
	copy(n[counts+12+8*(i+2):], n[counts+8*(i+1):offsets])
	copy(n[counts+12:], n[counts:counts+8*(i+1)])
	copy(n[children+4+8*(i+2):], n[children+8*(i+1):counts])
	copy(n[children+4:], n[children:children+8*(i+1)])
	copy(n[h+headSize*(i+1):], n[h+headSize*i:children])
	n.setCount(c + 1)
	setU32(n[h+headSize*i:], headOf(sep.key[p:]))
	n.setChild(i+1, right)
	n.setBelow(i+1, below)
	setU16(n[n.sepOffsets()+2*i:], at)
	return true
}

// writeSep writes the cell of a separator that its head does not hold.
func (n node) writeSep(sep *item) int {
	p := u16(n[4:])
	suffix := sep.key[p:]
	if sep.long != nil && len(suffix) > longKeyBytes {
		suffix = suffix[:longKeyBytes]
	}
	at := n.low() - sep.sepCell(p)
	n.setLow(at)
	a := len(suffix)
	if sep.long != nil {
		a |= longBit
	}
	setU16(n[at:], a)
	k := copy(n[at+branchCell:], suffix[headSize:])
	copy(n[at+branchCell+k:], sep.long)
	return at
}

// removeSep removes separator i and child j, which is i or i+1.
func (n node) removeSep(i, j int) {
	c, h := n.count(), n.heads()
	if size, _, long := n.separator(i); size > headSize || long != nil {
		dead := branchCell + size - headSize
		if long != nil {
			dead += longRefSize
		}
		n.addDead(dead)
	}
	children, counts, offsets := n.children(), n.counts(), n.sepOffsets()
	end := offsets + 2*c
	copy(n[h+headSize*i:], n[h+headSize*(i+1):children])
	copy(n[children-4:], n[children:children+8*j])
	copy(n[children-4+8*j:], n[children+8*(j+1):counts])
	copy(n[counts-12:], n[counts:counts+8*j])
	copy(n[counts-12+8*j:], n[counts+8*(j+1):offsets])
	copy(n[offsets-20:], n[offsets:offsets+2*i])
	copy(n[offsets-20+2*i:], n[offsets+2*(i+1):end])
	n.setCount(c - 1)
}
