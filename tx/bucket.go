package tx

import (
	"bytes"
)

// DefaultFillPercent is the value of Bucket.FillPercent in a new bucket.
const DefaultFillPercent = 0.5

// Bucket is a sorted collection of keys, each with a value or a bucket of its
// own below it. It is obtained from a transaction and valid until that ends.
type Bucket struct {
	// FillPercent is accepted for programs written for bbolt. Pages here are
	// split where that is best: ascending keys leave full pages behind, others
	// split in the middle by bytes.
	FillPercent float64

	tx     *Tx
	header BucketHeader
	inline *place // the leaf of a bucket that has no page of its own
	edit   *bucketEdit
	depth  int32 // 0 for the root bucket
	gone   bool  // deleted
}

// bucketEdit is what a bucket of a write transaction has besides. There is one
// Bucket for each bucket that was opened, so that all who hold it see its changes.
type bucketEdit struct {
	parent   *Bucket
	name     []byte
	kids     kids
	number   uint64 // in the list of operations, 0 = none yet
	version  uint64 // changes whenever the tree does
	dirty    bool   // header differs from what the parent's record says
	lastPage PageID // where the last record was inserted
	lastIdx  int
}

// version tells one state of the tree from another; cursors compare it.
func (b *Bucket) version() uint64 {
	if b.edit == nil {
		return 0
	}
	return b.edit.version
}

// usable returns why the bucket cannot be changed, if so. Otherwise no page is in flight.
func (b *Bucket) usable() error {
	if err := b.tx.usable(); err != nil {
		return err
	}
	if b.gone {
		return ErrBucketNotFound
	}
	return b.tx.land()
}

// readable tells whether the bucket can be read.
func (b *Bucket) readable() bool { return !b.tx.closed.Load() && !b.gone }

// Tx returns the transaction that the bucket belongs to.
func (b *Bucket) Tx() *Tx { return b.tx }

// Writable tells whether the bucket can be changed.
func (b *Bucket) Writable() bool { return b.tx.Writable() }

// Root returns the page id of the root of the bucket's tree, or 0 if the bucket
// is empty or so small that it lies in its parent's page.
func (b *Bucket) Root() PageID { return b.header.Root.ID }

// Count returns the number of keys in the bucket, those of nested buckets
// counted as one each and not what they hold. It takes constant time.
func (b *Bucket) Count() uint64 {
	if !b.readable() {
		return 0
	}
	return b.header.Count
}

// Get returns the value of key, or nil if there is none or if it names a
// bucket. An empty value is returned as an empty slice that is not nil. The bytes lie
// in the database itself: they are valid, and do not change, until the transaction
// ends, and must not be written to. After damage it returns nil; see Tx.Err.
func (b *Bucket) Get(key []byte) (value []byte) {
	t := b.tx
	if !b.readable() {
		return nil
	}
	if !t.managed {
		defer t.guard(armFaults())
	}
	n, p, i, found, err := b.find(key)
	if err != nil {
		t.fail(err)
		return nil
	}
	if !found {
		return nil
	}
	kind, v := n.value(i)
	if kind == valueInline && p == nil && t.writing == nil {
		return v
	}
	value, err = t.valueOf(n, p, kind, v)
	t.fail(err)
	return value
}

// valueOf returns the value that v, the value part of a record in n, stands for.
func (t *Tx) valueOf(n node, p *Page, kind int, v []byte) ([]byte, error) {
	switch kind {
	case valueBucket:
		return nil, nil
	case valueExtent:
		return t.long(decodeLong(v))
	}
	if t.writing == nil {
		return v, nil
	}
	if t.owns(p) && n.fixed() {
		return t.copies.copy(v), nil // records of a fixed leaf move
	}
	t.handOut(p)
	return v, nil
}

// long returns the bytes of a long key or value, to be handed out.
func (t *Tx) long(r longRef) ([]byte, error) {
	if t.writing != nil {
		t.handOut(t.own.Overlay.Get(r.ID))
	}
	return t.snap.extent(r)
}

// checkKey returns the error for a key that cannot be stored.
func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return ErrKeyRequired
	case len(key) > MaxKeySize:
		return ErrKeyTooLarge
	}
	return nil
}

// Put sets the value of key, which may exist already. Both are copied. It
// returns ErrTxNotWritable, ErrTxClosed, ErrKeyRequired, ErrKeyTooLarge,
// ErrValueTooLarge, or ErrIncompatibleValue if key names a bucket.
func (b *Bucket) Put(key, value []byte) (err error) {
	if err := b.usable(); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if uint64(len(value)) > MaxValueSize {
		return ErrValueTooLarge
	}
	t := b.tx
	if !t.managed {
		defer t.guardErr(armFaults(), &err)
	}
	if err := t.makeRoom(); err != nil {
		return err
	}
	found, err := b.findPath(key)
	if err != nil {
		t.fail(err)
		return err
	}
	if found {
		f := &t.path[len(t.path)-1]
		if kind, _ := f.node.value(f.idx); kind == valueBucket {
			return ErrIncompatibleValue
		}
	}
	if err := b.set(key, value, valueInline, found); err != nil {
		return err
	}
	b.notePut(key, value)
	return nil
}

// set stores a value, or the record of a bucket, where findPath has just led.
func (b *Bucket) set(key, value []byte, kind int, found bool) error {
	t := b.tx
	size := t.snap.PageSize() - HeaderSize
	limit := inlineLimit(size)
	it := item{key: key, kind: kind, value: value}
	if kind == valueInline && !inlineValue(size, len(key), len(value)) {
		r, err := t.newExtent(value)
		if err != nil {
			t.fail(err)
			return err
		}
		it.kind, it.value = valueExtent, r.append(nil)
	}
	if len(key) > limit {
		if found {
			f := &t.path[len(t.path)-1]
			it.key, it.long = key[:limit], bytes.Clone(f.node.record(f.idx).long)
		} else {
			k, err := t.newKey(key)
			if err != nil {
				t.fail(err)
				return err
			}
			it.key, it.long = k.key, k.long
		}
	}
	return b.store(key, &it, found)
}

// Delete removes key and its value. A key that does not exist is no error. It
// returns ErrTxNotWritable, ErrTxClosed, or ErrIncompatibleValue if key names a
// bucket.
func (b *Bucket) Delete(key []byte) error {
	_, err := b.deleteKey(key)
	return err
}

// deleteKey is Delete, and tells whether there was such a key.
func (b *Bucket) deleteKey(key []byte) (found bool, err error) {
	if err := b.usable(); err != nil {
		return false, err
	}
	t := b.tx
	if !t.managed {
		defer t.guardErr(armFaults(), &err)
	}
	if err := t.makeRoom(); err != nil {
		return false, err
	}
	found, err = b.findPath(key)
	if err != nil {
		t.fail(err)
		return false, err
	}
	if !found {
		return false, nil
	}
	f := &t.path[len(t.path)-1]
	if kind, _ := f.node.value(f.idx); kind == valueBucket {
		return true, ErrIncompatibleValue
	}
	if err := b.remove(); err != nil {
		return true, err
	}
	b.note(opDelete, key)
	return true, nil
}

// Sequence returns the bucket's counter without changing it.
func (b *Bucket) Sequence() uint64 {
	if !b.readable() {
		return 0
	}
	return b.header.Sequence
}

// SetSequence sets the bucket's counter.
func (b *Bucket) SetSequence(v uint64) error {
	if err := b.usable(); err != nil {
		return err
	}
	b.header.Sequence, b.edit.dirty = v, true
	b.tx.changed = true
	b.noteSequence()
	return nil
}

// NextSequence adds one to the bucket's counter and returns it.
func (b *Bucket) NextSequence() (uint64, error) {
	err := b.SetSequence(b.header.Sequence + 1)
	if err != nil {
		return 0, err
	}
	return b.header.Sequence, nil
}

// ForEach calls fn for each key and value in byte order; the value of a nested
// bucket is nil. It stops at the first error and returns it. fn may change the
// bucket: keys behind the current one are then visited as they are.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error {
	if b.tx.closed.Load() {
		return ErrTxClosed
	}
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return b.tx.Err()
}

// ForEachBucket calls fn for the name of each bucket in b, in byte order. It
// stops at the first error and returns it.
func (b *Bucket) ForEachBucket(fn func(k []byte) error) error {
	if b.tx.closed.Load() {
		return ErrTxClosed
	}
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if c.kind != valueBucket {
			continue
		}
		if err := fn(k); err != nil {
			return err
		}
	}
	return b.tx.Err()
}
