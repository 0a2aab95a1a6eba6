package mapleaf

import (
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
