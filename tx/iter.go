package tx

import (
	"bytes"
	"iter"
)

// This file holds the iterators. Each arms itself: under iter.Pull it runs on
// another goroutine than View or Update did. A panic of the user's loop body passes
// through: inside View and Update these turn a fault into their error, and a range
// function must not stop what its body began.

// guardLoop is guard for an iterator; in tells whether its loop body runs.
func (t *Tx) guardLoop(old bool, in *bool) {
	disarmFaults(old)
	if r := recover(); r != nil {
		if *in {
			panic(r)
		}
		t.caught(r)
	}
}

// All returns an iterator over all keys in byte order; a nested bucket has a nil
// value. The loop may change the bucket. It stops at the first damage, which
// Tx.Err then tells.
func (b *Bucket) All() iter.Seq2[[]byte, []byte] { return b.Range(nil, nil) }

// Range returns an iterator over the keys from lo up to, but not including, hi,
// in byte order. A nil bound is none. Otherwise it is as All.
func (b *Bucket) Range(lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		body := false
		defer b.tx.guardLoop(armFaults(), &body)
		c := b.Cursor()
		var k, v []byte
		if lo == nil {
			k, v = c.First()
		} else {
			k, v = c.Seek(lo)
		}
		for ; k != nil && (hi == nil || bytes.Compare(k, hi) < 0); k, v = c.Next() {
			body = true
			if !yield(k, v) {
				return
			}
			body = false
		}
	}
}

// Prefix returns an iterator over the keys that begin with prefix, in byte
// order. Otherwise it is as All.
func (b *Bucket) Prefix(prefix []byte) iter.Seq2[[]byte, []byte] {
	return b.Range(prefix, prefixEnd(prefix))
}

// prefixEnd returns the lowest key above all that begin with prefix, or nil if
// there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// Backward returns an iterator over all keys from the last to the first.
// Otherwise it is as All.
func (b *Bucket) Backward() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		body := false
		defer b.tx.guardLoop(armFaults(), &body)
		c := b.Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			body = true
			if !yield(k, v) {
				return
			}
			body = false
		}
	}
}
