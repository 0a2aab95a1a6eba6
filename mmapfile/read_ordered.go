//go:build unix && !race && (386 || amd64 || s390x)

package mmapfile

// loadsInOrder: the processor makes loads visible in program order, and a load
// from unmapped memory harms nobody. The race detector must not see it.
const loadsInOrder = true
