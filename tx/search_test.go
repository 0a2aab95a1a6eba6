package tx

import "testing"

// FuzzLowerBound holds the search of this build against a plain one.
func FuzzLowerBound(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, uint32(2))
	f.Fuzz(func(t *testing.T, data []byte, head uint32) {
		heads := data[:len(data)/headSize*headSize]
		for i := headSize; i < len(heads); i += headSize { // make them ascend
			if before := u32(heads[i-headSize:]); u32(heads[i:]) < before {
				setU32(heads[i:], before)
			}
		}
		for _, want := range []uint32{head, 0, ^uint32(0)} {
			i := 0
			for i < len(heads)/headSize && u32(heads[headSize*i:]) < want {
				i++
			}
			if got := lowerBound(heads, want); got != i {
				t.Fatalf("lower bound of %d in %x is %d, want %d", want, heads, got, i)
			}
		}
	})
}

func BenchmarkLowerBound(b *testing.B) {
	heads := make([]byte, 128*headSize)
	for i := range 128 {
		setU32(heads[headSize*i:], uint32(i)<<25)
	}
	x, sum := uint32(1), 0
	for b.Loop() {
		x = x*1664525 + 1013904223
		sum += lowerBound(heads, x)
	}
	if sum == 0 {
		b.Fatal("nothing was found")
	}
}
