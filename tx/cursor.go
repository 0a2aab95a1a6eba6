package tx

// Cursor moves over the keys of a bucket in byte order. Nested buckets appear
// with a nil value. It belongs to its transaction and is used by one goroutine.
//
// The transaction may change the bucket while a cursor stands in it, through the
// cursor or otherwise: the cursor then goes on from the key where it stood. The
// keys and values that it returns are valid, and do not change, until the
// transaction ends.
//
//	C1 path leads from the root to the current record, as long as version is
//	   that of the bucket; else key does, by a new search.
//	C2 Moving past either end returns nil and leaves the cursor on the last,
//	   or first, record.
//	C3 A walk never loads more leaves than the database has pages, and keys
//	   ascend across leaves: a tree that shares or repeats nodes is damage.
type Cursor struct {
	bucket  *Bucket
	key     []byte // of the current record; nil before the first move
	kind    int    // of the current value
	state   cursorState
	version uint64
	depth   int
	path    [cursorDepth]step
	deeper  []step
	keys    arena
	fetched byte // keeps fetch from being optimised away
}

type cursorState uint8

const (
	cursorUnset   cursorState = iota // never moved, or the bucket was empty
	cursorAt                         // on a record
	cursorDeleted                    // where key was, or would be: on no record
)

// cursorDepth is how deep a tree a cursor follows without an allocation.
const cursorDepth = 8

// A step is one node on the way to the current record.
type step struct {
	place
	page *Page
	idx  int
	n    int // records of a leaf, children of a branch
}

// Cursor returns a cursor over the bucket, which stands nowhere yet.
func (b *Bucket) Cursor() *Cursor {
	if b.tx.writing != nil {
		b.tx.stats.IncCursorCount(1)
	}
	return &Cursor{bucket: b}
}

// Bucket returns the bucket that the cursor moves in.
func (c *Cursor) Bucket() *Bucket { return c.bucket }

// First moves to the first key. It returns nil if the bucket is empty.
func (c *Cursor) First() (key, value []byte) {
	t := c.bucket.tx
	if !t.managed {
		defer t.guard(armFaults())
	}
	if !c.reset() || !c.descend(false) {
		return c.none()
	}
	return c.current()
}

// Last moves to the last key. It returns nil if the bucket is empty.
func (c *Cursor) Last() (key, value []byte) {
	t := c.bucket.tx
	if !t.managed {
		defer t.guard(armFaults())
	}
	if !c.reset() || !c.descend(true) {
		return c.none()
	}
	return c.current()
}

// Next moves to the next key; before the first move, to the first. Past the last
// key it returns nil and stays there.
func (c *Cursor) Next() (key, value []byte) {
	t := c.bucket.tx
	if !t.managed {
		defer t.guard(armFaults())
	}
	if c.state != cursorAt || c.version != c.bucket.version || !c.bucket.readable() {
		return c.resume(true)
	}
	if s := c.top(); s.idx+1 < s.n {
		s.idx++
		return c.current()
	}
	return c.nextLeaf()
}

// Prev moves to the key before; before the first move, to the last. Before the
// first key it returns nil and stays there.
func (c *Cursor) Prev() (key, value []byte) {
	t := c.bucket.tx
	if !t.managed {
		defer t.guard(armFaults())
	}
	if c.state != cursorAt || c.version != c.bucket.version || !c.bucket.readable() {
		return c.resume(false)
	}
	return c.prev()
}

// Seek moves to key or, if it does not exist, to the next one. It returns nil
// if there is none.
func (c *Cursor) Seek(seek []byte) (key, value []byte) {
	t := c.bucket.tx
	if !t.managed {
		defer t.guard(armFaults())
	}
	if !c.seek(seek) {
		if c.depth > 0 && t.Err() == nil {
			c.stay(cursorDeleted, c.keys.copy(seek)) // behind the last key
		}
		return c.none()
	}
	return c.current()
}

// Delete deletes the key that the cursor stands on; Next then moves to the one
// behind it, and Prev to the one before. It returns ErrIncompatibleValue for a bucket,
// ErrCursorUnset if the cursor stands on no key, ErrTxNotWritable or ErrTxClosed.
func (c *Cursor) Delete() error {
	b := c.bucket
	if err := b.usable(); err != nil {
		return err
	}
	if c.state != cursorAt {
		return ErrCursorUnset
	}
	if c.kind == valueBucket {
		return ErrIncompatibleValue
	}
	if err := b.Delete(c.key); err != nil {
		return err
	}
	c.state = cursorDeleted
	return nil
}

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
	c.depth, c.deeper, c.state = 0, c.deeper[:0], cursorUnset
	b := c.bucket
	if !b.readable() {
		return false
	}
	c.version = b.version
	n, p, err := b.rootNode()
	if err != nil {
		b.tx.fail(err)
		return false
	}
	switch {
	case len(n) == 0:
		return false
	case b.header.Root.ID == 0:
		return c.push(n, nil, b.inline)
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
	t := c.bucket.tx
	s := c.top()
	n, p, err := t.snap.load(s.bytes(t.snap).child(s.idx))
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
		if !c.pushChild() {
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
	c.state = cursorUnset
	return false
}

// nextLeaf is Next at the end of a leaf.
func (c *Cursor) nextLeaf() (key, value []byte) {
	if !c.advance() {
		return c.none()
	}
	before := c.key
	c.fetch()
	key, value = c.current()
	if key != nil && string(key) <= string(before) {
		t := c.bucket.tx
		t.fail(Corrupt(c.bucket.header.Root.ID, "keys do not ascend behind %.40q", before))
		c.state = cursorUnset
		return c.none()
	}
	return key, value
}

// fetch touches every cache line of the leaf that a walk has just reached. The
// loads do not depend on one another, so the memory system overlaps them; record
// by record each would be waited for.
func (c *Cursor) fetch() {
	n := c.top().bytes(c.bucket.tx.snap)
	var sum byte
	for i := n.arraysEnd(); i < len(n); i += 64 {
		sum |= n[i]
	}
	c.fetched = sum
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
	for c.depth > level+1 {
		c.pop()
	}
	c.top().idx--
	if !c.pushChild() || !c.descend(true) {
		c.state = cursorUnset
		return c.none()
	}
	before := c.key
	c.fetch()
	key, value = c.current()
	if key != nil && string(key) >= string(before) {
		t := c.bucket.tx
		t.fail(Corrupt(c.bucket.header.Root.ID, "keys do not descend before %.40q", before))
		c.state = cursorUnset
		return c.none()
	}
	return key, value
}

// resume is Next (or Prev) when the path does not lead to the current record:
// before the first move, after a Delete, and after a change of the bucket.
func (c *Cursor) resume(forward bool) (key, value []byte) {
	if c.state == cursorUnset {
		if !c.reset() || !c.descend(!forward) {
			return c.none()
		}
		return c.current()
	}
	state, old := c.state, c.key
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
	key, value = c.current()
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
	c.state, c.key = state, key
	c.version = c.bucket.version - 1 // search again at the next move
}

// current returns the record at the end of the path.
func (c *Cursor) current() (key, value []byte) {
	t := c.bucket.tx
	s := c.top()
	n := s.bytes(t.snap)
	e := n.entry(s.idx)
	if e.long {
		return c.currentLong(n, s)
	}
	key = c.keys.take(u16(n[4:]) + e.suffix)
	n.putKey(key, &e)
	c.key, c.state, c.kind = key, cursorAt, e.kind
	value = n[e.from:e.to:e.to]
	if e.kind == valueInline && s.page == nil {
		return key, value
	}
	return c.withValue(n, s, value)
}

// currentLong is current for a key that lies in an extent.
func (c *Cursor) currentLong(n node, s *step) (key, value []byte) {
	t := c.bucket.tx
	r, _ := n.longKey(s.idx)
	key, err := t.snap.extent(r)
	if err != nil {
		t.fail(err)
		c.state = cursorUnset
		return c.none()
	}
	c.key, c.state = key, cursorAt
	c.kind, value = n.value(s.idx)
	return c.withValue(n, s, value)
}

// withValue returns the current key with the value that v stands for.
func (c *Cursor) withValue(n node, s *step, v []byte) (key, value []byte) {
	t := c.bucket.tx
	value, err := t.valueOf(n, s.page, c.kind, v)
	if err != nil {
		t.fail(err)
		return c.none()
	}
	return c.key, value
}
