package mapleaf

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// A database that keeps a log, whose pages are in memory, lets another one in: what
// was published is in the file then, readers from before keep their state, and there
// is no log until it is alone again.
func TestShareEndsLog(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, &Options{logAtOnce: true})
	r := testRand(t, 97)
	m := model{}.mustUpdate(t, a, r, 300)
	old, err := a.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(old)
	before := m
	for range 50 {
		m = m.mustUpdate(t, a, r, 20)
	}
	logging := func() bool {
		a.store.mu.Lock()
		defer a.store.mu.Unlock()
		return a.store.logging()
	}
	if !logging() {
		t.Fatal("there is no log")
	}
	b := mustOpen(t, path, nil)
	if err := m.compare(b); err != nil {
		t.Error(err)
	}
	for i := range 60 {
		m = m.mustUpdate(t, []*DB{a, b}[i%2], r, 20)
		if logging() {
			t.Fatal("there is a log while the file is shared")
		}
	}
	for _, db := range []*DB{a, b} {
		if err := m.compare(db); err != nil {
			t.Error(err)
		}
		mustCheck(t, db)
	}
	if err := before.compareTx(old); err != nil {
		t.Errorf("the reader from before: %v", err)
	}
	mustClose(t, b)
	if !mmapfile.ConvertsLocks {
		return // it is alone again when it is opened again
	}
	for deadline := time.Now().Add(20 * time.Second); !a.store.alone(); {
		if time.Now().After(deadline) {
			t.Fatal("the database is not alone again")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 5 {
		m = m.mustUpdate(t, a, r, 20)
	}
	if !logging() {
		t.Error("there is no log again")
	}
	if err := before.compareTx(old); err != nil {
		t.Errorf("the reader from before: %v", err)
	}
	rollback(old)
	mustCheck(t, a)
}

// A reader that finds a log without a writer replays it in memory, and keeps writers
// out meanwhile.
func TestShareReaderOfLog(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, &Options{logAtOnce: true})
	model{}.mustUpdate(t, a, testRand(t, 98), 300)
	for n := range uint64(20) {
		mustCount(t, a, n+1)
	}
	copied := path + "2"
	copyFile(t, path, copied) // as a kill leaves it
	reader := mustOpen(t, copied, &Options{ReadOnly: true})
	wantCounted(t, reader, 20)
	if !reader.store.replayed {
		t.Fatal("there was no log")
	}
	if _, err := Open(copied, 0o600, &Options{Timeout: 200 * time.Millisecond}); !errors.Is(err,
		ErrTimeout) {
		t.Errorf("write beside a reader of a log: %v", err)
	}
	second := mustOpen(t, copied, &Options{ReadOnly: true})
	if n, err := counted(second); err != nil || n != 20 {
		t.Errorf("a second reader sees %d, %v", n, err)
	}
	mustClose(t, reader)
	mustClose(t, second)
	mustCount(t, mustOpen(t, copied, nil), 21)
	if _, err := os.Stat(copied); err != nil {
		t.Error(err)
	}
}
