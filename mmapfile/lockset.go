package mmapfile

import (
	"errors"
	"io/fs"
	"os"
	"sync"
)

// A LockSet is any number of independent locks of one File, told apart by a
// number. Where ranges of a file are locked independently of each other, each is
// one byte of the file, far behind its end; on macOS and the BSDs, where a lock is
// one on the whole file, lock 0 is that of the File, and the others are on files
// of their own beside it, which are made when they are needed and never removed.
//
// As with TryLock, locks belong to the open file and vanish with their process.
type LockSet struct {
	file  *File
	first int64
	name  func(i int) string
	mode  fs.FileMode

	mu     sync.Mutex
	closed bool
	beside map[int]*File
}

// NewLockSet makes the locks of f: lock i is the byte first + i, or a file called
// name(i) with the permissions mode. The file stays the caller's to close, after
// the set.
func NewLockSet(f *File, first int64, mode fs.FileMode, name func(i int) string) *LockSet {
	return &LockSet{file: f, first: first, name: name, mode: mode}
}

// place returns the file whose lock is lock i, and where in it.
func (l *LockSet) place(i int) (*File, int64, error) {
	if rangeLocks || i == 0 {
		return l.file, l.first + int64(i), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, 0, ErrClosed
	}
	if f := l.beside[i]; f != nil {
		return f, 0, nil
	}
	osf, err := OpenOS(l.name(i), os.O_RDWR|os.O_CREATE|NoFollow, l.mode)
	if err != nil {
		return nil, 0, err
	}
	f, err := FromOS(osf, ReadWrite)
	if err != nil {
		return nil, 0, err
	}
	if l.beside == nil {
		l.beside = make(map[int]*File)
	}
	l.beside[i] = f
	return f, 0, nil
}

// Try takes lock i, or converts it, and reports whether that was possible, as
// File.TryLock does.
func (l *LockSet) Try(i int, exclusive bool) (bool, error) {
	f, off, err := l.place(i)
	if err != nil {
		return false, wrap("lock", l.file.name, err)
	}
	return f.TryLock(off, 1, exclusive)
}

// Unlock gives lock i back.
func (l *LockSet) Unlock(i int) error {
	f, off, err := l.place(i)
	if err != nil {
		return wrap("unlock", l.file.name, err)
	}
	return f.Unlock(off, 1)
}

// Close gives back the locks that are on files of their own, and closes those.
func (l *LockSet) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var errs []error
	for _, f := range l.beside {
		errs = append(errs, f.Close())
	}
	l.beside = nil
	return errors.Join(errs...)
}
