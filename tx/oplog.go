package tx

import (
	"encoding/binary"
	"fmt"
)

// What a write transaction did, as a redo log keeps it: the operations themselves,
// not the pages that they changed, and so a fraction of those. Replaying them on the
// same state gives a state with the same contents.
//
// Operations stand one behind the other, each a code and its arguments. A number is
// an unsigned varint, a string its length and its bytes. A bucket is a number: 0 is
// the root bucket, and every open and create gives the next one to the bucket that it
// names, which keeps it when it is moved.
//
//	code  operation     arguments
//	1     open          bucket, name
//	2     create        bucket, name
//	3     put           bucket, key, value
//	4     delete        bucket, key
//	5     delete range  bucket, bounds (bit 0: has lo, bit 1: has hi), lo, hi
//	6     drop          bucket, name of the nested bucket that is deleted
//	7     move          bucket, name, bucket that it goes to
//	8     sequence      bucket, value
//
//	O1 An operation is noted once it has succeeded. One that fails half-way fails
//	   its transaction.
//	O2 Beyond its limit the list is dropped, and the transaction goes on without.
const (
	opOpen     = 1
	opCreate   = 2
	opPut      = 3
	opDelete   = 4
	opRange    = 5
	opDrop     = 6
	opMove     = 7
	opSequence = 8

	opHasLo = 1
	opHasHi = 2
)

// opRoom is what an operation takes at most besides its strings.
const opRoom = 1 + 4*binary.MaxVarintLen64

// An opList is the operations of one transaction.
type opList struct {
	buf     []byte
	limit   int    // of len(buf); 0 = nothing is noted
	buckets uint64 // how many have a number
}

// op begins an operation on b that has so many bytes of strings; it reports false if
// operations are not noted, or not any more.
func (b *Bucket) op(code byte, strings int) bool {
	l := &b.tx.ops
	if l.limit == 0 {
		return false
	}
	number, ok := b.number()
	if !ok || len(l.buf)+opRoom+strings > l.limit {
		*l = opList{}
		return false
	}
	l.buf = binary.AppendUvarint(append(l.buf, code), number)
	return true
}

// number returns the number of b in the list, and gives it one if need be.
func (b *Bucket) number() (uint64, bool) {
	t := b.tx
	if b == &t.root || b.edit.number != 0 {
		return b.edit.number, true
	}
	if !b.edit.parent.op(opOpen, len(b.edit.name)) {
		return 0, false
	}
	t.ops.string(b.edit.name)
	b.enroll()
	return b.edit.number, true
}

// enroll gives b the next number.
func (b *Bucket) enroll() {
	l := &b.tx.ops
	l.buckets++
	b.edit.number = l.buckets
}

func (l *opList) uint(v uint64) { l.buf = binary.AppendUvarint(l.buf, v) }

func (l *opList) string(s []byte) {
	l.buf = append(binary.AppendUvarint(l.buf, uint64(len(s))), s...)
}

// notePut notes that key has that value now.
func (b *Bucket) notePut(key, value []byte) {
	if b.op(opPut, len(key)+len(value)) {
		b.tx.ops.string(key)
		b.tx.ops.string(value)
	}
}

// note notes an operation with one string.
func (b *Bucket) note(code byte, s []byte) {
	if b.op(code, len(s)) {
		b.tx.ops.string(s)
	}
}

// noteCreate notes that kid was created.
func (b *Bucket) noteCreate(kid *Bucket) {
	if b.op(opCreate, len(kid.edit.name)) {
		b.tx.ops.string(kid.edit.name)
		kid.enroll()
	}
}

// noteMove notes that the bucket of that name has moved to dst.
func (b *Bucket) noteMove(name []byte, dst *Bucket) {
	if b.tx.ops.limit == 0 {
		return
	}
	to, ok := dst.number()
	if ok && b.op(opMove, len(name)) {
		b.tx.ops.string(name)
		b.tx.ops.uint(to)
	}
}

// noteRange notes that a range was deleted.
func (b *Bucket) noteRange(lo, hi []byte) {
	if !b.op(opRange, len(lo)+len(hi)) {
		return
	}
	bounds := uint64(0)
	if lo != nil {
		bounds |= opHasLo
	}
	if hi != nil {
		bounds |= opHasHi
	}
	l := &b.tx.ops
	l.uint(bounds)
	l.string(lo)
	l.string(hi)
}

// noteSequence notes the bucket's counter.
func (b *Bucket) noteSequence() {
	if b.op(opSequence, 0) {
		b.tx.ops.uint(b.header.Sequence)
	}
}

// Replay does in t what the operations say, which a transaction on the same state
// has noted. It returns an error if they cannot be: then they, or the state, are
// not what they were. Pager.Commit takes the list of a transaction.
func Replay(t *Tx, ops []byte) error {
	if err := t.usable(); err != nil {
		return err
	}
	r := opReader{rest: ops, buckets: []*Bucket{&t.root}}
	for len(r.rest) > 0 {
		o := r.next()
		err := r.err
		if err == nil {
			err = r.do(&o)
		}
		if err != nil {
			return fmt.Errorf("replay operation %d, %d bytes before the end: %w",
				o.code, len(r.rest), err)
		}
	}
	return t.Err()
}

// An operation is one of the list, decoded.
type operation struct {
	code   byte
	bucket *Bucket
	to     *Bucket // of a move
	key    []byte  // or name, or lower bound
	value  []byte  // or upper bound
	number uint64  // sequence, or which bounds there are
}

// An opReader reads operations.
type opReader struct {
	rest    []byte
	buckets []*Bucket
	err     error
}

// next decodes the next operation. Where there is none, it sets err.
func (r *opReader) next() operation {
	o := operation{code: r.rest[0]}
	r.rest = r.rest[1:]
	o.bucket = r.bucket()
	switch o.code {
	case opOpen, opCreate, opDelete, opDrop:
		o.key = r.string()
	case opPut:
		o.key, o.value = r.string(), r.string()
	case opRange:
		o.number, o.key, o.value = r.uint(), r.string(), r.string()
	case opMove:
		o.key, o.to = r.string(), r.bucket()
	case opSequence:
		o.number = r.uint()
	default:
		if r.err == nil {
			r.err = Corrupt(0, "there is no such operation")
		}
	}
	return o
}

// do carries out one operation.
func (r *opReader) do(o *operation) error {
	b := o.bucket
	switch o.code {
	case opOpen:
		kid := b.Bucket(o.key)
		if kid == nil {
			return Corrupt(0, "there is no bucket %.40q", o.key)
		}
		r.buckets = append(r.buckets, kid)
		return nil
	case opCreate:
		kid, err := b.CreateBucket(o.key)
		r.buckets = append(r.buckets, kid)
		return err
	case opPut:
		return b.Put(o.key, o.value)
	case opDelete:
		return b.Delete(o.key)
	case opRange:
		lo, hi := o.bounds()
		_, err := b.DeleteRange(lo, hi)
		return err
	case opDrop:
		return b.DeleteBucket(o.key)
	case opMove:
		return b.MoveBucket(o.key, o.to)
	}
	return b.SetSequence(o.number)
}

// bounds returns those of a range; nil is none.
func (o *operation) bounds() (lo, hi []byte) {
	if o.number&opHasLo != 0 {
		lo = o.key
	}
	if o.number&opHasHi != 0 {
		hi = o.value
	}
	return lo, hi
}

func (r *opReader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// string returns the next string, never nil.
func (r *opReader) string() []byte {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	s := r.rest[:n:n]
	r.rest = r.rest[n:]
	return s
}

func (r *opReader) bucket() *Bucket {
	n := r.uint()
	if n >= uint64(len(r.buckets)) {
		r.fail()
		return nil
	}
	return r.buckets[n]
}

func (r *opReader) fail() {
	if r.err == nil {
		r.err = Corrupt(0, "operation is cut off, or names a bucket that was not opened")
	}
	r.rest = nil
}
