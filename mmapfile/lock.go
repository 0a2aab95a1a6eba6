package mmapfile

import (
	"context"
	"time"
)

// lockLimit is the first byte that cannot be locked: what lies behind it serves
// the share modes.
const lockLimit = int64(1) << 62

// TryLock locks n bytes from off on and reports whether it got them; n = 0
// means up to the largest offset. The range may lie behind the end of the file.
//
// The lock belongs to this File, not to a thread or goroutine: two Files
// exclude each other, also in one process, and the kernel releases it when the
// File is closed or its process ends. A shared lock needs a file open for
// reading, an exclusive one a file open for writing (not so on Windows).
// Locking a range again converts its lock; if that fails, the old lock is kept.
// From exclusive to shared nobody gets in between. From shared to exclusive
// nobody does on Linux, Solaris and illumos; elsewhere the lock is gone for a
// moment, and if it cannot be had back either, the error is ErrLocked.
//
// On Windows locks also stop others from reading and writing the range by calls
// (not through views), and a range is converted and unlocked as it was locked;
// elsewhere parts of it may be. On macOS and the BSDs the ranges of one File are
// told apart, but between Files a lock is one on the whole file, and converting
// in either direction may let others in: use files of their own for independent
// locks. Where no lock belongs to an open file, the error is ErrUnsupported.
//
// A lock that a child inherits with its descriptor (Inherit) lives until both
// have closed it.
func (f *File) TryLock(off, n int64, exclusive bool) (bool, error) {
	n, err := lockRange(off, n)
	if err != nil {
		return false, wrap("lock", f.name, err)
	}
	ok := false
	err = f.do("lock", func() error {
		f.locks.mu.Lock()
		defer f.locks.mu.Unlock()
		if !f.pin.open() {
			return ErrClosed
		}
		var err error
		ok, err = f.tryLock(off, n, exclusive)
		f.locks.used = f.locks.used || ok
		return err
	})
	return ok, err
}

// Lock is TryLock that waits. It tries again and again, at intervals that grow
// from a quarter of a millisecond to 20 ms, because no system can end a waiting
// call when a context is done. If ctx ends first, the error is both ErrLocked
// and the context's.
func (f *File) Lock(ctx context.Context, off, n int64, exclusive bool) error {
	err := poll(ctx, func() (bool, error) { return f.TryLock(off, n, exclusive) })
	return wrap("lock", f.name, err)
}

// Unlock releases n bytes from off on, with n as for TryLock. Releasing what is
// not locked is no error on Unix, and ErrNotLocked on Windows.
func (f *File) Unlock(off, n int64) error {
	n, err := lockRange(off, n)
	if err != nil {
		return wrap("unlock", f.name, err)
	}
	return f.do("unlock", func() error {
		f.locks.mu.Lock()
		defer f.locks.mu.Unlock()
		return f.unlock(off, n)
	})
}

// unlockAll releases every lock when the file is closed but its descriptor
// stays open for a mapping.
func (f *File) unlockAll() error {
	f.locks.mu.Lock()
	defer f.locks.mu.Unlock()
	if !f.locks.used {
		return nil
	}
	return f.releaseLocks()
}

// lockRange checks a range and resolves n = 0.
func lockRange(off, n int64) (int64, error) {
	switch {
	case off < 0 || n < 0:
		return 0, ErrRange
	case off >= lockLimit || n > lockLimit-off:
		return 0, ErrTooLarge
	case n == 0:
		return lockLimit - off, nil
	}
	return n, nil
}

// The intervals at which poll tries again.
const (
	pollMin = 250 * time.Microsecond
	pollMax = 20 * time.Millisecond
)

// poll calls try until it succeeds, fails, or ctx is done.
func poll(ctx context.Context, try func() (bool, error)) error {
	var timer *time.Timer
	for wait := pollMin; ; wait = min(wait*3/2, pollMax) {
		ok, err := try()
		if ok || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return &classified{ErrLocked, context.Cause(ctx)}
		}
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
