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

// A leaf whose values have grown is built anew when a range is deleted: keys that could
// be stored whole by now are not, where there is no room for that.
func TestDeleteRangeOfFullLeaf(t *testing.T) {
	key := func(i int) []byte { return []byte{'c', 'o', 'm', 'm', 'o', 'n', byte(i), 1} }
	for n := 8; n < 24; n++ {
		for size := 1600 / n; size < 2000/n; size++ {
			s := newMemStore(t, 11)
			s.update(func(tx *Tx) error {
				b, err := tx.CreateBucket([]byte("b"))
				if err != nil {
					return err
				}
				for _, values := range []int{0, size} {
					for i := range n {
						if err := b.Put(key(i), make([]byte, values+i%2)); err != nil {
							return err
						}
					}
				}
				_, err = b.DeleteRange(nil, key(1))
				return err
			})
			s.check()
		}
	}
}
