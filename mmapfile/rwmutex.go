package mmapfile

import (
	"context"
	"errors"
	"io/fs"
	"sync"
)

// The slots of an RWMutex.
const (
	slotMain = 0 // locked shared by readers, exclusively by the writer
	slotGate = 1 // locked exclusively by a writer that waits or writes
)

// An RWMutex is a Mutex that any number of readers, or one writer, hold at a
// time. A waiting writer lets no new reader in, so readers cannot starve it;
// therefore nobody may take a second read lock while he holds one.
//
// Invariants:
//
//	W1 The process holds the shared lock exactly while readers > 0. Both change
//	   under mu alone, so that a last reader who leaves and a first who comes do
//	   not undo each other's call.
//	W2 Readers look at the gate before they enter; a writer has it until he has
//	   unlocked.
type RWMutex struct {
	l      *lockFile
	writer chan struct{} // taken by the goroutine that writes or wants to
	held   chan struct{} // full while the write lock is held

	mu      sync.Mutex
	readers int
}

// OpenRWMutex opens the lock at path, or makes it, as OpenMutex does.
func OpenRWMutex(path string, mode fs.FileMode) (*RWMutex, error) {
	l, err := openLockFile(path, mode, kindRWMutex, 2)
	if err != nil {
		return nil, wrap("open", path, err)
	}
	return &RWMutex{l: l, writer: make(chan struct{}, 1), held: make(chan struct{}, 1)}, nil
}

// Lock waits until nobody else has the lock, and takes it for writing. Its
// errors are those of Mutex.Lock.
func (m *RWMutex) Lock(ctx context.Context) error {
	if err := take(ctx, m.writer); err != nil {
		return wrap("lock", m.l.path, err)
	}
	err := m.l.acquire(ctx, func() (bool, error) { return m.l.try(slotGate, true) })
	if err != nil {
		<-m.writer
		return wrap("lock", m.l.path, err)
	}
	if err := m.l.acquire(ctx, m.tryWrite); err != nil {
		err = errors.Join(err, m.l.release(slotGate))
		<-m.writer
		return wrap("lock", m.l.path, err)
	}
	_, err = m.took()
	return err
}

// took ends a write lock that the kernel has granted.
func (m *RWMutex) took() (bool, error) {
	ok, err := m.l.own(slotMain)
	if ok {
		m.held <- struct{}{}
	} else {
		err = errors.Join(err, m.l.release(slotGate))
		<-m.writer
	}
	return ok, wrap("lock", m.l.path, err)
}

// tryWrite takes the main slot if no reader of this process has it: the kernel
// sees those and the writer as one.
func (m *RWMutex) tryWrite() (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readers > 0 {
		return false, nil
	}
	return m.l.try(slotMain, true)
}

// TryLock is Lock that does not wait; true and ErrAbandoned if the last writer died.
func (m *RWMutex) TryLock() (bool, error) {
	select {
	case m.writer <- struct{}{}:
	default:
		return false, nil
	}
	gate, err := m.l.try(slotGate, true)
	ok := false
	if gate {
		ok, err = m.tryWrite()
	}
	if ok {
		return m.took()
	}
	if gate {
		err = errors.Join(err, m.l.release(slotGate))
	}
	<-m.writer
	return false, wrap("lock", m.l.path, err)
}

// Unlock ends Lock. ErrNotLocked means that this RWMutex was not locked for writing.
func (m *RWMutex) Unlock() error {
	select {
	case <-m.held:
	default:
		return wrap("unlock", m.l.path, ErrNotLocked)
	}
	err := errors.Join(m.l.disown(slotMain), m.l.release(slotMain), m.l.release(slotGate))
	<-m.writer
	return wrap("unlock", m.l.path, err)
}

// RLock waits until nobody writes or waits to, and takes the lock for reading.
// ErrAbandoned means that it is taken, but that a writer died with the lock and
// no other has had it since.
func (m *RWMutex) RLock(ctx context.Context) error {
	if err := m.l.acquire(ctx, m.tryRead); err != nil {
		return wrap("lock", m.l.path, err)
	}
	return wrap("lock", m.l.path, m.l.orphaned(slotMain))
}

// TryRLock is RLock that does not wait; true and ErrAbandoned if the last writer died.
func (m *RWMutex) TryRLock() (bool, error) {
	ok, err := m.tryRead()
	if !ok || err != nil {
		return false, wrap("lock", m.l.path, err)
	}
	return true, wrap("lock", m.l.path, m.l.orphaned(slotMain))
}

func (m *RWMutex) tryRead() (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The channel stands for the gate towards writers of this process, which
	// share the kernel's lock on it with the readers.
	select {
	case m.writer <- struct{}{}:
		defer func() { <-m.writer }()
	default:
		return false, nil
	}
	ok, err := m.l.try(slotGate, false)
	if !ok || err != nil {
		return false, err
	}
	if m.readers == 0 {
		ok, err = m.l.try(slotMain, false)
	}
	if ok {
		m.readers++
	}
	f, off, slotErr := m.l.slot(slotGate)
	if slotErr == nil {
		slotErr = f.Unlock(off, 1)
	}
	return ok, errors.Join(err, slotErr)
}

// RUnlock ends RLock. ErrNotLocked means that this RWMutex had no reader.
func (m *RWMutex) RUnlock() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readers == 0 {
		return wrap("unlock", m.l.path, ErrNotLocked)
	}
	m.readers--
	if m.readers > 0 {
		return nil
	}
	return wrap("unlock", m.l.path, m.l.release(slotMain))
}

// Close ends the use of the lock, as Mutex.Close does.
func (m *RWMutex) Close() error { return wrap("close", m.l.path, m.l.close()) }
