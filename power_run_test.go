package mapleaf

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// The workloads that the loss of power interrupts, and what they have made durable.

// A powerPlan is a kind of workload.
type powerPlan struct {
	name     string
	o        Options
	workers  int // goroutines
	stores   int // databases on the file at once, as processes have it
	sessions int // each ends with Close, or as by a kill
	steps    int // of each goroutine in a session

	// What the runs of the plan must have met, all together.
	meets []powerEvent
}

// A powerEvent is something that the store does now and then.
type powerEvent string

const (
	powerGrowth     powerEvent = "growth of the file"
	powerCut        powerEvent = "cut of the tail"
	powerCheckpoint powerEvent = "checkpoint with a log"
	powerSwitch     powerEvent = "switch to the other log"
	powerOverlap    powerEvent = "commits at once"
	powerHandover   powerEvent = "handover of the writer lock"
)

var powerPlans = []powerPlan{
	{"pages", Options{LogSize: -1}, 1, 1, 3, 8, []powerEvent{powerGrowth}},
	{"large pages", Options{PageSize: 16384}, 1, 1, 2, 8, []powerEvent{powerGrowth}},
	{"log", Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 64 << 10}, 1, 1, 3, 14,
		[]powerEvent{powerGrowth, powerCheckpoint, powerSwitch}},
	{"large log", Options{logAtOnce: true}, 1, 1, 2, 14, []powerEvent{powerGrowth}},
	{"lazy", Options{Lazy: true, SyncBytes: 8 << 10, SyncInterval: time.Millisecond,
		LogSize: 128 << 10, CheckpointBytes: 128 << 10}, 1, 1, 3, 14,
		[]powerEvent{powerGrowth, powerCheckpoint}},
	{"concurrent", Options{LogSize: -1}, 4, 1, 2, 5, []powerEvent{powerOverlap}},
	{"concurrent log", Options{logAtOnce: true, LogSize: 128 << 10, CheckpointBytes: 96 << 10},
		4, 1, 2, 6, []powerEvent{powerCheckpoint, powerOverlap}},
	{"processes", Options{logAtOnce: true, LogSize: 64 << 10}, 1, 3, 2, 5,
		[]powerEvent{powerGrowth}},
	{"lazy processes", Options{Lazy: true}, 2, 2, 2, 4, []powerEvent{powerHandover}},
	{"spills", Options{CheckpointBytes: 24 << 10, logAtOnce: true}, 1, 1, 2, 8,
		[]powerEvent{powerGrowth, powerCheckpoint}},
	{"tail", Options{LogSize: -1, idleAfter: time.Millisecond}, 1, 1, 4, 3,
		[]powerEvent{powerGrowth, powerCut}},
	{"shrink", Options{LogSize: -1, shrinkAtOnce: true}, 1, 1, 4, 6,
		[]powerEvent{powerGrowth, powerCut}},
	{"shrink log", Options{logAtOnce: true, LogSize: 64 << 10, shrinkAtOnce: true}, 1, 1, 4, 6,
		[]powerEvent{powerGrowth, powerCut}},
	{"unsynced shrink", Options{NoSync: true, LogSize: -1, shrinkAtOnce: true}, 1, 1, 3, 8,
		[]powerEvent{powerGrowth, powerCut}},
	{"unsynced", Options{NoSync: true, LogSize: -1}, 1, 1, 2, 10, []powerEvent{powerGrowth}},
	{"unsynced log", Options{NoSync: true, logAtOnce: true, LogSize: 64 << 10,
		CheckpointBytes: 512 << 10}, 1, 1, 3, 14, []powerEvent{powerGrowth, powerCheckpoint}},
}

// met returns which of the events the run has met.
func (p *powerRun) met() map[powerEvent]bool {
	met := map[powerEvent]bool{}
	var size int64
	var noted uint64
	var logs [2]tx.PageID
	for _, e := range p.disk.events {
		switch e.kind {
		case opOpen:
			logs = [2]tx.PageID{}
		case opAllocate:
			if size > 0 && e.size > size {
				met[powerGrowth] = true
			}
			size = e.size
		case opTruncate:
			if e.size < size {
				met[powerCut] = true
			}
			size = e.size
		case opNote:
			noted = max(noted, e.note)
		case opStarted:
			if e.note > noted+1 {
				met[powerOverlap] = true
			}
		case opSynced:
			if e.size == handover {
				met[powerHandover] = true
			}
		case opWrite, opDurable:
			m, err := decodeMeta(e.data)
			if err != nil || len(e.data) != metaSlotSize {
				continue
			}
			now := [2]tx.PageID{m.logs[0].first, m.logs[1].first}
			if logs[0] != 0 && now[0] != 0 {
				met[powerCheckpoint] = true
			}
			if now[0] != 0 && now[0] == logs[1] {
				met[powerSwitch] = true
			}
			logs = now
		}
	}
	return met
}

// A powerRun is a workload with its recording.
type powerRun struct {
	plan powerPlan
	work *powerWork
	disk *disk
	lock []byte // of the lock file, at the end
}

// newPowerRun runs the plan on a file of its own.
func newPowerRun(t *testing.T, plan powerPlan, r *rand.Rand) *powerRun {
	t.Helper()
	run := &powerRun{plan: plan, work: &powerWork{seed: r.Uint64()}, disk: &disk{}}
	path := tempPath(t)
	for range plan.sessions {
		if err := run.session(path, r.Uint64()); err != nil {
			t.Fatalf("%s: %v", plan.name, err)
		}
	}
	run.lock, _ = os.ReadFile(path + lockFileSuffix) // there may be none
	return run
}

// session opens the databases, works, and closes or abandons them.
func (p *powerRun) session(path string, seed uint64) error {
	var dbs []*DB
	r := rand.New(rand.NewPCG(seed, 1))
	for range p.plan.stores {
		o := p.plan.o
		o.wrapFile = p.disk.wrap
		o.Exclusive = p.plan.stores == 1 && r.IntN(2) == 0
		db, err := Open(path, 0o600, &o)
		if err != nil {
			return err
		}
		dbs = append(dbs, db)
	}
	p.disk.say(opNote, 0)
	p.work.begin()
	errs := make([]error, p.plan.workers*len(dbs))
	var workers sync.WaitGroup
	for i := range errs {
		pace := rand.New(rand.NewPCG(seed, uint64(i)+2))
		workers.Go(func() { errs[i] = p.worker(dbs[i%len(dbs)], pace) })
	}
	workers.Wait()
	for _, db := range dbs {
		if r.IntN(3) == 0 {
			errs = append(errs, abandon(db))
		} else {
			errs = append(errs, db.Close())
			p.disk.say(opSynced, p.work.latest(db))
		}
	}
	return errors.Join(errs...)
}

// opSynced is a note: so many transactions were made durable by a call of DB.Sync or
// Close, or because another process has the writer lock now (R38), which size tells.
const opSynced opKind = "synced"

const handover = 1

func (p *powerRun) worker(db *DB, r *rand.Rand) error {
	for range p.plan.steps {
		n, err := p.work.step(db, p.disk)
		if err != nil {
			return err
		}
		if r.IntN(6) == 0 {
			time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
		}
		if p.plan.o.Lazy && r.IntN(5) == 0 {
			if err := db.Sync(); err != nil {
				return err
			}
			p.disk.say(opSynced, n)
		}
	}
	return nil
}

// durable returns how many transactions must be there at the moment at.
func (p *powerRun) durable(at int) uint64 {
	if p.plan.o.Lazy || p.plan.o.NoSync {
		return p.disk.last(opSynced, at)
	}
	return p.disk.last(opNote, at)
}

// born reports whether the file must exist at the moment at, and whether it may:
// the first descriptor is that of the creation, and the second one comes after it.
func (p *powerRun) born(at int) (must, may bool) {
	return at > p.disk.returned(opOpen, 2), at > p.disk.returned(opSync, 1)
}

// leave makes the files that a loss of power leaves: the database, or what was to
// become one, and the lock file.
func (p *powerRun) leave(path string, img []byte, at int, r *rand.Rand) error {
	for _, old := range []string{path, path + lockFileSuffix} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	must, may := p.born(at)
	if !must && (!may || r.IntN(2) == 0) {
		return os.WriteFile(path+".new-0123456789abcdef", img, 0o600)
	}
	if err := os.WriteFile(path, img, 0o600); err != nil || len(p.lock) == 0 {
		return err
	}
	lock := append([]byte(nil), p.lock...)
	switch r.IntN(5) {
	case 0:
		return nil
	case 1:
		clear(lock)
	case 2:
		lock = lock[:0]
	case 3: // a sector that was under way
		at := r.IntN(len(lock)/sector) * sector
		for i := range sector {
			lock[at+i] = byte(r.Uint32())
		}
	}
	return os.WriteFile(path+lockFileSuffix, lock, 0o600)
}
