package tx

import (
	"bytes"
)

// This file keeps buckets within buckets. A bucket's record in its parent is
// its header, followed by its leaf if that is small (node.go); the record is
// brought up to date when the transaction commits.
//
//	B1 Within a write transaction the Bucket in kids counts, not its record.
//	B2 A bucket is inlined only if all its records are plain and inline, so
//	   that inline leaves never lead anywhere.

// Bucket returns the nested bucket of that name, or nil if there is none or if
// the name is that of a key with a value.
func (b *Bucket) Bucket(name []byte) (kid *Bucket) {
	t := b.tx
	if !b.readable() {
		return nil
	}
	if kid := b.kid(name); kid != nil {
		return kid
	}
	if !t.managed {
		defer t.guard(armFaults())
	}
	n, p, i, found, err := b.find(name)
	if err != nil {
		t.fail(err)
	}
	if err != nil || !found {
		return nil
	}
	if kind, _ := n.value(i); kind != valueBucket {
		return nil
	}
	return b.open(name, n, p, i)
}

// open makes the Bucket for record i of n.
func (b *Bucket) open(name []byte, n node, p *Page, i int) *Bucket {
	t := b.tx
	var kid *Bucket
	if b == &t.root && t.taken.CompareAndSwap(false, true) {
		kid = &t.first
	} else {
		kid = new(Bucket)
	}
	_, from, to := n.valueAt(i)
	kid.tx, kid.header, kid.FillPercent = t, DecodeBucketHeader(n[from:to]), DefaultFillPercent
	kid.depth = b.depth + 1
	if kid.depth > maxNesting || kid.header.Root.ID != 0 && kid.header.Root == b.header.Root {
		t.fail(Corrupt(kid.header.Root.ID, "buckets are nested in a circle"))
		return nil
	}
	if from += BucketHeaderSize; from < to {
		leaf := t.snap.placeOf(n, p, from, to)
		kid.inline = &leaf
	}
	if t.writing != nil {
		if err := t.foreignKid(kid, n, p); err != nil {
			t.fail(err)
			return nil
		}
		if from < to {
			t.handOut(p) // the record may move, its leaf may not
		}
		b.adopt(kid, bytes.Clone(name))
	}
	return kid
}

// kid returns the Bucket that was opened for name below b, or nil.
func (b *Bucket) kid(name []byte) *Bucket {
	if b.edit == nil {
		return nil
	}
	return b.edit.kids.get(name)
}

// adopt makes kid the one Bucket for its name in b.
func (b *Bucket) adopt(kid *Bucket, name []byte) {
	switch {
	case kid.edit != nil:
	case kid == &b.tx.first:
		kid.edit = &b.tx.firstEdit
	default:
		kid.edit = new(bucketEdit)
	}
	kid.edit.parent, kid.edit.name = b, name
	b.edit.kids.add(kid)
}

// CreateBucket creates a bucket below b and returns it. It returns
// ErrBucketNameRequired, ErrKeyTooLarge, ErrBucketExists, ErrIncompatibleValue if
// name is that of a key with a value, ErrTxNotWritable or ErrTxClosed.
func (b *Bucket) CreateBucket(name []byte) (kid *Bucket, err error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	switch {
	case len(name) == 0:
		return nil, ErrBucketNameRequired
	case len(name) > MaxKeySize:
		return nil, ErrKeyTooLarge
	case b.depth >= MaxBucketDepth:
		return nil, ErrBucketTooDeep
	}
	t := b.tx
	if !t.managed {
		defer t.guardErr(armFaults(), &err)
	}
	if err := t.makeRoom(); err != nil {
		return nil, err
	}
	if err := b.vacant(name); err != nil {
		return nil, err
	}
	if err := b.set(name, BucketHeader{}.Append(nil), valueBucket, false); err != nil {
		return nil, err
	}
	kid = &Bucket{tx: t, FillPercent: DefaultFillPercent, depth: b.depth + 1}
	b.adopt(kid, bytes.Clone(name))
	b.noteCreate(kid)
	return kid, nil
}

// vacant leads to where name belongs in b, as findPath does, and returns an error
// if it is in use.
func (b *Bucket) vacant(name []byte) error {
	t := b.tx
	found, err := b.findPath(name)
	if err != nil {
		t.fail(err)
		return err
	}
	if !found {
		return nil
	}
	f := &t.path[len(t.path)-1]
	if kind, _ := f.node.value(f.idx); kind == valueBucket {
		return ErrBucketExists
	}
	return ErrIncompatibleValue
}

// CreateBucketIfNotExists returns the bucket of that name below b, and creates
// it if it does not exist. Its errors are those of CreateBucket but for
// ErrBucketExists.
func (b *Bucket) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	kid, err := b.CreateBucket(name)
	if err == ErrBucketExists {
		if kid = b.Bucket(name); kid == nil {
			return nil, b.tx.Err()
		}
		return kid, nil
	}
	return kid, err
}

// DeleteBucket deletes the bucket of that name with all that it holds. It
// returns ErrBucketNotFound, ErrIncompatibleValue if name is that of a key with
// a value, ErrTxNotWritable or ErrTxClosed.
func (b *Bucket) DeleteBucket(name []byte) (err error) {
	if err := b.usable(); err != nil {
		return err
	}
	t := b.tx
	if !t.managed {
		defer t.guardErr(armFaults(), &err)
	}
	kid, err := b.claim(name)
	if err != nil {
		return err
	}
	t.writing.cleared = 0
	if err := kid.clear(); err != nil {
		t.fail(err)
		return err
	}
	if err := b.disown(kid); err != nil {
		return err
	}
	b.note(opDrop, name)
	return nil
}

// claim returns the Bucket of that name, for its deletion or move.
func (b *Bucket) claim(name []byte) (*Bucket, error) {
	if kid := b.Bucket(name); kid != nil {
		return kid, nil
	}
	if err := b.tx.Err(); err != nil {
		return nil, err
	}
	if _, _, _, found, err := b.find(name); err != nil || !found {
		b.tx.fail(err)
		if err == nil {
			err = ErrBucketNotFound
		}
		return nil, err
	}
	return nil, ErrIncompatibleValue
}

// disown removes the record of kid from b.
func (b *Bucket) disown(kid *Bucket) error {
	b.edit.kids.remove(kid)
	found, err := b.findPath(kid.edit.name)
	if err != nil {
		b.tx.fail(err)
		return err
	}
	if !found {
		return ErrBucketNotFound
	}
	return b.remove()
}

// MoveBucket moves the bucket of that name from b to dst, with all that it
// holds; handles of it stay valid. It returns ErrBucketNotFound, ErrBucketExists if dst has
// a bucket of that name, ErrIncompatibleValue if the name is that of a key
// with a value in either, ErrBucketTooDeep, ErrSameBuckets if b and dst are the same or dst lies
// within the bucket that is moved, ErrDifferentDB if they belong to different
// transactions, ErrTxNotWritable or ErrTxClosed.
func (b *Bucket) MoveBucket(name []byte, dst *Bucket) (err error) {
	if err := b.usable(); err != nil {
		return err
	}
	if dst == nil {
		return ErrBucketNotFound
	}
	if err := dst.usable(); err != nil {
		return err
	}
	t := b.tx
	if t != dst.tx {
		return ErrDifferentDB
	}
	if !t.managed {
		defer t.guardErr(armFaults(), &err)
	}
	kid, err := b.claim(name)
	if err != nil {
		return err
	}
	if b == dst {
		return ErrSameBuckets
	}
	for up := dst; up != nil; up = up.edit.parent {
		if up == kid {
			return ErrSameBuckets
		}
	}
	if err := dst.fits(kid); err != nil {
		return err
	}
	if err := dst.vacant(name); err != nil {
		return err
	}
	record := append(kid.header.Append(nil), kid.inline.bytes(t.snap)...)
	if err := dst.set(name, record, valueBucket, false); err != nil {
		return err
	}
	if err := b.disown(kid); err != nil {
		return err
	}
	kid.edit.dirty = true
	dst.adopt(kid, kid.edit.name)
	kid.sink(dst.depth + 1)
	b.noteMove(name, dst)
	return nil
}

// fits returns ErrBucketTooDeep if kid, with the buckets in it, would be nested
// too deep below b.
func (b *Bucket) fits(kid *Bucket) error {
	if b.depth >= MaxBucketDepth {
		return ErrBucketTooDeep
	}
	if b.depth < moveWalkDepth {
		return nil
	}
	deepest := kid.depth
	w := walker{
		t:      b.tx,
		node:   func(*Bucket, Ref, node, int) error { return nil },
		extent: func(longRef) error { return nil },
		bucket: func(in *Bucket, _ []byte) error {
			deepest = max(deepest, in.depth)
			return nil
		},
	}
	if err := w.walk(kid); err != nil {
		b.tx.fail(err)
		return err
	}
	if int(b.depth+1+deepest-kid.depth) > MaxBucketDepth {
		return ErrBucketTooDeep
	}
	return nil
}

// sink gives b, and all opened buckets in it, their new depth.
func (b *Bucket) sink(depth int32) {
	b.depth = depth
	for kid := range b.edit.kids.all() {
		kid.sink(depth + 1)
	}
}

// flush brings the records of all changed buckets below b up to date.
func (b *Bucket) flush() error {
	for kid := range b.edit.kids.sorted() {
		if err := kid.flush(); err != nil {
			return err
		}
		if !kid.edit.dirty {
			continue
		}
		if err := kid.arrange(); err != nil {
			return err
		}
		record, err := kid.record()
		if err != nil {
			return err
		}
		found, err := b.findPath(kid.edit.name)
		if err != nil {
			return err
		}
		if !found {
			return Corrupt(b.header.Root.ID, "bucket %q lost its record", kid.edit.name)
		}
		if err := b.set(kid.edit.name, record, valueBucket, true); err != nil {
			return err
		}
		kid.edit.dirty = false
	}
	return nil
}

// record returns what the parent's record says of b, inlining it if it is small.
func (b *Bucket) record() ([]byte, error) {
	t := b.tx
	size := t.snap.PageSize() - HeaderSize
	n := b.inline.bytes(t.snap)
	if len(n) > 0 || b.header.Root.ID == 0 {
		return append(b.header.Append(nil), n...), nil
	}
	n, _, err := t.snap.load(b.header.Root)
	if err != nil {
		return nil, err
	}
	small := inlineLimit(size) - BucketHeaderSize
	if n.branch() || n.used() > 2*small {
		return b.header.Append(nil), nil
	}
	t.resetGather()
	items := t.gatherLeaf(n)
	for i := range items {
		if items[i].kind != valueInline || items[i].long != nil { // B2
			return b.header.Append(nil), nil
		}
	}
	need := leafSize(items)
	if need > small {
		return b.header.Append(nil), nil
	}
	leaf := make(node, need)
	leaf.buildLeaf(items)
	t.free(b.header.Root, 1)
	b.header.Root, b.inline = Ref{}, &place{heap: leaf}
	b.edit.version++
	return append(b.header.Append(nil), leaf...), nil
}
