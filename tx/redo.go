package tx

import "errors"

// This file carries out operations on a state that is not quite the one that they
// were noted on, because part of it is lost: what Replay takes for damage, Redo makes
// the best of.

// ParseOps returns an error unless ops are operations as Replay takes them, from the
// first byte to the last. What they say of any state is not looked at.
func ParseOps(ops []byte) error {
	r := opReader{rest: ops, buckets: []*Bucket{nil}}
	for len(r.rest) > 0 {
		o := r.next()
		if r.err != nil {
			return r.err
		}
		if o.code == opOpen || o.code == opCreate {
			r.buckets = append(r.buckets, nil)
		}
	}
	return nil
}

// Redo does in t what the operations say, as far as that goes on a state from which
// records and buckets may be missing: a bucket that is not there is created, one that
// is to be created may be there. It returns how many operations could not be carried
// out at all; they are left out. An error is that of the transaction, or tells that ops
// are no operations.
func Redo(t *Tx, ops []byte) (left int, err error) {
	if err := t.usable(); err != nil {
		return 0, err
	}
	r := opReader{rest: ops, buckets: []*Bucket{&t.root}}
	for len(r.rest) > 0 {
		o := r.next()
		if r.err != nil {
			return left, r.err
		}
		err := r.redo(&o)
		switch {
		case err == nil:
		case refused(err):
			left++
		default:
			return left, err
		}
	}
	return left, t.Err()
}

// redo carries out one operation, or returns an error that is refused.
func (r *opReader) redo(o *operation) error {
	if o.code == opOpen || o.code == opCreate {
		if o.bucket == nil {
			r.buckets = append(r.buckets, nil)
			return ErrBucketNotFound
		}
		kid, err := o.bucket.CreateBucketIfNotExists(o.key)
		r.buckets = append(r.buckets, kid)
		return err
	}
	if o.bucket == nil || o.code == opMove && o.to == nil {
		return ErrBucketNotFound
	}
	err := r.do(o)
	if o.code == opDrop && err == ErrBucketNotFound {
		return nil
	}
	return err
}

// refused tells whether err says that one operation does not fit to what is there.
func refused(err error) bool {
	for _, known := range []error{
		ErrBucketNotFound, ErrBucketExists, ErrBucketNameRequired, ErrBucketTooDeep,
		ErrKeyRequired, ErrKeyTooLarge, ErrValueTooLarge, ErrIncompatibleValue, ErrSameBuckets,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
