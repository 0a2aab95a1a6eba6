package tx

import (
	"bytes"
	"errors"
	"fmt"
)

// check proves N2 for a node that was read from a file: every length and offset
// that searching and editing rely on lies in bounds, and heads do not descend.
// It costs one pass and is made on the first touch of a page, after its
// checksum. Whatever the bytes are, it returns.
func (n node) check() error {
	if err := n.checkHeader(); err != nil {
		return err
	}
	if err := n.checkHeads(); err != nil {
		return err
	}
	switch {
	case n.branch():
		return n.checkBranch()
	case n.fixed():
		return n.checkFixed()
	}
	return n.checkLeaf(true)
}

func (n node) checkHeader() error {
	if len(n) < nodeHeader || n[0] > flagFixed && n[0] != flagWhole {
		return fmt.Errorf("unknown node layout %d", n[0])
	}
	if n.heads() > len(n) {
		return fmt.Errorf("prefix of %d bytes", u16(n[4:]))
	}
	if n.arraysEnd() > len(n) {
		return fmt.Errorf("%d records do not fit", n.count())
	}
	if !n.fixed() && (n.low() < n.arraysEnd() || n.low() > len(n)) {
		return fmt.Errorf("cells begin at %d, inside the arrays", n.low())
	}
	if n.fixed() && (n.low() != len(n) || n.dead() != 0) {
		return errors.New("fixed leaf with cells")
	}
	if !n.branch() && n.count() == 0 {
		return errors.New("leaf without records")
	}
	return nil
}

func (n node) checkHeads() error {
	h := n.heads()
	for i, c := 1, n.count(); i < c; i++ {
		if u32(n[h+headSize*i:]) < u32(n[h+headSize*(i-1):]) {
			return fmt.Errorf("record %d is out of order", i)
		}
	}
	return nil
}

func (n node) checkFixed() error {
	size := n.fixedSuffix()
	if size > headSize {
		return fmt.Errorf("fixed suffix of %d bytes", size)
	}
	pad := uint32(uint64(1)<<(32-8*size) - 1)
	for i, c := 0, n.count(); i < c; i++ {
		if n.head(i)&pad != 0 || i > 0 && n.head(i) == n.head(i-1) {
			return fmt.Errorf("fixed key %d is out of order", i)
		}
	}
	return nil
}

// checkLeaf checks the cells of a leaf; buckets tells if it may hold buckets.
func (n node) checkLeaf(buckets bool) error {
	cells := n.dead()
	ascending, overlap, before, end := true, false, 0, 0
	for i, c := 0, n.count(); i < c; i++ {
		at := n.cellAt(i)
		ascending, overlap = ascending && at >= before, overlap || at < end
		if at < n.low() || at+cellHeader > len(n) {
			return fmt.Errorf("cell %d lies at %d", i, at)
		}
		a := u16(n[at:])
		if a&longBit != 0 && (a&lengthMask < headSize || n[0] == flagWhole) {
			return fmt.Errorf("long key %d has no head", i)
		}
		if n[0] == flagWhole && !n.wholeKey(i, at+cellHeader, a&lengthMask) {
			return fmt.Errorf("whole key %d differs from its head", i)
		}
		if at+n.cellSize(i) > len(n) || a&(longBit>>1) != 0 {
			return fmt.Errorf("cell %d ends outside the node", i)
		}
		if err := n.checkValue(i, buckets); err != nil {
			return err
		}
		size := n.cellSize(i)
		cells += size
		before, end = at, at+size
	}
	if ascending && overlap { // cells in key order are moved as they lie
		return errors.New("cells overlap")
	}
	return n.checkCells(cells)
}

// wholeKey tells whether the key of size bytes at at is what prefix and head i say.
func (n node) wholeKey(i, at, size int) bool {
	p := u16(n[4:])
	if size < p || at+size > len(n) {
		return false
	}
	key := n[at : at+size]
	return bytes.Equal(key[:p], n.prefix()) && headOf(key[p:]) == n.head(i)
}

// checkCells checks that the cells, dead ones included, fill the room behind
// low: then they do not overlap more than editing can bear.
func (n node) checkCells(cells int) error {
	if cells != len(n)-n.low() {
		return fmt.Errorf("cells take %d bytes of %d", cells, len(n)-n.low())
	}
	return nil
}

func (n node) checkValue(i int, buckets bool) error {
	switch kind, v := n.value(i); kind {
	case valueInline:
		return nil
	case valueExtent:
		if len(v) != longRefSize {
			return fmt.Errorf("record %d has a value place of %d bytes", i, len(v))
		}
		if size := decodeLong(v).size; size > MaxValueSize {
			return fmt.Errorf("record %d has a value of %d bytes", i, size)
		}
		return nil
	case valueBucket:
		if !buckets || len(v) < BucketHeaderSize {
			return fmt.Errorf("record %d is no whole bucket", i)
		}
		return checkInline(DecodeBucketHeader(v), v[BucketHeaderSize:])
	}
	return fmt.Errorf("record %d has an unknown kind of value", i)
}

// checkInline checks what follows a bucket header.
func checkInline(h BucketHeader, rest node) error {
	if h.Root.ID != 0 || len(rest) == 0 {
		if len(rest) != 0 || h.Root.ID == 0 && h.Count != 0 {
			return errors.New("bucket with a root page and an inline leaf, or neither")
		}
		return nil
	}
	if err := rest.checkHeader(); err != nil {
		return fmt.Errorf("inline bucket: %w", err)
	}
	if rest.branch() || uint64(rest.count()) != h.Count {
		return errors.New("inline bucket is no leaf of its count")
	}
	if err := rest.checkHeads(); err != nil {
		return fmt.Errorf("inline bucket: %w", err)
	}
	if rest.fixed() {
		return rest.checkFixed()
	}
	return rest.checkLeaf(false)
}

func (n node) checkBranch() error {
	for i := 0; i <= n.count(); i++ {
		if n.child(i).ID == 0 {
			return fmt.Errorf("child %d is none", i)
		}
	}
	offsets, p := n.sepOffsets(), u16(n[4:])
	cells := n.dead()
	for i, c := 0, n.count(); i < c; i++ {
		at := u16(n[offsets+2*i:])
		if at <= headSize {
			if p+at == 0 {
				return fmt.Errorf("separator %d is empty", i)
			}
			continue
		}
		if at < n.low() || at+branchCell > len(n) {
			return fmt.Errorf("separator %d lies at %d", i, at)
		}
		a := u16(n[at:])
		size := a & lengthMask
		end := at + branchCell + size - headSize
		if a&longBit != 0 {
			end += longRefSize
		}
		if size < headSize || end > len(n) || a&(longBit>>1) != 0 {
			return fmt.Errorf("separator %d ends outside the node", i)
		}
		cells += end - at
	}
	return n.checkCells(cells)
}
