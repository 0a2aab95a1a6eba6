package mapleaf

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// A reader that ends while what it sees is being put into the lock file, for others
// to see, is taken out again, and Close does not wait for it (H2).
func TestReaderEndsWhileMirrored(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	mustCount(t, db, 1)
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	s := db.store
	p := s.peers
	lf := p.lf.Load()
	own := *lf.own.Load()
	for i := range own[0].slots { // so that another block is needed, which waits for grow
		own[0].slots[i].here.Store(1)
	}
	lf.grow.Lock()
	p.share(true)
	reflected := make(chan error, 1)
	go func() { reflected <- p.reflect() }()
	waitFor(t, "that it asks for the ends of readers", func() bool {
		return s.slots.wake.Load() >= uint64(s.published.Load().TxID)
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rollback(reader) // waits for reflect, to do the same once more
	}()
	waitFor(t, "that the reader is gone", func() bool { return len(s.slots.live(nil)) == 0 })
	lf.grow.Unlock()
	if err := <-reflected; err != nil {
		t.Fatal(err)
	}
	<-ended
	for i := range own[0].slots {
		own[0].slots[i].here.Store(0)
	}
	if live := lf.ownLive(nil); len(live) != 0 {
		t.Errorf("the lock file tells of readers of %v, and there are none", live)
	}
	p.share(false)
	mustClose(t, db)
}

// waitFor waits until something has happened.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A slowFile tells when a call begins, and lets it wait, while it is armed.
type slowFile struct {
	file
	armed         *atomic.Bool
	entered, goOn chan struct{}
}

// wrapSlow returns what puts a slowFile in front of a file, and that.
func wrapSlow() (*slowFile, func(file) file) {
	s := &slowFile{
		armed: new(atomic.Bool), entered: make(chan struct{}), goOn: make(chan struct{}),
	}
	return s, func(f file) file {
		own := *s
		own.file = f
		return &own
	}
}

func (f *slowFile) wait() {
	if f.armed.CompareAndSwap(true, false) {
		close(f.entered)
		<-f.goOn
	}
}

func (f *slowFile) ReadAt(p []byte, off int64) (int, error) {
	f.wait()
	return f.file.ReadAt(p, off)
}

func (f *slowFile) Sync() error {
	f.wait()
	return f.file.Sync()
}

// Close gives the turn back before it lets the goroutine do that: two who do so at the
// same time would both sync, and one of them unlock for whoever came after the other.
func TestCloseReleasesOnce(t *testing.T) {
	path := tempPath(t)
	slow, wrap := wrapSlow()
	a := mustOpen(t, path, &Options{NoSync: true, wrapFile: wrap})
	b := mustOpen(t, path, nil)
	mustCount(t, a, 1)
	slow.armed.Store(true)
	closed := make(chan error, 1)
	go func() { closed <- a.Close() }()
	<-slow.entered
	select {
	case <-a.store.peers.noWriters:
		t.Error("the goroutine may release while Close does")
	default:
	}
	close(slow.goOn)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	mustCount(t, b, 2)
}

// A reader that reads what another process has published when Close comes does not
// begin, nor does any other after it.
func TestCloseWhileFollowing(t *testing.T) {
	path := tempPath(t)
	slow, wrap := wrapSlow()
	a := mustOpen(t, path, &Options{wrapFile: wrap})
	b := mustOpen(t, path, nil)
	mustCount(t, b, 1)
	slow.armed.Store(true)
	began := make(chan error, 1)
	go func() {
		tx, err := a.Begin(false)
		if err == nil {
			rollback(tx)
		}
		began <- err
	}()
	<-slow.entered
	closed := make(chan error, 1)
	go func() { closed <- a.Close() }()
	waitFor(t, "Close", func() bool { return a.store.published.Load() == nil })
	close(slow.goOn)
	if err := <-began; !errors.Is(err, ErrDatabaseNotOpen) {
		t.Errorf("begin: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if a.store.published.Load() != nil {
		t.Error("a closed database shows a state to readers")
	}
}

// A checkpoint that ends long after the file was left to others publishes nothing:
// they may have written since.
func TestSettledAfterOthers(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, &Options{logAtOnce: true})
	for n := range uint64(5) {
		mustCount(t, a, n+1)
	}
	b := mustOpen(t, path, nil)
	mustCount(t, b, 6)
	wantCounted(t, a, 6)
	s := a.store
	if len(s.mu.finished) == 0 {
		t.Fatal("no checkpoint has left anything")
	}
	newest := s.published.Load().TxID
	s.settled()
	if id := s.published.Load().TxID; id < newest {
		t.Errorf("state %d was published after state %d", id, newest)
	}
	mustCount(t, a, 7)
	wantCounted(t, b, 7)
}

// A Sync that comes when the file is closed says so, and is no failed sync.
func TestSyncAfterClose(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	mustCount(t, db, 1)
	mustClose(t, db)
	if err := db.store.sync(); !errors.Is(err, ErrDatabaseNotOpen) || errors.Is(err, ErrFailed) {
		t.Errorf("sync: %v", err)
	}
	if err := db.store.failed(); err != nil {
		t.Errorf("the closed database has failed: %v", err)
	}
}

// A reader that has found its database alone, or not, and goes on when that is over,
// takes a slot of the other kind: else others would not see it and use its pages
// again (H2).
func TestReaderBeginsWhileModeChanges(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, nil)
	mustCount(t, a, 1)
	_, session, err := a.store.beginShared(a.store.peers)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := session.(*slot); !ok {
		t.Errorf("where the database is alone a reader has a %T", session)
	}
	session.End()
	b := mustOpen(t, path, nil)
	_, session, err = a.store.beginAlone()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := session.(*peerSlot); !ok {
		t.Errorf("where the file is shared a reader has a %T", session)
	}
	live, err := b.store.live()
	if err != nil || len(live) != 1 {
		t.Errorf("the other process sees readers of %v, %v", live, err)
	}
	session.End()
}

// A slowFault is a file whose reads fail after a while, once that is asked for.
type slowFault struct {
	file
	armed *atomic.Bool
}

func (f slowFault) ReadAt(p []byte, off int64) (int, error) {
	if f.armed.Load() {
		time.Sleep(1100 * time.Millisecond) // longer than Close waits for its turn
		return 0, errInjected
	}
	return f.file.ReadAt(p, off)
}

// The last one to close waits for his turn for a while only; but what fails then is told,
// however long it has taken.
func TestCloseReturnsLateError(t *testing.T) {
	path := tempPath(t)
	var armed atomic.Bool
	wrap := func(f file) file { return slowFault{f, &armed} }
	a, err := Open(path, 0o600, &Options{wrapFile: wrap})
	if err != nil {
		t.Fatal(err)
	}
	mustCount(t, a, 1)
	b := mustOpen(t, path, nil)
	mustCount(t, b, 2)
	armed.Store(true)
	mustClose(t, b)
	if err := a.Close(); !errors.Is(err, errInjected) {
		t.Errorf("close: %v", err)
	}
	wantCounted(t, mustOpen(t, path, nil), 2)
}

// A reader that may open the file for its locks, and cannot, says so: it would wait for
// the one that writes.
func TestReaderCannotOpenForLocks(t *testing.T) {
	path := tempPath(t)
	mustCount(t, mustOpen(t, path, nil), 1)
	o := &Options{ReadOnly: true, Timeout: 10 * time.Second}
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if name == path && flag&os.O_RDWR != 0 {
			return nil, errInjected
		}
		return os.OpenFile(name, flag, mode)
	}
	if _, err := Open(path, 0o600, o); !errors.Is(err, errInjected) {
		t.Errorf("open: %v", err)
	}
}
