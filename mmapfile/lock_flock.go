//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package mmapfile

import (
	"sync"

	"golang.org/x/sys/unix"
)

// ConvertsLocks: TryLock makes a shared lock an exclusive one without letting it go
// in between, and keeps it if that fails.
const ConvertsLocks = false

// rangeLocks: locks on different ranges of a file do not touch each other.
const rangeLocks = false

// lockState holds the ranges that a File has locked. The kernel knows one lock
// on the whole file, as strong as the strongest of them.
type lockState struct {
	mu   sync.Mutex
	used bool // a lock was taken at some time

	ranges []heldRange
	share  bool // the share mode holds the file exclusively
	mode   int  // what the kernel was told: LOCK_UN, LOCK_SH, LOCK_EX
}

// A heldRange is a locked [off, end).
type heldRange struct {
	off, end  int64
	exclusive bool
}

// without returns the ranges with [off, end) taken out.
func (h *lockState) without(off, end int64) (rest []heldRange) {
	for _, r := range h.ranges {
		if r.end <= off || end <= r.off {
			rest = append(rest, r)
			continue
		}
		if r.off < off {
			rest = append(rest, heldRange{r.off, off, r.exclusive})
		}
		if end < r.end {
			rest = append(rest, heldRange{end, r.end, r.exclusive})
		}
	}
	return rest
}

// setRanges makes the kernel's lock fit the ranges and then keeps them.
func (f *File) setRanges(ranges []heldRange, share bool) (bool, error) {
	mode := unix.LOCK_UN
	for _, r := range ranges {
		if r.exclusive {
			mode = unix.LOCK_EX
			break
		}
		mode = unix.LOCK_SH
	}
	if share {
		mode = unix.LOCK_EX
	}
	h := &f.locks
	if mode != h.kernelMode() {
		err := unix.Flock(int(f.os.Fd()), mode|unix.LOCK_NB)
		for err == unix.EINTR {
			err = unix.Flock(int(f.os.Fd()), mode|unix.LOCK_NB)
		}
		if err == unix.EWOULDBLOCK {
			return false, f.restoreMode()
		}
		if err != nil {
			return false, err
		}
	}
	h.ranges, h.share, h.mode = ranges, share, mode
	return true, nil
}

// kernelMode is LOCK_UN for a File that never locked.
func (h *lockState) kernelMode() int {
	if h.mode == 0 {
		return unix.LOCK_UN
	}
	return h.mode
}

// restoreMode takes back the shared lock that a failed conversion may have
// dropped. If somebody took the file in between, it is lost, and an error.
func (f *File) restoreMode() error {
	mode := f.locks.kernelMode()
	if mode != unix.LOCK_SH {
		return nil
	}
	if err := unix.Flock(int(f.os.Fd()), mode|unix.LOCK_NB); err != nil {
		f.locks.ranges, f.locks.mode = nil, unix.LOCK_UN
		return &classified{ErrLocked, err}
	}
	return nil
}

func (f *File) tryLock(off, n int64, exclusive bool) (bool, error) {
	h := &f.locks
	ranges := append(h.without(off, off+n), heldRange{off, off + n, exclusive})
	return f.setRanges(ranges, h.share)
}

func (f *File) unlock(off, n int64) error {
	h := &f.locks
	_, err := f.setRanges(h.without(off, off+n), h.share)
	return err
}

func (f *File) releaseLocks() error {
	_, err := f.setRanges(nil, f.locks.share)
	return err
}

// shareLock takes the whole file for a restrictive share mode.
func (f *File) shareLock() (bool, error) {
	f.locks.mu.Lock()
	defer f.locks.mu.Unlock()
	ok, err := f.setRanges(f.locks.ranges, true)
	if err == nil && !ok {
		err = ErrSharing
	}
	return ok, err
}

// shareUnlock gives it back. The descriptor is still open.
func (f *File) shareUnlock() {
	f.locks.mu.Lock()
	defer f.locks.mu.Unlock()
	f.setRanges(f.locks.ranges, false)
}
