//go:build !purego && (386 || amd64 || arm || arm64 || loong64 || riscv64 || wasm)

package tx

import "unsafe"

// This file is the only one of the package that uses package unsafe: searching
// heads without bounds checks takes about two thirds of the time, a tenth of a whole
// random read. It is safe whatever the heads are: every index is below their
// number. search_purego.go is its twin, for big-endian processors and the build tag
// purego; FuzzLowerBound holds both against a plain search.

// lowerBound returns the first of heads that is not below head. It has no
// branch that depends on the data: those are mispredicted half the time, which
// makes the usual form take twice as long.
func lowerBound(heads []byte, head uint32) int {
	c := len(heads) / headSize
	if c == 0 {
		return 0
	}
	p := unsafe.Pointer(unsafe.SliceData(heads))
	lo := 0
	for c > 1 {
		half := c >> 1
		at := *(*uint32)(unsafe.Add(p, headSize*(lo+half-1)))
		lo += half & -int((uint64(at)-uint64(head))>>63)
		c -= half
	}
	at := *(*uint32)(unsafe.Add(p, headSize*lo))
	return lo + int((uint64(at)-uint64(head))>>63)
}
