//go:build unix

package mmapfile

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// memoryAt returns mapped memory as x/sys wants it.
func memoryAt(base, length uintptr) []byte {
	return unsafe.Slice((*byte)(pointerTo(base)), length)
}

func flushMemory(base, length uintptr, wait bool) error {
	flags := unix.MS_ASYNC
	if wait {
		flags = unix.MS_SYNC
	}
	return unix.Msync(memoryAt(base, length), flags)
}

func protectMemory(base, length uintptr, a Access) error {
	return unix.Mprotect(memoryAt(base, length), memoryProt(a))
}

func lockMemory(base, length uintptr) error { return unix.Mlock(memoryAt(base, length)) }

func unlockMemory(base, length uintptr) error { return unix.Munlock(memoryAt(base, length)) }

var advices = [...]int{
	Normal:     unix.MADV_NORMAL,
	WillNeed:   unix.MADV_WILLNEED,
	Random:     unix.MADV_RANDOM,
	Sequential: unix.MADV_SEQUENTIAL,
	DontNeed:   unix.MADV_DONTNEED,
}

func adviseMemory(base, length uintptr, a Advice) error {
	return unix.Madvise(memoryAt(base, length), advices[a])
}

func commitMemory(base, length uintptr, a Access) error { return nil }
