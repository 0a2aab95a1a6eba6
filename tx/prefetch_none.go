//go:build purego || !(amd64 || arm64)

package tx

const canPrefetch = false

// prefetch does nothing here: a search and a scan then wait for each node.
func prefetch(*byte, int, int) {}
