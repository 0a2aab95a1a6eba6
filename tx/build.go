package tx

import "bytes"

// This file builds nodes from items: for rebuilding, splitting, merging and
// inlining. Editing in place is the fast path; this is the one place that
// chooses a node's prefix and layout.

// An item is a leaf record, or a separator, outside a node. Its slices may
// point into the node that it came from.
type item struct {
	key   []byte // whole, unless long is set: then its first bytes
	long  []byte // longRefSize bytes: where the whole of a long key lies
	kind  int
	value []byte
}

// cellSize returns the size of the leaf cell of it behind a prefix of p bytes.
func (it *item) cellSize(p int) int {
	suffix := len(it.key) - p
	size := cellHeader + len(it.value)
	if it.long != nil {
		size += longRefSize
		suffix = min(suffix, longKeyBytes)
	}
	return size + max(0, suffix-headSize)
}

// wholeCell returns the size of the leaf cell of it in a leaf of whole keys.
func (it *item) wholeCell() int { return cellHeader + len(it.key) + len(it.value) }

// whole tells whether a leaf of many such records behind a prefix of p bytes is one of
// whole keys.
func (it *item) whole(p int) bool {
	return wholePays(p, 2+headSize+it.wholeCell(), 2+headSize+it.cellSize(p))
}

// sepCell returns the size of the branch cell of it behind a prefix of p bytes.
func (it *item) sepCell(p int) int {
	suffix := len(it.key) - p
	if it.long != nil {
		return branchCell + min(suffix, longKeyBytes) - headSize + longRefSize
	}
	if suffix <= headSize {
		return 0
	}
	return branchCell + suffix - headSize
}

// A link is a child of a branch with the separator before it; that of the
// first link of a branch means nothing.
type link struct {
	sep   item
	child Ref
	below uint64
}

// commonPrefix returns the length of the common prefix of a and b.
func commonPrefix(a, b []byte) int {
	c := min(len(a), len(b))
	for i := 0; i < c; i++ {
		if a[i] != b[i] {
			return i
		}
	}
	return c
}

// prefixOf returns the prefix length for keys from first to last, which are in order.
func prefixOf(first, last *item) int {
	return min(commonPrefix(first.key, last.key), first.prefixMax(), last.prefixMax())
}

// leafPrefix is prefixOf over items, of which any may be long. In a forged node, keys
// with the same head may be out of order: the prefix is none that one of them lacks.
func leafPrefix(items []item) int {
	p := prefixOf(&items[0], &items[len(items)-1])
	for i := range items {
		p = min(p, items[i].prefixMax())
	}
	return p
}

// prefixMax returns how much of the key may be taken for the prefix: a long key keeps
// at least a head behind it.
func (it *item) prefixMax() int {
	if it.long != nil {
		return len(it.key) - headSize
	}
	return len(it.key)
}

// before tells whether the key may stand in front of that of next. What a long key has
// in its extent is not looked at.
func (it *item) before(next *item) bool {
	key := it.key
	if next.long != nil {
		key = key[:min(len(key), len(next.key))]
	}
	c := bytes.Compare(key, next.key)
	return c < 0 || c == 0 && (it.long != nil || next.long != nil)
}

// fixedShape tells whether items fit the fixed layout behind a prefix of p bytes.
func fixedShape(items []item, p int) bool {
	first := &items[0]
	if len(first.key)-p > headSize {
		return false
	}
	for i := range items {
		it := &items[i]
		if it.kind != valueInline || it.long != nil ||
			len(it.key) != len(first.key) || len(it.value) != len(first.value) {
			return false
		}
	}
	return true
}

// leafSize returns the size of the node that buildLeaf makes of items.
func leafSize(items []item) int {
	if len(items) == 0 {
		return nodeHeader
	}
	size, _ := leafLayout(items, leafPrefix(items))
	return size
}

// leafLayout returns the size and the layout of the node for items behind a
// prefix of p bytes.
func leafLayout(items []item, p int) (size int, layout byte) {
	size = nodeHeader + (p+3)&^3
	if fixedShape(items, p) {
		return size + len(items)*(headSize+len(items[0].value)), flagFixed
	}
	whole := size
	for i := range items {
		it := &items[i]
		size += 2 + headSize + it.cellSize(p)
		whole += 2 + headSize + it.wholeCell()
		if it.long != nil {
			whole = wholeNever
		}
	}
	if wholePays(p, whole, size) {
		return whole, flagWhole
	}
	return size, 0
}

// Keys are stored whole behind a prefix of up to wholePrefix bytes if that adds
// no more than one part in wholeShare to the leaf. The first bound keeps N3.
const (
	wholePrefix = 8
	wholeShare  = 16
	wholeNever  = 1 << 30
)

// wholePays tells whether keys are stored whole behind a prefix of p bytes, given what they
// take so and what they take without the prefix.
func wholePays(p, whole, size int) bool {
	return p <= wholePrefix && whole-size <= size/wholeShare
}

// buildLeaf writes items, which fit, into n.
func (n node) buildLeaf(items []item) {
	n.clear(0)
	if len(items) == 0 {
		return
	}
	p := leafPrefix(items)
	size, layout := leafLayout(items, p)
	if layout == flagWhole && size > len(n) {
		layout = 0 // a range was deleted: what is left has more in common
	}
	n.writeLeaf(items, p, layout)
}

// writeLeaf does so in a layout, behind a prefix of p bytes. The node is clear.
func (n node) writeLeaf(items []item, p int, layout byte) {
	n[0] = layout
	n.setPrefix(items[0].key[:p])
	h := n.heads()
	n.setCount(len(items))
	for i := range items {
		setU32(n[h+headSize*i:], headOf(items[i].key[p:]))
	}
	second := h + headSize*len(items)
	if layout == flagFixed {
		n[1] = byte(len(items[0].key) - p)
		size := len(items[0].value)
		setU16(n[6:], size)
		for i := range items {
			copy(n[second+i*size:], items[i].value)
		}
		clear(n[n.arraysEnd():])
		return
	}
	for i := len(items) - 1; i >= 0; i-- {
		setU16(n[second+2*i:], n.pushCell(&items[i]))
	}
	clear(n[n.arraysEnd():n.low()])
}

// clear makes n an empty node with the given flags.
func (n node) clear(flags byte) {
	clear(n[:nodeHeader])
	n[0] = flags
	n.setLow(len(n))
}

func (n node) setPrefix(p []byte) {
	setU16(n[4:], len(p))
	clear(n[nodeHeader+copy(n[nodeHeader:], p) : n.heads()])
}

// tidy tells whether the cells of leaf n lie in key order without gaps, as a
// scan likes them: memory is then read from front to back.
func (n node) tidy() bool {
	if n.branch() || n.fixed() {
		return true
	}
	if n.dead() > 0 {
		return false
	}
	offsets := n[n.heads()+headSize*n.count() : n.arraysEnd()]
	for i := 2; i < len(offsets); i += 2 {
		if u16(offsets[i:]) < u16(offsets[i-2:]) {
			return false
		}
	}
	return true
}

// tidyInto writes leaf n to dst, of the same size, with its cells in key order.
func (n node) tidyInto(dst node) {
	end := n.arraysEnd()
	copy(dst, n[:end])
	low := len(n)
	offsets := dst[n.heads()+headSize*n.count() : end]
	for i := n.count() - 1; i >= 0; i-- {
		at, size := n.cellAt(i), n.cellSize(i)
		low -= size
		copy(dst[low:], n[at:at+size])
		setU16(offsets[2*i:], low)
	}
	clear(dst[end:low])
	dst.setLow(low)
	setU16(dst[10:], 0)
}

// branchPrefix is the prefix of the separators of links, the first one's excluded.
func branchPrefix(links []link) int {
	if len(links) < 2 {
		return 0
	}
	p := prefixOf(&links[1].sep, &links[len(links)-1].sep)
	for i := 1; i < len(links); i++ {
		p = min(p, links[i].sep.prefixMax())
	}
	return p
}

// branchSize returns the size of the smallest node that holds links.
func branchSize(links []link) int {
	p := branchPrefix(links)
	size := nodeHeader + (p+3)&^3 + 22*len(links) - 6
	for i := 1; i < len(links); i++ {
		size += links[i].sep.sepCell(p)
	}
	return size
}

// buildBranch writes links, which fit, into n.
func (n node) buildBranch(links []link) {
	n.clear(flagBranch)
	p := branchPrefix(links)
	if len(links) > 1 {
		n.setPrefix(links[1].sep.key[:p])
	}
	c := len(links) - 1
	n.setCount(c)
	h := n.heads()
	offsets := n.sepOffsets()
	for i := range links {
		n.setChild(i, links[i].child)
		n.setBelow(i, links[i].below)
	}
	for i := c - 1; i >= 0; i-- {
		sep := &links[i+1].sep
		setU32(n[h+headSize*i:], headOf(sep.key[p:]))
		at := len(sep.key) - p
		if at > headSize || sep.long != nil {
			at = n.writeSep(sep)
		}
		setU16(n[offsets+2*i:], at)
	}
	clear(n[n.arraysEnd():n.low()])
}

// gatherLeaf appends the records of leaf n to t.items and their keys to
// t.keys, and returns these items. They are valid until resetGather, and as
// long as n is not changed.
func (t *Tx) gatherLeaf(n node) []item {
	c, start := n.count(), len(t.items)
	size := 0
	for i := 0; i < c; i++ {
		size += n.keySize(i)
	}
	if cap(t.keys)-len(t.keys) < size {
		t.keys = make([]byte, 0, size+4096)
	}
	for i := 0; i < c; i++ {
		at := len(t.keys)
		t.keys = n.appendKey(t.keys, i)
		r := n.record(i)
		t.items = append(t.items, item{
			key:  t.keys[at:len(t.keys):len(t.keys)],
			long: r.long, kind: r.kind, value: r.value,
		})
	}
	return t.items[start:]
}

// gatherBranch appends the links of branch n, with page p or nil, to t.links likewise.
func (t *Tx) gatherBranch(n node, p *Page) []link {
	c, start := n.count(), len(t.links)
	size := 0
	for i := 0; i < c; i++ {
		size += n.sepSize(i)
	}
	if cap(t.keys)-len(t.keys) < size {
		t.keys = make([]byte, 0, size+4096)
	}
	for i := 0; i <= c; i++ {
		l := link{child: n.child(i), below: t.snap.below(n, p, i)}
		if i > 0 {
			at := len(t.keys)
			t.keys = n.appendSep(t.keys, i-1)
			_, _, long := n.separator(i - 1)
			l.sep = item{key: t.keys[at:len(t.keys):len(t.keys)], long: long}
		}
		t.links = append(t.links, l)
	}
	return t.links[start:]
}

// resetGather empties what gatherLeaf and gatherBranch collect.
func (t *Tx) resetGather() {
	t.keys, t.items, t.links = t.keys[:0], t.items[:0], t.links[:0]
}

// splitLeaf returns where to cut items so that both halves fit into size
// bytes: at cut if the caller knows better and it fits, else near the middle by
// bytes. It returns 0 if no single cut will do.
func splitLeaf(items []item, size, cut int) int {
	fits := func(k int) bool {
		return leafSize(items[:k]) <= size && leafSize(items[k:]) <= size
	}
	if cut > 0 && cut < len(items) && fits(cut) {
		return cut
	}
	p := leafPrefix(items)
	total := 0
	for i := range items {
		total += 2 + headSize + items[i].cellSize(p)
	}
	mid, sum := 1, 0
	for i := 0; i < len(items)-1; i++ {
		sum += 2 + headSize + items[i].cellSize(p)
		mid = i + 1
		if 2*sum >= total {
			break
		}
	}
	return nearest(mid, len(items), fits)
}

// splitBranch does the same for links.
func splitBranch(links []link, size, cut int) int {
	fits := func(k int) bool {
		return branchSize(links[:k]) <= size && branchSize(links[k:]) <= size
	}
	if cut > 0 && cut < len(links) && fits(cut) {
		return cut
	}
	return nearest(len(links)/2, len(links), fits)
}

// nearest returns the k in [1, n) nearest to mid for which fits holds, or 0.
func nearest(mid, n int, fits func(int) bool) int {
	for d := 0; d < n; d++ {
		if k := mid - d; k > 0 && k < n && fits(k) {
			return k
		}
		if k := mid + d; d > 0 && k > 0 && k < n && fits(k) {
			return k
		}
	}
	return 0
}

// shortestSeparator returns how many bytes of right, which is above left, make
// a key that is above left and not above right.
func shortestSeparator(left, right []byte) int {
	return min(commonPrefix(left, right)+1, len(right))
}
