package mmapfile

import (
	"context"
	"errors"
	"io/fs"
)

// A Mutex excludes the goroutines of all processes that have opened the same
// path: what a named mutex is on Windows. It belongs to no thread: any goroutine
// may unlock it. The kernel releases it when its process ends, however that
// comes, and the next holder learns of it.
//
// Opening the path twice gives two mutexes that exclude each other, also in one
// process. The file must not be removed while the mutex is in use. Where locks
// are on whole files (macOS, the BSDs), RWMutex and Semaphore keep further files
// beside it, at path-1 and so on.
type Mutex struct {
	l     *lockFile
	local chan struct{} // taken by the goroutine that has or wants the lock
	held  chan struct{} // full while the lock is held
}

// OpenMutex opens the mutex at path, or makes it with the permissions mode (0
// means 0o666), before umask. ErrInvalid means that the file is something else,
// ErrUnsupported that the system has no lock that belongs to an open file.
func OpenMutex(path string, mode fs.FileMode) (*Mutex, error) {
	l, err := openLockFile(path, mode, kindMutex, 1)
	if err != nil {
		return nil, wrap("open", path, err)
	}
	return &Mutex{l, make(chan struct{}, 1), make(chan struct{}, 1)}, nil
}

// Lock waits until nobody else has the mutex. ErrAbandoned means that this
// goroutine has it now, but that its last holder ended without unlocking: what
// it protects may be half changed. Any other error means that it does not: if
// ctx ended first, ErrLocked and the context's error.
func (m *Mutex) Lock(ctx context.Context) error {
	if err := take(ctx, m.local); err != nil {
		return wrap("lock", m.l.path, err)
	}
	err := m.l.acquire(ctx, func() (bool, error) { return m.l.try(0, true) })
	if err != nil {
		<-m.local
		return wrap("lock", m.l.path, err)
	}
	_, err = m.took()
	return err
}

// TryLock is Lock that does not wait. If it got the mutex from a dead holder, it
// returns true and ErrAbandoned.
func (m *Mutex) TryLock() (bool, error) {
	select {
	case m.local <- struct{}{}:
	default:
		return false, nil
	}
	ok, err := m.l.try(0, true)
	if !ok {
		<-m.local
		return false, wrap("lock", m.l.path, err)
	}
	return m.took()
}

// took ends a lock that the kernel has granted.
func (m *Mutex) took() (bool, error) {
	ok, err := m.l.own(0)
	if ok {
		m.held <- struct{}{}
	} else {
		<-m.local
	}
	return ok, wrap("lock", m.l.path, err)
}

// Unlock releases the mutex. ErrNotLocked means that no goroutine of this
// process had it through this Mutex.
func (m *Mutex) Unlock() error {
	select {
	case <-m.held:
	default:
		return wrap("unlock", m.l.path, ErrNotLocked)
	}
	err := errors.Join(m.l.disown(0), m.l.release(0))
	<-m.local
	return wrap("unlock", m.l.path, err)
}

// Close ends the use of the mutex. If it is locked, it is released as if its
// holder had died. Waiting calls return ErrClosed.
func (m *Mutex) Close() error { return wrap("close", m.l.path, m.l.close()) }
