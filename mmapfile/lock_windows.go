package mmapfile

import (
	"slices"
	"sync"

	"golang.org/x/sys/windows"
)

// ConvertsLocks: TryLock makes a shared lock an exclusive one without letting it go
// in between, and keeps it if that fails.
const ConvertsLocks = false

// rangeLocks: locks on different ranges of a file do not touch each other.
const rangeLocks = true

// lockState is what a File knows about its own locks: all ranges, since the
// system neither converts a lock nor releases all of a handle.
type lockState struct {
	mu   sync.Mutex
	used bool // a lock was taken at some time

	ranges []heldRange
}

// A heldRange is n locked bytes.
type heldRange struct {
	off, n    int64
	exclusive bool
}

func (f *File) tryLock(off, n int64, exclusive bool) (bool, error) {
	i := f.findRange(off, n)
	if i < 0 {
		ok, err := f.lockRange(off, n, exclusive)
		if ok {
			f.locks.ranges = append(f.locks.ranges, heldRange{off, n, exclusive})
		}
		return ok, err
	}
	held := &f.locks.ranges[i]
	switch {
	case held.exclusive == exclusive:
		return true, nil
	case held.exclusive:
		return f.downgrade(held)
	}
	return f.upgrade(i)
}

// findRange returns the index of a range that this File holds just so, or -1.
func (f *File) findRange(off, n int64) int {
	return slices.IndexFunc(f.locks.ranges, func(r heldRange) bool {
		return r.off == off && r.n == n
	})
}

// downgrade takes the shared lock first, which may overlap an exclusive one of
// the same handle. The unlock that follows takes the exclusive one away.
func (f *File) downgrade(held *heldRange) (bool, error) {
	ok, err := f.lockRange(held.off, held.n, false)
	if err != nil || !ok {
		return false, err
	}
	if err := f.unlockRange(held.off, held.n); err != nil {
		return false, err
	}
	held.exclusive = false
	return true, nil
}

// upgrade lets go of the shared lock, since an exclusive one may overlap
// nothing. If it fails, the shared one is taken back; should somebody have been
// faster, it is lost, and that is an error.
func (f *File) upgrade(i int) (bool, error) {
	held := &f.locks.ranges[i]
	if err := f.unlockRange(held.off, held.n); err != nil {
		return false, err
	}
	ok, err := f.lockRange(held.off, held.n, true)
	if ok {
		held.exclusive = true
		return true, nil
	}
	again, againErr := f.lockRange(held.off, held.n, false)
	if !again {
		f.locks.ranges = slices.Delete(f.locks.ranges, i, i+1)
		if againErr == nil {
			againErr = windows.ERROR_LOCK_VIOLATION
		}
		return false, againErr
	}
	return false, err
}

func (f *File) unlock(off, n int64) error {
	if err := f.unlockRange(off, n); err != nil {
		return err
	}
	if i := f.findRange(off, n); i >= 0 {
		f.locks.ranges = slices.Delete(f.locks.ranges, i, i+1)
	}
	return nil
}

func (f *File) releaseLocks() error {
	for _, r := range f.locks.ranges {
		if err := f.unlockRange(r.off, r.n); err != nil {
			return err
		}
	}
	f.locks.ranges = nil
	return nil
}

func overlapped(off int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(off), OffsetHigh: uint32(off >> 32)}
}

func (f *File) lockRange(off, n int64, exclusive bool) (bool, error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.os.Fd()), flags, 0, uint32(n), uint32(n>>32),
		overlapped(off))
	if err == windows.ERROR_LOCK_VIOLATION || err == windows.ERROR_IO_PENDING {
		return false, nil
	}
	return err == nil, err
}

func (f *File) unlockRange(off, n int64) error {
	return windows.UnlockFileEx(windows.Handle(f.os.Fd()), 0, uint32(n), uint32(n>>32),
		overlapped(off))
}
