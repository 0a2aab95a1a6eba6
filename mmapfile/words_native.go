//go:build !mips && !mipsle && !(arm && !arm.7)

package mmapfile

const native64 = true
