package mmapfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// A locker is what the locks of this package have in common.
type locker interface {
	lock(ctx context.Context) error
	try() (bool, error)
	unlock() error
	Close() error
}

type mutexLocker struct{ *mmapfile.Mutex }

func (m mutexLocker) lock(ctx context.Context) error { return m.Lock(ctx) }
func (m mutexLocker) try() (bool, error)             { return m.TryLock() }
func (m mutexLocker) unlock() error                  { return m.Unlock() }

type writeLocker struct{ *mmapfile.RWMutex }

func (m writeLocker) lock(ctx context.Context) error { return m.Lock(ctx) }
func (m writeLocker) try() (bool, error)             { return m.TryLock() }
func (m writeLocker) unlock() error                  { return m.Unlock() }

type permitLocker struct{ *mmapfile.Semaphore }

func (m permitLocker) lock(ctx context.Context) error { return m.Acquire(ctx) }
func (m permitLocker) try() (bool, error)             { return m.TryAcquire() }
func (m permitLocker) unlock() error                  { return m.Release() }

// lockers open each kind of lock that one holder at a time can have.
var lockers = map[string]func(path string) (locker, error){
	"mutex": func(path string) (locker, error) {
		m, err := mmapfile.OpenMutex(path, 0o600)
		return mutexLocker{m}, err
	},
	"rwmutex": func(path string) (locker, error) {
		m, err := mmapfile.OpenRWMutex(path, 0o600)
		return writeLocker{m}, err
	},
	"semaphore": func(path string) (locker, error) {
		s, err := mmapfile.OpenSemaphore(path, 1, 0o600)
		return permitLocker{s}, err
	},
}

func init() {
	// hold KIND FILE: locks, and unlocks when told to.
	children["hold"] = func(c *childIO, args []string) error {
		l, err := lockers[args[0]](args[1])
		if err != nil {
			return err
		}
		if err := l.lock(context.Background()); err != nil {
			return err
		}
		c.say("locked")
		if _, err := c.hear(); err != nil {
			return nil
		}
		return errors.Join(l.unlock(), l.Close())
	}
	// count KIND FILE DATA: adds one to a number a hundred times, under the lock.
	children["count"] = func(c *childIO, args []string) error {
		l, err := lockers[args[0]](args[1])
		if err != nil {
			return err
		}
		return errors.Join(countUp(l, args[2], 100), l.Close())
	}
}

// countUp reads, changes and writes a file in a way that only a lock makes right.
func countUp(l locker, path string, times int) error {
	for range times {
		if err := l.lock(context.Background()); err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, append(text, 'x'), 0o600)
		}
		if err := errors.Join(err, l.unlock()); err != nil {
			return err
		}
	}
	return nil
}

// eachLocker runs a test for every kind of lock, on a path of its own.
func eachLocker(t *testing.T, fn func(t *testing.T, kind string, open func() locker, path string)) {
	for kind, opener := range lockers {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			open := func() locker {
				l, err := opener(path)
				noErr(t, "open", err)
				closeLater(t, l)
				return l
			}
			fn(t, kind, open, path)
		})
	}
}

func TestLockersExclude(t *testing.T) {
	eachLocker(t, func(t *testing.T, kind string, open func() locker, path string) {
		data := filepath.Join(filepath.Dir(path), "data")
		noErr(t, "write", os.WriteFile(data, nil, 0o600))
		child := startChild(t, "count", kind, path, data)
		a, b := open(), open() // the same file twice in one process
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if err := countUp([]locker{a, b}[i%2], data, 50); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		child.finish()
		got, err := os.ReadFile(data)
		noErr(t, "read", err)
		if len(got) != 300 {
			t.Errorf("counted %d of 300", len(got))
		}
	})
}

func TestLockersTryAndWait(t *testing.T) {
	eachLocker(t, func(t *testing.T, kind string, open func() locker, path string) {
		a, b := open(), open()
		noErr(t, "lock", a.lock(t.Context()))
		for name, l := range map[string]locker{"a": a, "b": b} {
			if ok, err := l.try(); ok || err != nil {
				t.Errorf("try of %s: %v, %v", name, ok, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			wantErr(t, "lock of "+name, l.lock(ctx), mmapfile.ErrLocked, context.DeadlineExceeded)
			cancel()
		}
		done := make(chan error)
		go func() { done <- b.lock(context.Background()) }()
		noErr(t, "unlock", a.unlock())
		noErr(t, "lock", <-done)
		noErr(t, "unlock", b.unlock())
		wantErr(t, "unlock again", b.unlock(), mmapfile.ErrNotLocked)
		if ok, err := a.try(); !ok || err != nil {
			t.Errorf("try: %v, %v", ok, err)
		}
	})
}

// A killed holder, and one that closes while it holds, leave word of it.
func TestLockersAbandoned(t *testing.T) {
	eachLocker(t, func(t *testing.T, kind string, open func() locker, path string) {
		a, b := open(), open()
		child := startChild(t, "hold", kind, path)
		child.expect("locked")
		done := make(chan error)
		go func() { done <- a.lock(context.Background()) }()
		child.kill()
		wantErr(t, "lock after a kill", <-done, mmapfile.ErrAbandoned)
		noErr(t, "unlock", a.unlock())
		noErr(t, "lock", b.lock(t.Context()))
		noErr(t, "close", b.Close())
		ok, err := a.try()
		if !ok {
			t.Error("a closed lock is still held")
		}
		wantErr(t, "try after a close", err, mmapfile.ErrAbandoned)
		noErr(t, "unlock", a.unlock())
		noErr(t, "lock", a.lock(t.Context()))
		noErr(t, "unlock", a.unlock())
	})
}

func TestLockersClose(t *testing.T) {
	eachLocker(t, func(t *testing.T, kind string, open func() locker, path string) {
		a, b := open(), open()
		noErr(t, "lock", a.lock(t.Context()))
		done := make(chan error)
		go func() { done <- b.lock(context.Background()) }()
		time.Sleep(time.Millisecond)
		noErr(t, "close", b.Close())
		wantErr(t, "lock of a closed lock", <-done, mmapfile.ErrClosed)
		wantErr(t, "close again", b.Close(), mmapfile.ErrClosed)
		_, err := b.try()
		wantErr(t, "try after close", err, mmapfile.ErrClosed)
	})
}

func TestLockersRefuseOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	noErr(t, "write", os.WriteFile(path, []byte("this is no lock at all"), 0o600))
	for kind, open := range lockers {
		_, err := open(path)
		wantErr(t, kind, err, mmapfile.ErrInvalid)
	}
	lock := filepath.Join(t.TempDir(), "lock")
	s, err := mmapfile.OpenSemaphore(lock, 3, 0)
	noErr(t, "open", err)
	closeLater(t, s)
	for _, n := range []int{0, -1, 4, 1 << 20} {
		_, err := mmapfile.OpenSemaphore(lock, n, 0)
		wantErr(t, "another count", err, mmapfile.ErrInvalid)
	}
	_, err = mmapfile.OpenRWMutex(lock, 0)
	wantErr(t, "another kind", err, mmapfile.ErrInvalid)
}

func TestRWMutexReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *mmapfile.RWMutex {
		m, err := mmapfile.OpenRWMutex(path, 0)
		noErr(t, "open", err)
		closeLater(t, m)
		return m
	}
	a, b := open(), open()
	noErr(t, "first reader", a.RLock(t.Context()))
	noErr(t, "second reader", a.RLock(t.Context()))
	noErr(t, "reader of the other", b.RLock(t.Context()))
	for _, m := range []*mmapfile.RWMutex{a, b} {
		if ok, err := m.TryLock(); ok || err != nil {
			t.Errorf("a writer among readers: %v, %v", ok, err)
		}
	}
	writing := make(chan error)
	go func() { writing <- b.Lock(context.Background()) }()
	eventually(t, "the writer stops new readers", func() bool {
		ok, err := a.TryRLock()
		noErr(t, "try", err)
		if ok {
			noErr(t, "unlock", a.RUnlock())
		}
		return !ok
	})
	noErr(t, "unlock", a.RUnlock())
	noErr(t, "unlock", b.RUnlock())
	select {
	case err := <-writing:
		t.Fatalf("the writer did not wait for the last reader: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	noErr(t, "unlock", a.RUnlock())
	noErr(t, "write", <-writing)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	wantErr(t, "read while written", a.RLock(ctx), mmapfile.ErrLocked, context.DeadlineExceeded)
	noErr(t, "unlock", b.Unlock())
	noErr(t, "read", b.RLock(t.Context()))
	noErr(t, "unlock", b.RUnlock())
	wantErr(t, "unlock again", b.RUnlock(), mmapfile.ErrNotLocked)
	wantErr(t, "unlock unlocked", a.Unlock(), mmapfile.ErrNotLocked)
}

// Readers learn of a dead writer until another writer has had the lock.
func TestRWMutexReadersLearnOfDeath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	m, err := mmapfile.OpenRWMutex(path, 0)
	noErr(t, "open", err)
	closeLater(t, m)
	child := startChild(t, "hold", "rwmutex", path)
	child.expect("locked")
	child.kill()
	for range 2 {
		wantErr(t, "read", m.RLock(t.Context()), mmapfile.ErrAbandoned)
		noErr(t, "unlock", m.RUnlock())
	}
	wantErr(t, "write", m.Lock(t.Context()), mmapfile.ErrAbandoned)
	noErr(t, "unlock", m.Unlock())
	noErr(t, "read", m.RLock(t.Context()))
}

func TestSemaphoreCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 3 {
		s, err := mmapfile.OpenSemaphore(path, 3, 0)
		noErr(t, "open", err)
		closeLater(t, s)
		for range 4 {
			wg.Go(func() {
				for range 20 {
					if err := s.Acquire(context.Background()); err != nil {
						t.Error(err)
						return
					}
					n := inside.Add(1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
					}
					time.Sleep(50 * time.Microsecond)
					inside.Add(-1)
					if err := s.Release(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if most.Load() != 3 {
		t.Errorf("%d holders at once, want 3", most.Load())
	}
}

func init() {
	// echo FILE: answers each signal on the first word by one on the second.
	children["echo"] = func(c *childIO, args []string) error {
		f, err := mmapfile.Open(args[0], mmapfile.Options{Access: mmapfile.ReadWrite})
		if err != nil {
			return err
		}
		m, err := f.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
		if err != nil {
			return err
		}
		v, err := m.View(mmapfile.Write, 0, 0)
		if err != nil {
			return err
		}
		ask, err1 := v.Event(0)
		answer, err2 := v.Event(4)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		c.say("ready")
		for seen := uint32(0); seen < 100; {
			if seen, err = ask.Wait(context.Background(), seen); err != nil {
				return err
			}
			if err := answer.Signal(); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestEventBetweenProcesses(t *testing.T) {
	f, path := create(t, 8)
	v := viewT(t, mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite}),
		mmapfile.Write, 0, 0)
	ask, err := v.Event(0)
	noErr(t, "event", err)
	answer, err := v.Event(4)
	noErr(t, "event", err)
	child := startChild(t, "echo", path)
	child.expect("ready")
	for i := range uint32(100) {
		noErr(t, "signal", ask.Signal())
		n, err := answer.Wait(t.Context(), i)
		if n != i+1 || err != nil {
			t.Fatalf("answer %d: %d, %v", i, n, err)
		}
	}
	child.finish()
	if n, err := ask.Value(); n != 100 || err != nil {
		t.Errorf("value %d, %v", n, err)
	}
}

func TestEventEnds(t *testing.T) {
	f, _ := create(t, 100)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 0, 0)
	e, err := v.Event(8)
	noErr(t, "event", err)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(2*time.Millisecond, cancel)
	_, err = e.Wait(ctx, 0)
	wantErr(t, "wait", err, context.Canceled)
	if n, err := e.Wait(ctx, 5); n != 0 || err != nil {
		t.Errorf("what is not seen is returned at once: %d, %v", n, err)
	}
	done := make(chan error)
	go func() { _, err := e.Wait(context.Background(), 0); done <- err }()
	time.Sleep(time.Millisecond)
	noErr(t, "close", v.Close())
	wantErr(t, "wait of a closed view", <-done, mmapfile.ErrClosed)
	wantErr(t, "signal of a closed view", e.Signal(), mmapfile.ErrClosed)
	_, err = v.Event(8)
	wantErr(t, "event of a closed view", err, mmapfile.ErrClosed)
	r := viewT(t, m, mmapfile.Read, 0, 0)
	_, err = r.Event(0)
	wantErr(t, "event of a view that reads", err, mmapfile.ErrAccess)
	_, err = viewT(t, m, mmapfile.Write, 0, 0).Event(98)
	wantErr(t, "event out of line", err, mmapfile.ErrRange)
	if !strings.Contains(err.Error(), "file") {
		t.Errorf("text %q does not name the file", err)
	}
}
