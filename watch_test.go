package mapleaf

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/internal/invariant"
	"github.com/mapleafdb/mapleaf/mmapfile"
)

// watchNext waits for the state after the newest, while fn makes it, and returns
// how long after fn it woke.
func watchNext(t *testing.T, db *DB, fn func()) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	now, err := db.Watch(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan time.Time)
	go func() {
		next, err := db.Watch(ctx, now)
		if err != nil || next <= now {
			t.Errorf("watch after %d: %d, %v", now, next, err)
		}
		woken <- time.Now()
	}()
	time.Sleep(20 * time.Millisecond)
	fn()
	done := time.Now()
	return (<-woken).Sub(done)
}

func TestWatch(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, nil)
	var b *DB
	if took := watchNext(t, a, func() { mustCount(t, a, 1) }); took > time.Second {
		t.Errorf("by itself: woken after %s", took)
	}
	if took := watchNext(t, a, func() { // which leaves its mode meanwhile
		b = mustOpen(t, path, nil)
		mustCount(t, b, 2)
	}); took > time.Second {
		t.Errorf("by one who came: woken after %s", took)
	}
	if took := watchNext(t, a, func() { mustCount(t, b, 3) }); took > time.Second {
		t.Errorf("by another: woken after %s", took)
	}
	if took := watchNext(t, b, func() { mustCount(t, b, 4) }); took > time.Second {
		t.Errorf("by itself beside another: woken after %s", took)
	}
}

func TestWatchEnds(t *testing.T) {
	path := tempPath(t)
	for _, sharing := range []bool{false, true} {
		db, err := Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sharing {
			mustOpen(t, path, nil)
		}
		now, err := db.Watch(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := db.Watch(ctx, now); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("watch with a context: %v", err)
		}
		ended := make(chan error)
		go func() {
			_, err := db.Watch(t.Context(), now)
			ended <- err
		}()
		time.Sleep(20 * time.Millisecond)
		mustClose(t, db)
		if err := <-ended; !errors.Is(err, ErrDatabaseNotOpen) {
			t.Errorf("watch that Close has ended: %v", err)
		}
		if _, err := db.Watch(t.Context(), 0); !errors.Is(err, ErrDatabaseNotOpen) {
			t.Errorf("watch after Close: %v", err)
		}
	}
}

// Transactions that are open for too long are counted and told of, once each.
func TestMaxReadAge(t *testing.T) {
	path := tempPath(t)
	long := make(chan LongRead, 10)
	o := &Options{MaxReadAge: 30 * time.Millisecond, OnLongRead: func(l LongRead) { long <- l }}
	a := mustOpen(t, path, o)
	for _, sharing := range []bool{false, true} {
		if sharing {
			mustOpen(t, path, nil)
		}
		before := a.Stats()
		reader, err := a.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		l := <-long
		if l.TxID != reader.ID() || l.Age < o.MaxReadAge || invariant.Enabled != (l.Stack != "") {
			t.Errorf("told of %+v, transaction %d", l, reader.ID())
		}
		time.Sleep(2 * o.MaxReadAge)
		rollback(reader)
		after := a.Stats()
		if diff := after.Sub(&before); diff.LongReadN != 1 || len(long) != 0 {
			t.Errorf("%d long transactions, %d more", diff.LongReadN, len(long))
		}
	}
}

func TestCloseContext(t *testing.T) {
	db, err := Open(tempPath(t), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = db.CloseContext(ctx)
	var open *OpenTxError
	if !errors.As(err, &open) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("close with open transactions: %v", err)
	}
	if len(open.Open) != 2 || !open.Open[0].Writable || open.Open[1].ID != reader.ID() {
		t.Errorf("open are %+v", open.Open)
	}
	if invariant.Enabled && strings.Count(err.Error(), "TestCloseContext") != 2 {
		t.Errorf("the stacks are not there: %v", err)
	}
	if _, err := db.Begin(true); !errors.Is(err, ErrDatabaseNotOpen) {
		t.Errorf("begin while closing: %v", err)
	}
	rollback(writer)
	rollback(reader)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := db.CloseContext(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNetworkFileSystem(t *testing.T) {
	path := tempPath(t)
	o := &Options{network: func(*mmapfile.File) (string, error) { return "nfs", nil }}
	if _, err := Open(path, 0o600, o); !errors.Is(err, ErrNetwork) ||
		!strings.Contains(err.Error(), "nfs") {
		t.Errorf("open: %v", err)
	}
	mustClose(t, mustOpen(t, path, &Options{Exclusive: true})) // nothing was left behind
	if _, err := Open(path, 0o600, o); !errors.Is(err, ErrNetwork) {
		t.Errorf("open: %v", err)
	}
	o.AllowNetwork = true
	mustOpen(t, path, o)
}

func TestProcesses(t *testing.T) {
	path := tempPath(t)
	a := mustOpen(t, path, nil)
	r := testRand(t, 96)
	m := model{}.mustUpdate(t, a, r, 300)
	reader, err := a.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(reader)
	for range 20 {
		m = m.mustUpdate(t, a, r, 50)
	}
	want := func(db *DB) {
		t.Helper()
		all, err := db.Processes()
		if err != nil || len(all) != 1 || len(all[0].Readers) != 1 {
			t.Fatalf("processes are %+v, %v", all, err)
		}
		got := all[0].Readers[0]
		if got.TxID != reader.ID() || got.Lag != 20 || got.Pages == 0 || !all[0].Self {
			t.Errorf("the reader is %+v of %+v", got, all[0])
		}
	}
	want(a)
	b := mustOpen(t, path, &Options{ReadOnly: true})
	want(b) // both are one process
	time.Sleep(2500 * time.Millisecond)
	all, err := b.Processes()
	if err != nil || all[0].Readers[0].Age < time.Second {
		t.Errorf("after some seconds: %+v, %v", all, err)
	}
}
