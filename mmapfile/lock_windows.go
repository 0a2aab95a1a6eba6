package mmapfile

import (
	"sync"

	"golang.org/x/sys/windows"
)

// rangeLocks: locks on different ranges of a file do not touch each other.
const rangeLocks = true

// lockState is what a File knows about its own locks: all ranges, since the
// system has no call that releases them together.
type lockState struct {
	mu   sync.Mutex
	used bool // a lock was taken at some time

	ranges [][2]int64
}

func overlapped(off int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(off), OffsetHigh: uint32(off >> 32)}
}

func (f *File) tryLock(off, n int64, exclusive bool) (bool, error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.os.Fd()), flags, 0, uint32(n), uint32(n>>32),
		overlapped(off))
	switch err {
	case nil:
		f.locks.ranges = append(f.locks.ranges, [2]int64{off, n})
		return true, nil
	case windows.ERROR_LOCK_VIOLATION, windows.ERROR_IO_PENDING:
		return false, nil
	}
	return false, err
}

func (f *File) unlock(off, n int64) error {
	err := windows.UnlockFileEx(windows.Handle(f.os.Fd()), 0, uint32(n), uint32(n>>32),
		overlapped(off))
	if err != nil {
		return err
	}
	held := f.locks.ranges
	for i, r := range held {
		if r == [2]int64{off, n} {
			f.locks.ranges = append(held[:i], held[i+1:]...)
			break
		}
	}
	return nil
}

func (f *File) releaseLocks() error {
	for _, r := range f.locks.ranges {
		err := windows.UnlockFileEx(windows.Handle(f.os.Fd()), 0, uint32(r[1]),
			uint32(r[1]>>32), overlapped(r[0]))
		if err != nil {
			return err
		}
	}
	f.locks.ranges = nil
	return nil
}
