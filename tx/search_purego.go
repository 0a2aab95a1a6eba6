//go:build purego || !(386 || amd64 || arm || arm64 || loong64 || riscv64 || wasm)

package tx

// lowerBound returns the first of heads that is not below head. It has no
// branch that depends on the data: those are mispredicted half the time, which
// makes the usual form take twice as long.
func lowerBound(heads []byte, head uint32) int {
	c := len(heads) / headSize
	if c == 0 {
		return 0
	}
	lo := 0
	for c > 1 {
		half := c >> 1
		lo += half & -below32(u32(heads[headSize*(lo+half-1):]), head)
		c -= half
	}
	return lo + below32(u32(heads[headSize*lo:]), head)
}

// below32 returns 1 if a < b, else 0.
func below32(a, b uint32) int { return int((uint64(a) - uint64(b)) >> 63) }
