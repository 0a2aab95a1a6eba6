package tx

import (
	"bytes"
	"testing"
)

// Two records of the largest size fit into a node (N3), whatever the page size.
func TestInlineLimits(t *testing.T) {
	for shift := uint8(9); shift <= 16; shift++ {
		size := 1<<shift - HeaderSize
		limit := inlineLimit(size)
		for key := 1; key <= limit+1; key += max(1, limit/50) {
			value := 2*limit - min(key, limit)
			for !inlineValue(size, key, value) {
				value--
			}
			long := make([]byte, longRefSize)
			items := []item{
				{key: bytes.Repeat([]byte{1}, min(key, limit)), value: make([]byte, value), long: long},
				{key: bytes.Repeat([]byte{2}, min(key, limit)), value: make([]byte, value), long: long},
			}
			if got := leafSize(items); got > size {
				t.Errorf("pages of %d: two records of %d + %d bytes take %d", 1<<shift, key, value, got)
			}
		}
		if !inlineValue(size, 16, min(1<<shift/4, lengthMask)) && shift > 9 {
			t.Errorf("pages of %d: a value of a quarter is not inline", 1<<shift)
		}
		if inlineValue(size, 1, 1<<shift/4+1) {
			t.Errorf("pages of %d: a value above a quarter is inline", 1<<shift)
		}
		if limit > lengthMask {
			t.Errorf("pages of %d: limit %d does not fit its field", 1<<shift, limit)
		}
	}
}

// A leaf that was built for short values and has been filled with long ones is built
// anew when a range is deleted: its keys could be stored whole by now, but only where
// there is room for that.
func TestDeleteRangeOfFullLeaf(t *testing.T) {
	key := func(i int) []byte { return []byte{'c', 'o', 'm', 'm', 'o', 'n', 's', byte(i)} }
	for size := 280; size < 320; size++ {
		s := newMemStore(t, 11)
		s.update(func(tx *Tx) error {
			b, err := tx.CreateBucket([]byte("b"))
			if err != nil {
				return err
			}
			for i := range 14 {
				n := i % 2
				if i >= 8 {
					n = size
				}
				if err := b.Put(key(i), make([]byte, n)); err != nil {
					return err
				}
			}
			_, err = b.DeleteRange(nil, key(1))
			return err
		})
		s.check()
	}
}
