package tx

import (
	"bytes"
	"encoding/binary"
)

// This file moves a cursor's path through the tree and puts records together.

// none returns what a move returns that found no key.
func (c *Cursor) none() (key, value []byte) { return nil, nil }

// at returns step i of the path.
func (c *Cursor) at(i int) *step {
	if i < cursorDepth {
		return &c.path[i]
	}
	return &c.deeper[i-cursorDepth]
}

func (c *Cursor) top() *step { return c.at(c.depth - 1) }

// reset begins a new path at the root. It returns false if there is nothing to
// move over.
func (c *Cursor) reset() bool {
	c.depth, c.deeper = 0, c.deeper[:0]
	c.state, c.direct = cursorUnset, false
	b := c.bucket
	if !b.readable() {
		return false
	}
	c.version = b.version()
	n, p, err := b.rootNode()
	if err != nil {
		b.tx.fail(err)
		return false
	}
	switch {
	case len(n) == 0:
		return false
	case b.header.Root.ID == 0:
		return c.push(n, nil, *b.inline)
	}
	return c.push(n, p, b.tx.snap.placeOf(n, p, 0, len(n)))
}

// push adds node n, which lies at at, to the path.
func (c *Cursor) push(n node, p *Page, at place) bool {
	if c.depth > maxDepth {
		c.bucket.tx.fail(c.bucket.tooDeep())
		return false
	}
	s := step{place: at, page: p, n: n.count()}
	if n.branch() {
		s.n++
	}
	if c.depth < cursorDepth {
		c.path[c.depth] = s
	} else {
		c.deeper = append(c.deeper, s)
	}
	c.depth++
	return true
}

// pop drops the last step.
func (c *Cursor) pop() {
	c.depth--
	if c.depth >= cursorDepth {
		c.deeper = c.deeper[:c.depth-cursorDepth]
	}
}

// pushChild goes down to the current child of the last step.
func (c *Cursor) pushChild() bool {
	snap, s := c.bucket.tx.snap, c.top()
	return c.enter(snap.load(s.bytes(snap).child(s.idx)))
}

// enter adds a child that was loaded to the path.
func (c *Cursor) enter(n node, p *Page, err error) bool {
	t := c.bucket.tx
	if err != nil {
		t.fail(err)
		return false
	}
	return c.push(n, p, t.snap.placeOf(n, p, 0, len(n)))
}

// descend goes down to a leaf, at the first or last record of each step.
func (c *Cursor) descend(last bool) bool {
	for {
		s := c.top()
		s.idx = 0
		if last {
			s.idx = s.n - 1
		}
		if !s.bytes(c.bucket.tx.snap).branch() {
			c.enterLeaf()
			return true
		}
		if !c.pushChild() {
			return false
		}
	}
}

// seek moves to the first record that is not below key.
func (c *Cursor) seek(key []byte) bool {
	if !c.reset() {
		return false
	}
	t := c.bucket.tx
	for {
		s := c.top()
		n := s.bytes(t.snap)
		var err error
		if !n.branch() {
			c.enterLeaf()
			if s.idx, _, err = t.snap.findLeaf(n, key); err != nil {
				t.fail(err)
				return false
			}
			return s.idx < s.n || c.advance()
		}
		if s.idx, err = t.snap.findBranch(n, key); err != nil {
			t.fail(err)
			return false
		}
		if !c.enter(t.snap.childFor(n, s.idx, key)) {
			return false
		}
	}
}

// advance moves to the first record behind the current leaf. If there is none
// it returns false and the path is as it was.
func (c *Cursor) advance() bool {
	level := c.depth - 2
	for level >= 0 && c.at(level).idx+1 >= c.at(level).n {
		level--
	}
	if level < 0 {
		return false
	}
	for c.depth > level+1 {
		c.pop()
	}
	c.top().idx++
	if c.pushChild() && c.descend(false) {
		return true
	}
	c.state, c.direct = cursorUnset, false
	return false
}

// nextLeaf is Next at the end of a leaf.
func (c *Cursor) nextLeaf() (key, value []byte) {
	c.before = append(c.before[:0], c.key()...)
	if !c.advance() {
		return c.none()
	}
	before := c.before
	c.scanAhead(1)
	key, value = c.current()
	if key != nil && string(key) <= string(before) {
		t := c.bucket.tx
		t.fail(Corrupt(c.bucket.header.Root.ID, "keys do not ascend behind %.40q", before))
		c.state, c.direct = cursorUnset, false
		return c.none()
	}
	return key, value
}

// prev moves to the record before the current one.
func (c *Cursor) prev() (key, value []byte) {
	if s := c.top(); s.idx > 0 {
		s.idx--
		return c.current()
	}
	level := c.depth - 2
	for level >= 0 && c.at(level).idx == 0 {
		level--
	}
	if level < 0 {
		return c.none()
	}
	c.before = append(c.before[:0], c.key()...)
	for c.depth > level+1 {
		c.pop()
	}
	c.top().idx--
	if !c.pushChild() || !c.descend(true) {
		c.state, c.direct = cursorUnset, false
		return c.none()
	}
	before := c.before
	c.scanAhead(-1)
	key, value = c.current()
	if key != nil && string(key) >= string(before) {
		t := c.bucket.tx
		t.fail(Corrupt(c.bucket.header.Root.ID, "keys do not descend before %.40q", before))
		c.state, c.direct = cursorUnset, false
		return c.none()
	}
	return key, value
}

// resume is Next (or Prev) when the path does not lead to the current record:
// after a Delete, and after a change of the bucket.
func (c *Cursor) resume(forward bool) (key, value []byte) {
	if c.state == cursorUnset || !c.bucket.readable() {
		return c.none()
	}
	state, old := c.state, bytes.Clone(c.key())
	found := c.seek(old)
	if c.depth == 0 || c.bucket.tx.Err() != nil {
		c.stay(state, old)
		return c.none()
	}
	if !found {
		// All keys are below old: the path stands behind the last record.
		if forward {
			c.stay(state, old)
			return c.none()
		}
		if s := c.top(); s.idx == s.n {
			s.idx--
		}
		return c.current()
	}
	if key, value = c.current(); key == nil {
		return key, value
	}
	if string(key) < string(old) {
		c.bucket.tx.fail(Corrupt(c.bucket.header.Root.ID, "keys do not ascend at %.40q", old))
		c.state, c.direct = cursorUnset, false
		return c.none()
	}
	if forward && string(key) > string(old) {
		return key, value
	}
	if forward {
		if s := c.top(); s.idx+1 < s.n {
			s.idx++
			return c.current()
		}
		return c.nextLeaf()
	}
	if key, value = c.prev(); key == nil && state == cursorDeleted {
		c.stay(state, old)
	}
	return key, value
}

// stay leaves the cursor where it was before a move that found no key.
func (c *Cursor) stay(state cursorState, key []byte) {
	c.state, c.whole, c.direct = state, key, false
	c.version = c.bucket.version() - 1 // search again at the next move
}

// key returns the key where the cursor stands, or stood when it was deleted.
func (c *Cursor) key() []byte {
	if c.direct {
		s := c.top()
		n := s.bytes(c.bucket.tx.snap)
		_, end, _ := n.valueAt(s.idx)
		return n[n.cellAt(s.idx)+cellHeader : end]
	}
	if c.whole != nil {
		return c.whole
	}
	return c.keys.last()
}

// enterLeaf notes the shape of the leaf at the end of the path.
func (c *Cursor) enterLeaf() {
	n := c.top().bytes(c.bucket.tx.snap)
	h := n.heads()
	c.leaf = leafShape{
		layout:  n[0],
		direct:  n[0] == flagWhole && c.bucket.tx.writing == nil,
		prefix:  u16(n[4:]),
		heads:   h,
		offsets: h + headSize*n.count(),
	}
}

// current returns the record at the end of the path. It is the inner loop of a
// scan.
func (c *Cursor) current() (key, value []byte) {
	s := c.top()
	n := s.bytes(c.bucket.tx.snap)
	if !c.leaf.direct {
		return c.assemble(n, s)
	}
	at := u16(n[c.leaf.offsets+2*s.idx:])
	cell := u32(n[at:])
	at += cellHeader
	mid := at + int(cell&lengthMask)
	end := mid + int(cell>>16)&lengthMask
	key, value = n[at:mid:mid], n[mid:end:end]
	c.state, c.kind, c.direct = cursorAt, uint8(cell>>(16+kindShift)), true
	if c.kind == valueInline {
		return key, value
	}
	return c.withValue(n, s, key, value)
}

// assemble puts the current key together from prefix, head and rest by whole
// words, for which the arena has room to spare and the node nearly always bytes
// to read.
func (c *Cursor) assemble(n node, s *step) (key, value []byte) {
	l := &c.leaf
	if l.layout != 0 {
		return c.copyKey(n, s)
	}
	at := u16(n[l.offsets+2*s.idx:])
	cell := u32(n[at:])
	if cell&longBit != 0 {
		return c.currentLong(n, s)
	}
	suffix := int(cell & lengthMask)
	key = c.keys.take(l.prefix + suffix)
	wide := key[:l.prefix+suffix+arenaSpare]
	if l.prefix <= 8 {
		setU64(wide, u64(n[nodeHeader:]))
	} else {
		copy(wide, n[nodeHeader:nodeHeader+l.prefix])
	}
	wide = wide[l.prefix:]
	binary.BigEndian.PutUint32(wide, u32(n[l.heads+headSize*s.idx:]))
	at += cellHeader
	if rest := suffix - headSize; rest > 0 {
		if rest <= 16 && at+16 <= len(n) {
			setU64(wide[headSize:], u64(n[at:]))
			setU64(wide[headSize+8:], u64(n[at+8:]))
		} else {
			copy(wide[headSize:], n[at:at+rest])
		}
		at += rest
	}
	end := at + int(cell>>16)&lengthMask
	value = n[at:end:end]
	c.arrive(uint8(cell >> (16 + kindShift)))
	if c.kind == valueInline && s.page == nil && c.bucket.tx.writing == nil {
		return key[:len(key):len(key)], value
	}
	return c.withValue(n, s, key[:len(key):len(key)], value)
}

// arrive notes that the cursor stands on a record, whose key is the last in keys.
func (c *Cursor) arrive(kind uint8) {
	c.state, c.kind, c.direct = cursorAt, kind, false
	if c.whole != nil {
		c.whole = nil
	}
}

// copyKey is assemble for a fixed leaf, and, in a write transaction, for one of
// whole keys.
func (c *Cursor) copyKey(n node, s *step) (key, value []byte) {
	e := n.entry(s.idx)
	key = c.keys.take(c.leaf.prefix + e.suffix)
	key = key[:len(key):len(key)]
	n.putKey(key, &e)
	c.arrive(uint8(e.kind))
	value = n[e.from:e.to:e.to]
	if e.kind == valueInline && s.page == nil && c.bucket.tx.writing == nil {
		return key, value
	}
	return c.withValue(n, s, key, value)
}

// currentLong is current for a key that lies in an extent.
func (c *Cursor) currentLong(n node, s *step) (key, value []byte) {
	t := c.bucket.tx
	r, _ := n.longKey(s.idx)
	key, err := t.long(r)
	if err != nil {
		t.fail(err)
		c.state, c.direct = cursorUnset, false
		return c.none()
	}
	kind, value := n.value(s.idx)
	c.arrive(uint8(kind))
	c.whole = bytes.Clone(key) // not the extent itself, which may be in the mapping (I8)
	return c.withValue(n, s, key, value)
}

// withValue returns key with the value that v stands for.
func (c *Cursor) withValue(n node, s *step, key, v []byte) ([]byte, []byte) {
	t := c.bucket.tx
	value, err := t.valueOf(n, s.page, int(c.kind), v)
	if err != nil {
		t.fail(err)
		return c.none()
	}
	return key, value
}
