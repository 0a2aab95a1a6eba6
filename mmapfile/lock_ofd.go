//go:build linux || solaris

package mmapfile

import (
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ConvertsLocks: TryLock makes a shared lock an exclusive one without letting it go
// in between, and keeps it if that fails.
const ConvertsLocks = true

// rangeLocks: locks on different ranges of a file do not touch each other.
const rangeLocks = true

// lockState is what a File knows about its own locks: the kernel knows the ranges.
type lockState struct {
	mu   sync.Mutex
	used bool // a lock was taken at some time
}

func (f *File) setLock(kind int16, off, n int64) error {
	lk := unix.Flock_t{Type: kind, Start: off, Len: n}
	for {
		err := unix.FcntlFlock(f.os.Fd(), unix.F_OFD_SETLK, &lk)
		if err != unix.EINTR {
			return err
		}
	}
}

func (f *File) tryLock(off, n int64, exclusive bool) (bool, error) {
	kind := int16(unix.F_RDLCK)
	if exclusive {
		kind = unix.F_WRLCK
	}
	err := f.setLock(kind, off, n)
	if err == unix.EAGAIN || err == unix.EACCES {
		return false, nil
	}
	return err == nil, err
}

func (f *File) unlock(off, n int64) error { return f.setLock(unix.F_UNLCK, off, n) }

func (f *File) releaseLocks() error { return f.setLock(unix.F_UNLCK, 0, lockLimit) }

// The share modes use six regions of lock bytes, far behind every file: one for
// each access that a handle has, and one for each that it denies to others. A
// handle locks a byte of its choice in its regions, shared if it may (a
// write-only descriptor cannot), and then looks whether another handle holds
// any byte in the opposite region. Whoever comes second sees the first; if two
// come at once, both may see each other and step back, and try again.
const (
	shareRegion = int64(1) << 20
	shareTries  = 4
)

// shareOffset returns the first byte of the region of access (or denial) i.
func shareOffset(denied bool, i int) int64 {
	if denied {
		i += 3
	}
	return lockLimit + int64(i)*shareRegion
}

// A shareHold is the share mode that a handle keeps.
type shareHold struct{ access, denied Share }

// takeShare makes the share mode of f hold, or fails with ErrSharing. A file
// system without locks is good enough for a handle that denies nothing.
func takeShare(f *File, granted Share) (*shareHold, error) {
	h := &shareHold{access: shareAccess(f.access, f.flags), denied: ShareAll &^ granted}
	for try := 0; ; try++ {
		conflict, err := f.tryShare(h)
		if err == nil && !conflict {
			return h, nil
		}
		h.drop(f)
		if err != nil {
			if h.denied == 0 && err != unix.EBADF {
				return nil, nil
			}
			return nil, err
		}
		if try == shareTries {
			return nil, ErrSharing
		}
		pause(try)
	}
}

// tryShare locks the regions of h and reports whether another handle objects.
func (f *File) tryShare(h *shareHold) (conflict bool, err error) {
	for i := range 3 {
		if h.access>>i&1 != 0 {
			err = f.lockInRegion(shareOffset(false, i))
		}
		if err == nil && h.denied>>i&1 != 0 {
			err = f.lockInRegion(shareOffset(true, i))
		}
		if err != nil {
			return false, err
		}
	}
	for i := range 3 {
		if h.access>>i&1 != 0 {
			conflict, err = f.othersIn(shareOffset(true, i))
		}
		if err == nil && !conflict && h.denied>>i&1 != 0 {
			conflict, err = f.othersIn(shareOffset(false, i))
		}
		if conflict || err != nil {
			return conflict, err
		}
	}
	return false, nil
}

// lockInRegion locks a random byte of the region at off.
func (f *File) lockInRegion(off int64) error {
	kind := int16(unix.F_RDLCK)
	if f.access&Read == 0 {
		kind = unix.F_WRLCK
	}
	var err error
	for range 64 {
		err = f.setLock(kind, off+rand.Int64N(shareRegion), 1)
		if err != unix.EAGAIN && err != unix.EACCES {
			return err
		}
	}
	return err
}

// othersIn reports whether another open file holds a lock in the region at off.
func (f *File) othersIn(off int64) (bool, error) {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Start: off, Len: shareRegion}
	for {
		err := unix.FcntlFlock(f.os.Fd(), unix.F_OFD_GETLK, &lk)
		if err != unix.EINTR {
			return err == nil && lk.Type != unix.F_UNLCK, err
		}
	}
}

// drop ends the share mode. The descriptor is still open.
func (h *shareHold) drop(f *File) {
	if h != nil {
		f.setLock(unix.F_UNLCK, lockLimit, 6*shareRegion)
	}
}

// pause waits a random time that grows with every try, so that two handles
// which stepped back from each other do not meet again.
func pause(try int) {
	time.Sleep(time.Duration(rand.Int64N(int64(100*time.Microsecond) << try)))
}
