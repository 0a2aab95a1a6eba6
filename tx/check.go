package tx

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// KVStringer makes keys and values readable in the messages of Check.
type KVStringer interface {
	KeyToString([]byte) string
	ValueToString([]byte) string
}

// HexKVStringer returns a KVStringer that prints hexadecimal digits.
func HexKVStringer() KVStringer { return hexStringer{} }

type hexStringer struct{}

func (hexStringer) KeyToString(key []byte) string     { return hex.EncodeToString(key) }
func (hexStringer) ValueToString(value []byte) string { return hex.EncodeToString(value) }

type checkConfig struct {
	stringer KVStringer
	page     uint64
}

// CheckOption is an option of Tx.Check.
type CheckOption func(*checkConfig)

// WithKVStringer makes Check print keys with s.
func WithKVStringer(s KVStringer) CheckOption {
	return func(c *checkConfig) { c.stringer = s }
}

// WithPageId makes Check look only at the page id and what lies below it, and
// not at the free space. An id that no bucket reaches is reported.
func WithPageId(pageID uint64) CheckOption {
	return func(c *checkConfig) { c.page = pageID }
}

// Check looks for inconsistencies in all that the transaction sees, and sends
// each to the channel that it returns, which it closes at the end: pages that fail
// their checksum, keys out of order, wrong counts, and pages that are not
// in exactly one place. It reads every page. The channel must be drained, before
// the transaction ends.
func (t *Tx) Check(options ...CheckOption) <-chan error {
	c := &checker{t: t, errs: make(chan error)}
	c.config.stringer = HexKVStringer()
	for _, o := range options {
		o(&c.config)
	}
	go c.run()
	return c.errs
}

// A checker checks I2 to I4 and the accounting of pages.
type checker struct {
	t       *Tx
	config  checkConfig
	errs    chan error
	reached []uint64 // a bit for each page below the high-water mark
	from    bool     // the page to begin from has been found, or none was asked for
	found   bool
}

func (c *checker) run() {
	defer close(c.errs)
	t := c.t
	if t.closed.Load() {
		c.errs <- ErrTxClosed
		return
	}
	defer func(old bool) {
		disarmFaults(old)
		if r := recover(); r != nil {
			before := t.Err()
			t.caught(r)
			if before == nil {
				c.errs <- t.Err()
			}
		}
	}(armFaults())
	c.reached = make([]uint64, (uint64(t.snap.HWM)+63)/64)
	c.from = c.config.page == 0
	c.bucket(&t.root)
	if c.config.page != 0 {
		if !c.found {
			c.errs <- fmt.Errorf("mapleaf: page %d belongs to no bucket", c.config.page)
		}
		return
	}
	t.host.CheckSpace(t, c.reached, func(err error) { c.errs <- err })
}

// report sends an error about page id.
func (c *checker) report(id PageID, format string, args ...any) {
	if c.from {
		c.errs <- Corrupt(id, format, args...)
	}
}

// reach notes that the pages of an extent are in use, and reports the first one that
// was so already: one problem for each reference, however many pages it claims.
func (c *checker) reach(id PageID, count uint32) bool {
	fresh := true
	for ; count > 0; id, count = id+1, count-1 {
		if id >= c.t.snap.HWM {
			c.report(id, "is above the high-water mark %d", c.t.snap.HWM)
			return false
		}
		bit := uint64(1) << (id % 64)
		if c.reached[id/64]&bit != 0 {
			if fresh {
				c.report(id, "is in use twice")
			}
			fresh = false
		}
		c.reached[id/64] |= bit
	}
	return fresh
}

// bucket checks the tree of b and everything below.
func (c *checker) bucket(b *Bucket) {
	var count uint64
	switch n := b.inline.bytes(c.t.snap); {
	case b.header.Root.ID != 0:
		root := subtree{ref: b.header.Root}
		_, count = c.tree(b, &root, 1)
	case len(n) > 0:
		count = uint64(n.count())
		c.keys(b, n, &subtree{})
	}
	if count != b.header.Count {
		c.report(b.header.Root.ID, "bucket has %d records, its header says %d",
			count, b.header.Count)
	}
}

// A subtree is a page with the bounds that its parent sets; nil is none.
type subtree struct {
	ref    Ref
	lo, hi []byte
}

// tree checks the tree at s and returns its height and how many records it has.
func (c *checker) tree(b *Bucket, s *subtree, depth int) (height int, records uint64) {
	if uint64(s.ref.ID) == c.config.page && !c.from {
		c.from, c.found = true, true
		defer func() { c.from = false }()
	}
	if depth > maxDepth {
		c.report(s.ref.ID, "tree is deeper than %d levels", maxDepth)
		return 0, 0
	}
	if !c.reach(s.ref.ID, 1) {
		return 0, 0 // walked already, or nowhere
	}
	n, p, err := c.t.snap.load(s.ref)
	if err != nil {
		if c.from {
			c.errs <- err
		}
		return 0, 0
	}
	if n.branch() {
		return c.branch(b, n, p, s, depth)
	}
	c.keys(b, n, s)
	for i, count := 0, n.count(); i < count; i++ {
		c.record(b, n, p, i)
	}
	return 1, uint64(n.count())
}

// branch checks a branch and its children.
func (c *checker) branch(b *Bucket, n node, p *Page, s *subtree, depth int) (int, uint64) {
	var sum uint64
	height := -1
	lo := s.lo
	for i, count := 0, n.count(); i <= count; i++ {
		hi := s.hi
		if i < count {
			var err error
			if hi, err = c.separator(n, i); err != nil {
				if c.from {
					c.errs <- err
				}
				return 0, 0
			}
			if lo != nil && i > 0 && bytes.Compare(lo, hi) >= 0 {
				c.report(s.ref.ID, "separator %d is out of order", i)
			}
		}
		h, records := c.tree(b, &subtree{n.child(i), lo, hi}, depth+1)
		if noted := c.t.snap.below(n, p, i); records != noted {
			c.report(s.ref.ID, "child %d has %d records, %d are noted", i, records, noted)
		}
		if height >= 0 && h != height {
			c.report(s.ref.ID, "child %d is %d levels high, its neighbour %d", i, h, height)
		}
		height, lo = h, hi
		sum += records
	}
	return height + 1, sum
}

// separator returns separator i of n, and notes its extent.
func (c *checker) separator(n node, i int) ([]byte, error) {
	_, _, long := n.separator(i)
	if long == nil {
		return n.appendSep(nil, i), nil
	}
	return c.long(decodeLong(long))
}

// long notes an extent and returns its bytes.
func (c *checker) long(r longRef) ([]byte, error) {
	c.reach(r.ID, extentPages(r.size, c.t.snap.Shift))
	return c.t.snap.extent(r)
}

// keys checks that the keys of leaf n ascend within the bounds.
func (c *checker) keys(b *Bucket, n node, s *subtree) {
	before := s.lo
	for i, count := 0, n.count(); i < count; i++ {
		key, err := c.t.snap.leafKey(n, i)
		if err != nil {
			continue // reported where its extent is noted
		}
		if before != nil {
			if d := bytes.Compare(before, key); d > 0 || d == 0 && i > 0 {
				c.report(s.ref.ID, "key %s is out of order", c.config.stringer.KeyToString(key))
			}
		}
		if s.hi != nil && bytes.Compare(key, s.hi) >= 0 {
			c.report(s.ref.ID, "key %s belongs to the next page",
				c.config.stringer.KeyToString(key))
		}
		if len(key) == 0 || len(key) > MaxKeySize {
			c.report(s.ref.ID, "key %d has %d bytes", i, len(key))
		}
		before = key
	}
}

// record checks what record i of leaf n leads to.
func (c *checker) record(b *Bucket, n node, p *Page, i int) {
	send := func(err error) {
		if err != nil && c.from {
			c.errs <- err
		}
	}
	if r, long := n.longKey(i); long {
		_, err := c.long(r)
		send(err)
	}
	switch kind, v := n.value(i); kind {
	case valueExtent:
		_, err := c.long(decodeLong(v))
		send(err)
	case valueBucket:
		kid, err := b.peek(n, p, i)
		send(err)
		if err == nil {
			c.bucket(kid)
		}
	}
}
