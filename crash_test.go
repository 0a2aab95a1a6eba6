package mapleaf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// The fault model of the crash tests: what was synced is there. Of what was
// written after that, any subset of sectors is there, in any order; the size of
// the file is the old or the new one. A note tells how many transactions had
// been acknowledged at that moment; the state after a crash is that one, or the
// one of the transaction that was under way.

const sector = 512

// crashImage returns what a crash before op number at leaves of base. keep says
// whether a sector written since the last sync survives.
func crashImage(base []byte, ops []op, at int, keep func() bool) []byte {
	synced := 0
	durable := make([]bool, at)
	for i, o := range ops[:at] {
		switch o.kind {
		case opSync:
			synced = i
		case opDurable:
			durable[durableWrite(ops, i)] = true
		}
	}
	img := &memFile{b: append([]byte(nil), base...)}
	for i, o := range ops[:at] {
		switch o.kind {
		case opAllocate:
			if i < synced || keep() {
				img.Allocate(o.size)
			}
		case opTruncate:
			if i < synced || keep() {
				img.Truncate(o.size)
			}
		case opWrite:
			for n := 0; n < len(o.data); n += sector {
				if i < synced || durable[i] || keep() {
					piece := o.data[n:min(n+sector, len(o.data))]
					img.WriteVec([][]byte{piece}, o.off+int64(n))
				}
			}
		}
	}
	return img.b
}

func countOps(ops []op, kind opKind) (n int) {
	for _, o := range ops {
		if o.kind == kind {
			n++
		}
	}
	return n
}

// durableWrite returns the write that op number i has made durable.
func durableWrite(ops []op, i int) int {
	at := ops[i].off
	for i--; ops[i].kind != opWrite || ops[i].off != at; i-- {
	}
	return i
}

// acknowledged returns the largest note before op number at.
func acknowledged(ops []op, at int) int {
	n := 0
	for _, o := range ops[:at] {
		if o.kind == opNote {
			n = max(n, o.note)
		}
	}
	return n
}

// A history is a recorded workload.
type history struct {
	base   []byte
	ops    []op
	states []model // by number of acknowledged transactions
}

// beginHistory makes a database that holds the first state, and opens it to be recorded.
func beginHistory(t *testing.T, r *rand.Rand, o Options) (*history, *DB, *recorder) {
	t.Helper()
	path := tempPath(t)
	db := mustOpen(t, path, &o)
	m := model{}.mustUpdate(t, db, r, 30)
	mustClose(t, db)
	h := &history{states: []model{m}}
	var err error
	if h.base, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	o.wrapFile = rec.wrap
	db = mustOpen(t, path, &o)
	rec.note(0)
	return h, db, rec
}

// recordHistory runs commits on a database that holds the first state.
func recordHistory(t *testing.T, r *rand.Rand, commits int, o Options) *history {
	t.Helper()
	h, db, rec := beginHistory(t, r, o)
	m := h.states[0]
	for i := range commits {
		m = m.mustUpdate(t, db, r, 1+r.IntN(40))
		h.states = append(h.states, m)
		rec.note(i + 1)
	}
	mustClose(t, db)
	h.ops = rec.ops
	return h
}

// reopen opens an image, compares it with the two states that it may have, goes
// on working with it, and returns what is wrong.
func (h *history) reopen(path string, img []byte, acked int, o Options, r *rand.Rand) error {
	if err := os.WriteFile(path, img, 0o600); err != nil {
		return err
	}
	o.wrapFile = wrapLazy
	db, err := Open(path, 0o600, &o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer db.Close()
	m := h.states[acked]
	err = m.compare(db)
	if err != nil && acked+1 < len(h.states) {
		m = h.states[acked+1]
		if m.compare(db) == nil {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("after %d transactions: %w", acked, err)
	}
	if err := checkErrors(db); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for range 2 {
		if m, err = m.update(db, r, 5); err != nil {
			return fmt.Errorf("update after recovery: %w", err)
		}
	}
	if err := m.compare(db); err != nil {
		return fmt.Errorf("after an update: %w", err)
	}
	return checkErrors(db)
}

// The ways in which sectors survive, each tried at every op.
func survivors(r *rand.Rand) map[string]func() bool {
	return map[string]func() bool{
		"none": func() bool { return false },
		"all":  func() bool { return true },
		"half": func() bool { return r.IntN(2) == 0 },
		"most": func() bool { return r.IntN(16) != 0 },
		"few":  func() bool { return r.IntN(16) == 0 },
	}
}

// crashStep is how many operations lie between the crashes that a test tries: how the
// operations fall differs from history to history.
func crashStep() int {
	if *crashPoints < 1000 {
		return 4
	}
	return 1
}

func TestCrashStates(t *testing.T) {
	t.Parallel()
	step := crashStep()
	for _, o := range []Options{
		{}, {PageSize: 16384},
		{logAtOnce: true, LogSize: 64 << 10},
		{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 64 << 10},
		{shrinkAtOnce: true}, {shrinkAtOnce: true, logAtOnce: true, LogSize: 64 << 10},
	} {
		r := testRand(t, uint64(o.PageSize)+uint64(o.CheckpointBytes))
		commits := 8
		if o.logAtOnce {
			commits = 25
		}
		h := recordHistory(t, r, commits, o)
		if n := countOps(h.ops, opDurable); (n >= commits/2) != o.logAtOnce {
			t.Errorf("%v: %d of %d commits went by the log", &o, n, commits)
		}
		path := tempPath(t)
		for at := 0; at <= len(h.ops); at += step {
			for name, keep := range survivors(r) {
				img := crashImage(h.base, h.ops, at, keep)
				if err := h.reopen(path, img, acknowledged(h.ops, at), o, r); err != nil {
					t.Fatalf("%v, crash before op %d of %d, %s survive: %v",
						&o, at, len(h.ops), name, err)
				}
			}
		}
	}
}

// A harness that never fails proves nothing: without the check of the manifest,
// some crash must leave a state that is neither old nor new.
func TestCrashHarnessNoticesMissingCheck(t *testing.T) {
	t.Parallel()
	r := testRand(t, 2)
	h := recordHistory(t, r, 6, Options{})
	path := tempPath(t)
	o := Options{trustManifest: true}
	failures := 0
	for at := 0; at <= len(h.ops); at++ {
		img := crashImage(h.base, h.ops, at, func() bool { return r.IntN(2) == 0 })
		if h.reopen(path, img, acknowledged(h.ops, at), o, r) != nil {
			failures++
		}
	}
	if failures == 0 {
		t.Fatal("no crash state was damaged without the manifest check")
	}
}

// The same with the sync of the log's records taken away.
func TestCrashHarnessNoticesUnsyncedLog(t *testing.T) {
	t.Parallel()
	r := testRand(t, 5)
	o := Options{logAtOnce: true, LogSize: 64 << 10}
	h := recordHistory(t, r, 12, o)
	path := tempPath(t)
	failures := 0
	for at := 0; at <= len(h.ops); at++ {
		acked := acknowledged(h.ops, at)
		without := slices.DeleteFunc(slices.Clone(h.ops[:at]), func(o op) bool {
			return o.kind == opDurable
		})
		img := crashImage(h.base, without, len(without), func() bool { return r.IntN(2) == 0 })
		if h.reopen(path, img, acked, o, r) != nil {
			failures++
		}
	}
	if failures == 0 {
		t.Fatal("no crash state was damaged without the sync of the log")
	}
}

// A crash during recovery is recovered from, too: whatever recovery had written.
func TestCrashDuringRecovery(t *testing.T) {
	t.Parallel()
	crashDuringRecovery(t, 4, Options{})
}

func TestCrashDuringReplay(t *testing.T) {
	t.Parallel()
	crashDuringRecovery(t, 8, Options{logAtOnce: true, LogSize: 64 << 10})
}

func crashDuringRecovery(t *testing.T, commits int, o Options) {
	r := testRand(t, 3)
	h := recordHistory(t, r, commits, o)
	dir := t.TempDir()
	for at := 0; at <= len(h.ops); at += crashStep() {
		acked := acknowledged(h.ops, at)
		img := crashImage(h.base, h.ops, at, func() bool { return r.IntN(8) != 0 })
		path := filepath.Join(dir, "first.db")
		if err := os.WriteFile(path, img, 0o600); err != nil {
			t.Fatal(err)
		}
		rec := &recorder{}
		db, err := Open(path, 0o600, &Options{wrapFile: rec.wrap})
		if err != nil {
			t.Fatalf("crash before op %d: %v", at, err)
		}
		ops := rec.noted()
		mustClose(t, db)
		for again := 0; again <= len(ops); again++ {
			second := crashImage(img, ops, again, func() bool { return r.IntN(2) == 0 })
			path := filepath.Join(dir, "second.db")
			if err := h.reopen(path, second, acked, Options{}, r); err != nil {
				t.Fatalf("crash before op %d, and before op %d of recovery: %v", at, again, err)
			}
		}
	}
}

// Batches of several goroutines, each built on one that is still on its way:
// whatever survives, every transaction is whole, and none that was acknowledged
// is missing.
func TestCrashStatesOfBatches(t *testing.T) {
	t.Parallel()
	r := testRand(t, 4)
	path := tempPath(t)
	mustClose(t, mustOpen(t, path, nil))
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{slow: time.Millisecond} // so that others join meanwhile
	db := mustOpen(t, path, &Options{wrapFile: rec.wrap})
	var workers sync.WaitGroup
	for range 6 {
		workers.Go(func() {
			for range 12 {
				n, err := killStep(db)
				if err != nil {
					t.Error(err)
					return
				}
				rec.note(int(n))
			}
		})
	}
	workers.Wait()
	mustClose(t, db)
	if n, _ := rec.count(opSync, 0); n >= 6*12 {
		t.Errorf("%d syncs: the transactions did not share them", n)
	}
	for at := 0; at <= len(rec.ops); at++ {
		img := crashImage(base, rec.ops, at, func() bool { return r.IntN(4) != 0 })
		if err := os.WriteFile(path, img, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, 0o600, &Options{wrapFile: wrapLazy})
		if err != nil {
			t.Fatalf("crash before op %d of %d: %v", at, len(rec.ops), err)
		}
		acked := acknowledged(rec.ops, at)
		err = db.View(func(tx *Tx) error {
			n, err := killCompare(tx)
			if err == nil && n < uint64(acked) {
				err = fmt.Errorf("%d transactions are there, %d were acknowledged", n, acked)
			}
			return err
		})
		err = errors.Join(err, checkErrors(db), db.Close())
		if err != nil {
			t.Fatalf("crash before op %d of %d: %v", at, len(rec.ops), err)
		}
	}
}
