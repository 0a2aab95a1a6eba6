package mapleaf

import (
	"context"
	"sync"

	"github.com/mapleafdb/mapleaf/tx"
)

// Notification: who waits for a newer state is woken by a channel when it comes
// from this process, and by an event of the lock file when it comes from another.
//
// Invariants:
//
//	Y1 Who waits says so before it looks for the last time, and who publishes looks
//	   for somebody who waits after it has published: one sees the other.
//	Y2 Close wakes everybody and waits until they are out, before it unmaps the
//	   lock file.

// A watch is what the waiting of one database goes through.
type watch struct {
	mu     sync.Mutex
	next   chan struct{} // closed at the next publication; nil if nobody waits
	closed bool
	inside sync.WaitGroup
}

// tell wakes everybody who waits.
func (w *watch) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake()
}

// wake does the work of tell. The caller holds mu.
func (w *watch) wake() {
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}

// enter returns what the next publication closes, or false after Close.
func (w *watch) enter() (<-chan struct{}, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, false
	}
	if w.next == nil {
		w.next = make(chan struct{})
	}
	w.inside.Add(1)
	return w.next, true
}

// close sends everybody out.
func (w *watch) close() {
	w.mu.Lock()
	w.closed = true
	w.wake()
	w.mu.Unlock()
	w.inside.Wait()
}

// Watch waits until a state newer than the transaction after is published, by this
// process or another one, and returns the id of the newest: what Tx.ID of a read
// transaction that is begun then is, or less. With 0 it returns the newest state at
// once. It returns the error of ctx when ctx is done, and ErrDatabaseNotOpen when
// the database is closed. States that follow each other quickly may be seen as one.
//
// A program that keeps something up to date calls it in a loop, with what it
// returned last. Where the system can wake a process by a word in shared memory
// (on Linux), a process that waits uses no time; elsewhere it looks at the word
// up to fifty times a second if other processes have the database open.
func (db *DB) Watch(ctx context.Context, after int) (int, error) {
	if db.store == nil {
		return 0, ErrDatabaseNotOpen
	}
	for {
		txid, err := db.store.watchOnce(ctx, tx.TxID(max(after, 0)))
		if txid != 0 || err != nil {
			return int(txid), err
		}
	}
}

// watchOnce returns the newest state if it is newer than after; else it waits until
// that may have changed, and returns 0.
func (s *store) watchOnce(ctx context.Context, after tx.TxID) (tx.TxID, error) {
	next, ok := s.watch.enter()
	if !ok {
		return 0, ErrDatabaseNotOpen
	}
	defer s.watch.inside.Done()
	snap := s.published.Load()
	switch {
	case snap == nil:
		return 0, ErrDatabaseNotOpen
	case snap.TxID > after:
		return snap.TxID, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	if p := s.peers; p != nil && p.shared.Load() {
		return p.watchOthers(ctx, after, next)
	}
	select {
	case <-next:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// watchOthers waits for a state that any process publishes, or for next.
func (p *peers) watchOthers(ctx context.Context, after tx.TxID, next <-chan struct{}) (
	newest tx.TxID, err error) {
	lf := p.lf.Load()
	here, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-next:
			cancel()
		case <-here.Done():
		}
	}()
	err = lf.touch(func() error {
		lf.watchers.Add(1)
		defer lf.watchers.Add(^uint32(0))
		seen, err := lf.changed.Value()
		if err != nil {
			return err
		}
		if newest = tx.TxID(lf.published.Load()); newest > after {
			return nil
		}
		newest = 0
		_, err = lf.changed.Wait(here, seen)
		return err
	})
	switch {
	case ctx.Err() != nil && newest == 0:
		return 0, ctx.Err()
	case here.Err() != nil:
		return newest, nil // woken by this process
	}
	return newest, err
}
