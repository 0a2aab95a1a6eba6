package tx

// This file fills a leaf from its first record to its last. Cells are to lie in key
// order (tidy), and those that are put in below the others do not; so they are put in
// above the others, from where the arrays will end, as far as that can be guessed. What is
// still free behind them counts as dead. In the end all cells move there at once.
//
//	fresh     arrays | free                         | cells
//	filling   arrays | free | cells          | dead
//	full      arrays | cells
//
//	G1 The node is sound at any time, and whoever meets it half full can use and change it.
//	G2 Cells move only while no bytes of them were handed out (I6).
//	G3 What a filling notes is what the header of its node says.

// leafEntry is what the arrays of a leaf take for a record.
const leafEntry = headSize + 2

// A filling is a leaf, not fixed, that is being filled.
type filling struct {
	node    node
	count   int    // records in it
	prefix  int    // bytes of the prefix
	entries int    // where the arrays end
	low     int    // where the cells begin
	top     int    // where they end; 0 = the leaf is not filled in this way
	head    uint32 // of the last record
	whole   bool
}

// fill begins to fill n, whose cells lie in key order and where nothing is dead.
func (n node) fill() filling {
	c := n.count()
	return filling{
		node: n, count: c, prefix: u16(n[4:]), entries: n.arraysEnd(),
		low: n.low(), top: len(n), head: n.head(c - 1), whole: n[0] == flagWhole,
	}
}

// push puts a record into the leaf whose key is above all others, as its head tells; or
// if the caller knows that it is. It reports false if it is not, or does not fit.
func (f *filling) push(key, value []byte, above bool) bool {
	n := f.node
	if f.prefix > 0 && !n.hasPrefix(key, f.prefix) {
		return false
	}
	head := headOf(key[f.prefix:])
	if head <= f.head && !above {
		return false
	}
	cell := key
	if !f.whole {
		cell = key[min(f.prefix+headSize, len(key)):]
	}
	size := cellHeader + len(cell) + len(value)
	if f.top+size > len(n) || f.entries+leafEntry > f.low {
		if !f.spread(size) {
			return false
		}
	}
	to := n[f.top : f.top+size]
	length := len(key)
	if !f.whole {
		length -= f.prefix
	}
	setU32(to, uint32(length|len(value)<<16))
	copy(to[cellHeader:], cell)
	copy(to[cellHeader+len(cell):], value)

	offsets := f.entries - 2*f.count
	copy(n[offsets+headSize:f.entries+headSize], n[offsets:f.entries])
	setU32(n[offsets:], head)
	setU16(n[f.entries+headSize:], f.top)
	f.head = head
	f.entries += leafEntry
	f.count++
	f.top += size
	n.setCount(f.count)
	n.setDead(len(n) - f.top)
	return true
}

// spread moves the cells so that another one of size bytes fits behind them, and as many
// more as will probably fit. It reports false if it does not fit anyhow.
func (f *filling) spread(size int) bool {
	free := f.low - f.entries + len(f.node) - f.top
	if free < leafEntry+size {
		return false
	}
	// If all are as long as those before, the cells end with the node.
	usual := max((f.top-f.low)/f.count, 1)
	behind := max(free/(leafEntry+usual)*usual, size)
	f.move(len(f.node) - behind - (f.top - f.low))
	return true
}

// gather moves the cells to the end of the leaf, which is as any other then.
func (f *filling) gather() {
	if f.top < len(f.node) {
		f.move(f.low + len(f.node) - f.top)
	}
	f.top = 0
}

// move moves the cells so that they begin at to. What lies behind them is dead.
func (f *filling) move(to int) {
	n, by := f.node, to-f.low
	copy(n[to:], n[f.low:f.top])
	offsets := n[f.entries-2*f.count : f.entries]
	for ; len(offsets) >= 2; offsets = offsets[2:] {
		setU16(offsets, u16(offsets)+by)
	}
	clear(n[min(f.low, to):to])
	f.low, f.top = to, f.top+by
	n.setLow(f.low)
	n.setDead(len(n) - f.top)
}

func (n node) setDead(v int) { setU16(n[10:], v) }

// fullFixed tells whether it has the shape that all records of fixed leaf n have, and would
// be one too many. No other layout holds more of them.
func (n node) fullFixed(it *item) bool {
	p, size := u16(n[4:]), n.fixedValue()
	return n.fixed() && n.against(it.key) == 0 && it.kind == valueInline && it.long == nil &&
		len(it.key)-p == n.fixedSuffix() && len(it.value) == size && n.room() < headSize+size
}
