package mmapfile

import (
	"context"
	"errors"
	"io/fs"
	"sync"
)

// A Semaphore has a fixed number of permits, which the goroutines of all
// processes that have opened the same path share. Permits of a process that ends
// come back by themselves.
type Semaphore struct {
	l *lockFile

	mu   sync.Mutex
	held []bool // by slot: whether this process has it through this Semaphore
	next int    // where to look first: one further each time
}

// OpenSemaphore opens the semaphore of n permits at path, or makes it, as
// OpenMutex does. n is at most 65,536, and all must say the same: ErrInvalid.
func OpenSemaphore(path string, n int, mode fs.FileMode) (*Semaphore, error) {
	if n < 1 || n > slotsMax {
		return nil, wrap("open", path, ErrInvalid)
	}
	l, err := openLockFile(path, mode, kindSemaphore|uint32(n)<<8, n)
	if err != nil {
		return nil, wrap("open", path, err)
	}
	return &Semaphore{l: l, held: make([]bool, n)}, nil
}

// Acquire waits for a permit. ErrAbandoned means that there is one now, and that
// its last holder ended without releasing it. If ctx ends first, the error is
// ErrLocked and the context's.
func (s *Semaphore) Acquire(ctx context.Context) error {
	var took error
	err := s.l.acquire(ctx, func() (ok bool, err error) {
		ok, took, err = s.try()
		return ok, err
	})
	if err == nil {
		err = took
	}
	return wrap("acquire", s.l.path, err)
}

// TryAcquire is Acquire that does not wait; true and ErrAbandoned if the last
// holder of the permit died.
func (s *Semaphore) TryAcquire() (bool, error) {
	ok, took, err := s.try()
	if err == nil {
		err = took
	}
	return ok, wrap("acquire", s.l.path, err)
}

// try takes the first free slot, and tells in took whether it was abandoned. A
// slot counts as held, so that Release may choose it, only when it has its owner.
func (s *Semaphore) try() (ok bool, took, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.held {
		slot := s.next
		s.next = (s.next + 1) % len(s.held)
		if s.held[slot] {
			continue
		}
		ok, err := s.l.try(slot, true)
		if err != nil {
			return false, nil, err
		}
		if !ok {
			continue
		}
		if ok, took = s.l.own(slot); !ok {
			return false, nil, took
		}
		s.held[slot] = true
		return true, took, nil
	}
	return false, nil, nil
}

// Release gives back a permit that was acquired through this Semaphore, by
// whichever goroutine. ErrNotLocked means that there is none.
func (s *Semaphore) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot, held := range s.held {
		if held {
			err := errors.Join(s.l.disown(slot), s.l.release(slot))
			s.held[slot] = false
			return wrap("release", s.l.path, err)
		}
	}
	return wrap("release", s.l.path, ErrNotLocked)
}

// Close ends the use of the semaphore. Permits that are still held come back as
// if their holder had died. Waiting calls return ErrClosed.
func (s *Semaphore) Close() error { return wrap("close", s.l.path, s.l.close()) }
