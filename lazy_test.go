package mapleaf

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// Whatever of the unsynced writes survives a power cut, the file holds the state after
// some transaction, at or after the last one that was synced.
func TestLazyCrashStates(t *testing.T) {
	t.Parallel()
	r := testRand(t, 90)
	o := Options{
		Lazy: true, SyncInterval: time.Hour, LogSize: 64 << 10, CheckpointBytes: 128 << 10,
	}
	h, db, rec := beginHistory(t, r, o)
	m, path := h.states[0], tempPath(t)
	for i := range 40 {
		m = m.smallUpdate(t, db, r)
		h.states = append(h.states, m)
		if i%7 == 6 {
			if err := db.Sync(); err != nil {
				t.Fatal(err)
			}
			rec.note(i + 1)
		}
	}
	mustClose(t, db)
	rec.note(40)
	lost := 0
	for at := 0; at <= len(rec.ops); at += crashStep() {
		for name, keep := range survivors(r) {
			img := crashImage(h.base, rec.ops, at, keep)
			acked := acknowledged(rec.ops, at)
			got, err := h.stateOf(path, img)
			if err != nil || got < acked {
				t.Fatalf("crash before op %d of %d, %s survive: state %d, %d were synced, %v",
					at, len(rec.ops), name, got, acked, err)
			}
			if name == "none" && got < 40 {
				lost++
			}
		}
	}
	if lost == 0 {
		t.Error("nothing was ever lost: the commits were not lazy")
	}
}

// stateOf returns which state an image holds.
func (h *history) stateOf(path string, img []byte) (int, error) {
	if err := os.WriteFile(path, img, 0o600); err != nil {
		return 0, err
	}
	db, err := Open(path, 0o600, &Options{wrapFile: wrapLazy})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if err := checkErrors(db); err != nil {
		return 0, err
	}
	for i, m := range h.states {
		if m.compare(db) == nil {
			return i, nil
		}
	}
	return 0, errors.New("it is the state after no transaction")
}

// Transactions become durable by themselves: after a while, and when enough has come
// together.
func TestLazySyncs(t *testing.T) {
	for name, o := range map[string]Options{
		"interval": {Lazy: true, SyncInterval: time.Millisecond},
		"bytes":    {Lazy: true, SyncInterval: time.Hour, SyncBytes: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{}
			o.wrapFile = rec.wrap
			db := mustOpen(t, tempPath(t), &o)
			r := testRand(t, 91)
			m := model{}.mustUpdate(t, db, r, 60)
			m = m.smallUpdate(t, db, r)
			before := rec.len()
			syncs := 0
			for i := 0; syncs == 0 && i < 10_000; i++ {
				m = m.smallUpdate(t, db, r)
				syncs, _ = rec.count(opSync, before)
			}
			durable, _ := rec.count(opDurable, before)
			if syncs == 0 || durable > 0 {
				t.Errorf("%d syncs, %d durable writes", syncs, durable)
			}
		})
	}
}

// A sync in the background that fails is told to the next caller, once for all.
func TestLazySyncFails(t *testing.T) {
	db := mustOpen(t, tempPath(t), &Options{Lazy: true, SyncInterval: time.Hour})
	r := testRand(t, 92)
	m := model{}.mustUpdate(t, db, r, 60)
	m = m.smallUpdate(t, db, r)
	f := holdSync(db)
	done := make(chan error, 1)
	go func() { done <- db.Sync() }()
	<-f.entered
	f.release <- errInjected
	if err := <-done; !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
		t.Errorf("sync: %v", err)
	}
	if _, err := m.update(db, r, 1); !errors.Is(err, ErrFailed) {
		t.Errorf("update: %v", err)
	}
	if err := m.compare(db); err != nil {
		t.Error(err)
	}
}

// Close does not sync while another sync runs on the same descriptor: the system would
// tell one of them of an error of the drive, and the other one that all is well (R2).
func TestCloseWaitsForSync(t *testing.T) {
	db, err := Open(tempPath(t), 0o600, &Options{
		Lazy: true, SyncInterval: time.Hour, logAtOnce: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	model{}.mustUpdate(t, db, testRand(t, 94), 60)
	f := holdSync(db)
	synced, closed := make(chan error, 1), make(chan error, 1)
	go func() { synced <- db.Sync() }()
	<-f.entered
	go func() { closed <- db.Close() }()
	select {
	case <-f.entered:
		t.Error("two syncs at once")
		f.release <- nil
	case <-time.After(50 * time.Millisecond): // too short only hides a fault
	}
	f.release <- errInjected
	for running := true; running; {
		select {
		case <-f.entered:
			f.release <- nil
		case err := <-closed:
			if !errors.Is(err, errInjected) {
				t.Errorf("close: %v", err)
			}
			running = false
		}
	}
	if err := <-synced; !errors.Is(err, errInjected) {
		t.Errorf("sync: %v", err)
	}
}

// Nothing of a lazy transaction is lost when its process dies.
func TestLazyKill(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir+"/running.db", &Options{Lazy: true, SyncInterval: time.Hour})
	r := testRand(t, 93)
	m := model{}.mustUpdate(t, db, r, 60)
	for i := range 30 {
		m = m.smallUpdate(t, db, r)
		path := fmt.Sprintf("%s/killed%d.db", dir, i)
		copyFile(t, db.Path(), path)
		killed := mustOpen(t, path, &Options{wrapFile: wrapLazy})
		if err := m.compare(killed); err != nil {
			t.Fatalf("after %d transactions: %v", i, err)
		}
	}
}

// The first commit after DB.NoSync was switched off makes durable what was before it.
func TestSyncAfterNoSync(t *testing.T) {
	r := testRand(t, 100)
	o := Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 128 << 10}
	h, db, rec := beginHistory(t, r, o)
	m, path := h.states[0], tempPath(t)
	for i := range 120 {
		db.NoSync = i%40 >= 3 && i%40 < 20+i/40*6
		m = m.smallUpdate(t, db, r)
		h.states = append(h.states, m)
		if !db.NoSync {
			rec.note(i + 1)
		}
	}
	ops := rec.noted()
	mustClose(t, db)
	for at := 1; at <= len(ops); at++ {
		if ops[at-1].kind != opNote {
			continue
		}
		img := crashImage(h.base, ops, at, func() bool { return false })
		acked := acknowledged(ops, at)
		if got, err := h.stateOf(path, img); err != nil || got < acked {
			t.Fatalf("crash before op %d of %d: state %d, %d were synced, %v",
				at, len(ops), got, acked, err)
		}
	}
}
