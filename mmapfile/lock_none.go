//go:build aix || !(unix || windows)

package mmapfile

import "sync"

// ConvertsLocks: TryLock makes a shared lock an exclusive one without letting it go
// in between, and keeps it if that fails.
const ConvertsLocks = false

// rangeLocks: locks on different ranges of a file do not touch each other.
const rangeLocks = true

// lockState is what a File knows about its own locks: none, since these
// systems have no lock that an open file owns.
type lockState struct {
	mu   sync.Mutex
	used bool // a lock was taken at some time
}

func (f *File) tryLock(off, n int64, exclusive bool) (bool, error) { return false, ErrUnsupported }

func (f *File) unlock(off, n int64) error { return ErrUnsupported }

func (f *File) releaseLocks() error { return nil }

func (f *File) shareLock() (bool, error) { return false, nil }

func (f *File) shareUnlock() {}
