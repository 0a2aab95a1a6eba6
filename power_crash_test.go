package mapleaf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The loss of power itself. A workload runs on a simulated disk, from the creation of
// the file on; then the power goes at any moment of it, and each file that may be left
// has to open, to hold what was durable and nothing in part, and to work. Of some, the
// recovery and the commits after it are interrupted again.

// A powerPlan is a kind of workload.
type powerPlan struct {
	name     string
	o        Options
	workers  int // goroutines
	stores   int // databases on the file at once, as processes have it
	sessions int // each ends with Close, or as by a kill
	steps    int // of each goroutine in a session
}

var powerPlans = []powerPlan{
	{"pages", Options{LogSize: -1}, 1, 1, 3, 8},
	{"large pages", Options{PageSize: 16384}, 1, 1, 2, 8},
	{"log", Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 64 << 10}, 1, 1, 3, 14},
	{"large log", Options{logAtOnce: true}, 1, 1, 2, 14},
	{"lazy", Options{Lazy: true, SyncBytes: 8 << 10, SyncInterval: time.Millisecond,
		LogSize: 128 << 10, CheckpointBytes: 128 << 10}, 1, 1, 3, 14},
	{"concurrent", Options{LogSize: -1}, 4, 1, 2, 5},
	{"concurrent log", Options{logAtOnce: true, LogSize: 128 << 10, CheckpointBytes: 96 << 10},
		4, 1, 2, 6},
	{"processes", Options{logAtOnce: true, LogSize: 64 << 10}, 1, 3, 2, 5},
	{"lazy processes", Options{Lazy: true}, 2, 2, 2, 4},
	{"spills", Options{CheckpointBytes: 24 << 10, logAtOnce: true}, 1, 1, 2, 8},
	{"tail", Options{LogSize: -1, idleAfter: time.Millisecond}, 1, 1, 4, 3},
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
		}
	}
	return errors.Join(errs...)
}

// opSynced is a note: so many transactions were made durable by a call of DB.Sync.
const opSynced opKind = "synced"

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
	if p.plan.o.Lazy {
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

// verify opens what was left and uses it. It returns what is wrong.
func (p *powerRun) verify(path string, least, most uint64, r *rand.Rand) error {
	o := p.plan.o
	o.wrapFile, o.Timeout = wrapLazy, 10*time.Second
	db, err := Open(path, 0o600, &o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer db.Close()
	n, err := p.work.compare(db, least, most)
	if err != nil {
		return err
	}
	if err := checkErrors(db); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for range 2 {
		if _, err := p.work.step(db, nil); err != nil {
			return fmt.Errorf("commit after recovery: %w", err)
		}
	}
	if r.IntN(2) == 0 {
		err = abandon(db)
	} else {
		err = db.Close()
	}
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	o.Lazy = false
	if db, err = Open(path, 0o600, &o); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	defer db.Close()
	if _, err := p.work.compare(db, n+2, n+2); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	if err := checkErrors(db); err != nil {
		return fmt.Errorf("check after that: %w", err)
	}
	return db.Close()
}

// again opens what was left on a simulated disk, commits, and lets the power go a
// second time somewhere in that. It returns how many states it tried.
func (p *powerRun) again(dir string, img []byte, least, most uint64, r *rand.Rand) (int, error) {
	path := filepath.Join(dir, "again.db")
	if err := os.WriteFile(path, img, 0o600); err != nil {
		return 0, err
	}
	second := &powerRun{plan: p.plan, work: p.work, disk: &disk{}}
	second.disk.say(opOpen, 0) // it was created before
	second.disk.say(opSync, 0)
	o := p.plan.o
	o.wrapFile, o.Exclusive, o.Lazy = second.disk.wrap, true, false
	db, err := Open(path, 0o600, &o)
	if err != nil {
		return 0, err
	}
	second.plan.o.Lazy = false
	for range r.IntN(3) {
		if _, err := second.work.step(db, second.disk); err != nil {
			return 0, errors.Join(err, db.Close())
		}
	}
	if r.IntN(2) == 0 {
		err = abandon(db)
	} else {
		err = db.Close()
	}
	if err != nil {
		return 0, err
	}
	const tries = 3
	for range tries {
		at := 1 + r.IntN(second.disk.clock+1)
		left := second.disk.image(img, at, newFate(r), nil)
		if err := os.WriteFile(path, left, 0o600); err != nil {
			return 0, err
		}
		err := second.verify(path, max(least, second.durable(at)),
			max(most, second.disk.last(opStarted, at)), r)
		if err != nil {
			return 0, fmt.Errorf("power lost again at %d of %d: %w", at, second.disk.clock, err)
		}
	}
	return tries, nil
}

// lose lets the power go at the moment at, and returns what is wrong afterwards.
func (p *powerRun) lose(dir string, at int, r *rand.Rand, skip func(int) bool) (int, error) {
	img := p.disk.image(nil, at, newFate(r), skip)
	path := filepath.Join(dir, "power.db")
	if err := p.leave(path, img, at, r); err != nil {
		return 0, err
	}
	least, most := p.durable(at), p.disk.last(opStarted, at)
	if err := p.verify(path, least, most, r); err != nil {
		return 0, err
	}
	if must, _ := p.born(at); !must || r.IntN(4) > 0 {
		return 1, nil
	}
	n, err := p.again(dir, img, least, most, r)
	return n + 1, err
}

func TestPowerLoss(t *testing.T) {
	seeds := testRand(t, 600)
	states, points := 0, *crashPoints
	if testing.Short() {
		points /= 4
	}
	for round := 0; states < points; round++ {
		plan := powerPlans[round%len(powerPlans)]
		seed := seeds.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		run := newPowerRun(t, plan, r)
		dir := t.TempDir()
		for range max(12, min(200, *crashPoints/60)) {
			at := 1 + r.IntN(run.disk.clock+1)
			n, err := run.lose(dir, at, r, nil)
			if err != nil {
				t.Fatalf("%s, round %d, power lost at %d of %d: %v", plan.name, round, at,
					run.disk.clock, err)
			}
			states += n
		}
	}
	t.Logf("%d states after a loss of power, none of them wrong", states)
}

// A compacted copy that the power interrupts: it opens, and holds of each bucket what
// the copy had put into it; once the last record is there, everything.
func TestPowerLossOfCompact(t *testing.T) {
	r := testRand(t, 640)
	work := &powerWork{seed: r.Uint64()}
	src := mustOpen(t, tempPath(t), nil)
	for range 40 {
		if _, err := work.step(src, nil); err != nil {
			t.Fatal(err)
		}
	}
	run := &powerRun{work: work, disk: &disk{}}
	dst := mustOpen(t, tempPath(t), &Options{wrapFile: run.disk.wrap})
	if err := Compact(dst, src, 20_000); err != nil {
		t.Fatal(err)
	}
	run.disk.say(opNote, 40)
	mustClose(t, dst)
	dir, all := t.TempDir(), work.state(40)
	for range max(20, *crashPoints/20) {
		at := run.disk.returned(opOpen, 2) + 1 + r.IntN(run.disk.clock)
		path := filepath.Join(dir, "compact.db")
		img := run.disk.image(nil, at, newFate(r), nil)
		if err := os.WriteFile(path, img, 0o600); err != nil {
			t.Fatal(err)
		}
		db := mustOpen(t, path, &Options{wrapFile: wrapLazy})
		mustCheck(t, db)
		got, n, err := powerRead(db)
		if err != nil || n < run.durable(at) || n == 40 && len(got) != len(all) {
			t.Fatalf("power lost at %d of %d: %d entries of %d, number %d, %v", at,
				run.disk.clock, len(got), len(all), n, err)
		}
		for k, v := range got {
			if sequence := k[len(k)-1] == '/'; all[k] != v && !sequence {
				t.Fatalf("power lost at %d of %d: %.60q differs", at, run.disk.clock, k)
			}
		}
		mustClose(t, db)
	}
}

// A harness that never fails proves nothing. With one sync taken away that a commit
// waited for, the loss of power right after the commit was acknowledged must show; so
// it must without the check of the manifest, and without the sync between the pages
// of a checkpoint and its meta.
func TestPowerHarnessNoticesMissingSync(t *testing.T) {
	for i, plan := range []powerPlan{powerPlans[0], powerPlans[2]} {
		r := testRand(t, 610+uint64(i))
		run := newPowerRun(t, plan, r)
		dir, tried, unseen := t.TempDir(), 0, 0
		for missing, e := range run.disk.events {
			at, ok := run.decided(missing)
			if e.kind != opSync && e.kind != opDurable || !ok {
				continue
			}
			tried++
			noticed := false
			for range 30 {
				_, err := run.lose(dir, at, r, func(i int) bool { return i == missing })
				if noticed = err != nil; noticed {
					break
				}
			}
			if !noticed {
				unseen++ // with luck, the log still holds what the pages lack
			}
		}
		if tried < 10 || unseen > tried/8 {
			t.Errorf("%s: of %d syncs that decide over a commit, %d can be left out", plan.name,
				tried, unseen)
		}
	}
}

// decided returns the moment after the first transaction that was acknowledged after
// call i, if that was before anything else was made durable.
func (p *powerRun) decided(i int) (at int, ok bool) {
	end := p.disk.events[i].end
	for _, e := range p.disk.events[i+1:] {
		switch e.kind {
		case opSync, opDurable:
			return 0, false
		case opNote:
			return e.end + 1, end > 0 && e.note > p.disk.last(opNote, end)
		}
	}
	return 0, false
}

// powerTries is how many states are opened until one of them has to be wrong.
const powerTries = 600

func TestPowerHarnessNoticesMissingCheck(t *testing.T) {
	r := testRand(t, 620)
	plan := powerPlans[0]
	plan.o.trustManifest = true
	run := newPowerRun(t, plan, r)
	dir := t.TempDir()
	for range powerTries {
		if _, err := run.lose(dir, 1+r.IntN(run.disk.clock), r, nil); err != nil {
			return
		}
	}
	t.Fatal("no state was wrong without the check of the manifest")
}

func TestPowerHarnessNoticesUnsyncedCheckpoint(t *testing.T) {
	r := testRand(t, 630)
	run := newPowerRun(t, powerPlans[2], r)
	beforeMeta := func(i int) bool { // in front of a write of a meta alone
		for _, e := range run.disk.events[i+1:] {
			if e.kind == opWrite {
				return run.disk.events[i].kind == opSync && len(e.data) == metaSlotSize
			}
		}
		return false
	}
	dir := t.TempDir()
	for range powerTries {
		if _, err := run.lose(dir, 1+r.IntN(run.disk.clock), r, beforeMeta); err != nil {
			return
		}
	}
	t.Fatal("no state was wrong without the sync before the meta of a checkpoint")
}
