//go:build unix && !linux

package mmapfile

func prefetchMemory(base, length uintptr) error { return adviseMemory(base, length, WillNeed) }
