//go:build !purego && (amd64 || arm64)

package tx

const canPrefetch = true

// prefetch asks the processor to have the cache lines of the n bytes at hand soon that
// begin off bytes behind p, and does not wait for them. It never faults.
//
//go:noescape
func prefetch(p *byte, off, n int)
