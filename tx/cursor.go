package tx

import "bytes"

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
	version uint64
	depth   int
	path    [cursorDepth]step
	deeper  []step
	state   cursorState
	kind    uint8 // of the current value
	leaf    leafShape
	keys    keyArena
	direct  bool   // the current key lies in the current leaf
	whole   []byte // the current key if it lies neither there nor in keys
	before  []byte // scratch
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

// A leafShape is what the header of the current leaf says, so that a step within
// the leaf need not look again.
type leafShape struct {
	layout  byte
	direct  bool // keys are handed out as they lie there
	prefix  int  // its length
	heads   int  // where they begin
	offsets int  // where the offsets begin
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

// Next moves to the next key. Past the last key it returns nil and stays there.
// On a cursor that was not moved by First, Last or Seek it returns nil.
func (c *Cursor) Next() (key, value []byte) {
	t := c.bucket.tx
	if c.direct && t.managed && !t.closed.Load() {
		// The usual scan: a reader in a leaf of whole keys, which cannot change.
		if s := c.top(); s.idx+1 < s.n {
			s.idx++
			return c.current()
		}
	}
	return c.next()
}

// next is Next in all its cases.
func (c *Cursor) next() (key, value []byte) {
	t := c.bucket.tx
	if !t.managed {
		defer t.guard(armFaults())
	}
	if c.state != cursorAt || c.version != c.bucket.version() || !c.bucket.readable() {
		return c.resume(true)
	}
	if s := c.top(); s.idx+1 < s.n {
		s.idx++
		return c.current()
	}
	return c.nextLeaf()
}

// Prev moves to the key before. Before the first key it returns nil and stays
// there. On a cursor that was not moved by First, Last or Seek it returns nil.
func (c *Cursor) Prev() (key, value []byte) {
	t := c.bucket.tx
	if !t.managed {
		defer t.guard(armFaults())
	}
	if c.state != cursorAt || c.version != c.bucket.version() || !c.bucket.readable() {
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
			c.stay(cursorDeleted, bytes.Clone(seek)) // behind the last key
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
	found, err := b.deleteKey(c.key())
	if err != nil {
		return err
	}
	if !found && c.version == b.version() {
		err := Corrupt(b.header.Root.ID, "key %.40q lies where no search finds it", c.key())
		b.tx.fail(err)
		return err
	}
	c.state = cursorDeleted
	return nil
}
