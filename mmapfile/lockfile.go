package mmapfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// A lockFile is what Mutex, RWMutex and Semaphore are made of: a small mapped
// file, in the byte order of the machine, and kernel locks.
//
//	offset  size  field    meaning
//	0       4     kind     what the file serves for, and the count of a semaphore
//	4       4     event    goes up with each release, so that waiters wake
//	8       4     owner    of slot 0: the pid of the exclusive holder, or 0
//	12      4     owner    of slot 1, and so on
//
// A slot is a lock: the byte lockSlots + i of the file, or, where locks are on
// whole files, a file of its own beside the first one.
//
// Invariants:
//
//	L1 The kernel lock alone decides who holds a slot; words only tell about it.
//	L2 Only the exclusive holder of a slot changes its owner word. He sets it
//	   after locking and clears it before unlocking, so who finds it set knows
//	   that a holder has died, or was closed, in between.
//	L3 A waiter reads the event before it tries, so a release after the try ends
//	   its sleep. A holder that dies does not signal: sleeps are short.
//	L4 The file grows as a hole, never by written zeros: these could hit the
//	   words of somebody who was faster.
type lockFile struct {
	path  string
	mode  fs.FileMode
	view  *View
	event *Event

	mu    sync.Mutex
	slots []*File // slots[0] is open always
}

// The kinds of lock files, in the low byte of the kind word.
const (
	kindMutex     = 0xa1
	kindRWMutex   = 0xa2
	kindSemaphore = 0xa3
)

const (
	lockSlots  = int64(1) << 61 // the byte of slot 0
	ownerStart = 8
	slotsMax   = 1 << 16
)

// openLockFile opens the file of a lock with so many slots, or makes it.
func openLockFile(path string, mode fs.FileMode, kind uint32, slots int) (*lockFile, error) {
	f, err := Open(path, Options{Access: ReadWrite, Disposition: OpenAlways, Mode: mode})
	if err != nil {
		return nil, err
	}
	l := &lockFile{path: path, mode: mode, slots: make([]*File, slots)}
	l.slots[0] = f
	if err := l.attach(kind, int64(ownerStart+4*slots)); err != nil {
		return nil, errors.Join(wrap("open", path, err), l.close())
	}
	return l, nil
}

// attach maps the file and checks that it is what it shall be.
func (l *lockFile) attach(kind uint32, size int64) error {
	f := l.slots[0]
	now, err := f.Size()
	if err != nil {
		return err
	}
	if now != 0 && now != size {
		return ErrInvalid
	}
	m, err := f.Map(MapOptions{Protection: ProtReadWrite, Size: size, Sparse: true})
	if err != nil {
		return err
	}
	l.view, err = m.View(Write, 0, 0)
	if err = errors.Join(err, m.Close()); err != nil {
		return err
	}
	word := l.view.Uint32(0)
	if !word.CompareAndSwap(0, kind) && word.Load() != kind {
		return ErrInvalid
	}
	l.event, err = l.view.Event(4)
	return err
}

func (l *lockFile) close() error {
	var errs []error
	if l.view != nil {
		errs = append(errs, l.view.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.slots {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// slot returns the file whose lock is slot i, and where in it.
func (l *lockFile) slot(i int) (*File, int64, error) {
	if rangeLocks || i == 0 {
		return l.slots[0], lockSlots + int64(i), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots[i] == nil {
		if !l.view.pin.open() {
			return nil, 0, ErrClosed
		}
		f, err := Open(fmt.Sprintf("%s-%d", l.path, i), Options{
			Access: ReadWrite, Disposition: OpenAlways, Mode: l.mode,
		})
		if err != nil {
			return nil, 0, err
		}
		l.slots[i] = f
	}
	return l.slots[i], lockSlots, nil
}

func (l *lockFile) try(i int, exclusive bool) (bool, error) {
	f, off, err := l.slot(i)
	if err != nil {
		return false, err
	}
	return f.TryLock(off, 1, exclusive)
}

// release unlocks slot i and wakes those who wait for any.
func (l *lockFile) release(i int) error {
	f, off, err := l.slot(i)
	if err != nil {
		return err
	}
	return errors.Join(f.Unlock(off, 1), l.event.Signal())
}

// own writes this process into the owner word of slot i, which it holds
// exclusively, and returns ErrAbandoned if a name stood there. After any other
// error the slot is released.
func (l *lockFile) own(i int) (ok bool, err error) {
	err = l.owner(i, func(word *atomic.Uint32) error {
		if word.Swap(uint32(os.Getpid())) != 0 {
			return ErrAbandoned
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrAbandoned) {
		return false, errors.Join(err, l.release(i))
	}
	return true, err
}

// disown clears the owner word of slot i before it is released.
func (l *lockFile) disown(i int) error {
	return l.owner(i, func(word *atomic.Uint32) error { word.Store(0); return nil })
}

// orphaned returns ErrAbandoned if a name stands in the owner word of slot i,
// which this process holds shared.
func (l *lockFile) orphaned(i int) error {
	return l.owner(i, func(word *atomic.Uint32) error {
		if word.Load() != 0 {
			return ErrAbandoned
		}
		return nil
	})
}

func (l *lockFile) owner(i int, fn func(*atomic.Uint32) error) error {
	return l.view.do("lock", func([]byte) error {
		word := l.view.Uint32(ownerStart + 4*i)
		if word == nil {
			return ErrClosed
		}
		return Guard(func() error { return fn(word) })
	})
}

// acquire calls try until it succeeds, fails, or ctx is done.
func (l *lockFile) acquire(ctx context.Context, try func() (bool, error)) error {
	return l.view.do("lock", func([]byte) error {
		return Guard(func() error {
			stop := l.event.wakeWhenDone(ctx)
			defer stop()
			for pause := pollMin; ; pause = min(pause*3/2, pollMax) {
				seen := l.event.word.Load()
				ok, err := try()
				if ok || err != nil {
					return err
				}
				if ctx.Err() != nil {
					return &classified{ErrLocked, context.Cause(ctx)}
				}
				waitWord(l.event.word, seen, pause)
			}
		})
	})
}

// take puts a token into a channel of capacity one, which serves as a mutex
// that a context can interrupt.
func take(ctx context.Context, c chan struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	default:
	}
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &classified{ErrLocked, context.Cause(ctx)}
	}
}
