//go:build !unix && !windows

package mmapfile

func flushMemory(base, length uintptr, wait bool) error { return ErrUnsupported }

func protectMemory(base, length uintptr, a Access) error { return ErrUnsupported }

func lockMemory(base, length uintptr) error { return ErrUnsupported }

func unlockMemory(base, length uintptr) error { return ErrUnsupported }

func adviseMemory(base, length uintptr, a Advice) error { return ErrUnsupported }

func prefetchMemory(base, length uintptr) error { return ErrUnsupported }

func commitMemory(base, length uintptr, a Access) error { return ErrUnsupported }
