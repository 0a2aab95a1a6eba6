package mapleaf

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The loss of power itself. A workload runs on a simulated disk, from the creation of
// the file on; then the power goes at any moment of it, and each file that may be left
// has to open, to hold what was durable and nothing in part, and to work. Of some, the
// recovery and the commits after it are interrupted again.

// unsynced reports whether what was left may be damaged: it was written to since it held
// least transactions, and not synced.
func (p *powerRun) unsynced(least, most uint64) bool { return p.plan.o.NoSync && least < most }

// judge returns what is wrong with what was left.
func (p *powerRun) judge(path string, least, most uint64, r *rand.Rand) error {
	if p.unsynced(least, most) {
		return p.verifyUnsynced(path, most)
	}
	return p.verify(path, least, most, r)
}

// verify opens what was left and uses it.
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

// verifyUnsynced opens what was left of a file that was written to and not synced: it says
// that it is damaged, wherever that shows first, or holds a state.
func (p *powerRun) verifyUnsynced(path string, most uint64) error {
	o := p.plan.o
	o.wrapFile = wrapLazy
	db, err := Open(path, 0o600, &o)
	if err != nil {
		return undamaged(err)
	}
	defer db.Close()
	// What lies before may have been written over.
	if _, err := p.work.compare(db, 0, most); err != nil {
		return undamaged(err)
	}
	if err := checkErrors(db); err != nil {
		return undamaged(err)
	}
	if _, err := p.work.step(db, nil); err != nil {
		return err
	}
	return db.Close()
}

// undamaged returns err unless it tells of damage.
func undamaged(err error) error {
	var corrupt *CorruptError
	if errors.As(err, &corrupt) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrChecksum) {
		return nil
	}
	return err
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
	o.wrapFile, o.Exclusive, o.Lazy = second.disk.wrap, r.IntN(2) == 0, false
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
		err := second.judge(path, max(least, second.durable(at)),
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
	if err := p.judge(path, least, most, r); err != nil {
		return 0, err
	}
	must, _ := p.born(at)
	if !must || p.unsynced(least, most) || r.IntN(4) > 0 {
		return 1, nil
	}
	n, err := p.again(dir, img, least, most, r)
	return n + 1, err
}

// powerRunsMin is in how many runs of a plan everything that belongs to it must have come
// up; less depends on the timing too much.
const powerRunsMin = 6

func TestPowerLoss(t *testing.T) {
	seeds := testRand(t, 600)
	states, points := 0, *crashPoints
	runs, own, events := map[string]int{}, map[string]int{}, map[powerEvent]int{}
	if testing.Short() {
		points /= 4
	}
	for round := 0; states < points || round < len(powerPlans); round++ {
		plan := powerPlans[round%len(powerPlans)]
		seed := seeds.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		run := newPowerRun(t, plan, r)
		runs[plan.name]++
		for event := range run.met() {
			events[event]++
			own[plan.name+string(event)]++
		}
		dir := t.TempDir()
		for range max(6, min(200, *crashPoints/60)) {
			at := 1 + r.IntN(run.disk.clock+1)
			n, err := run.lose(dir, at, r, nil)
			if err != nil {
				t.Fatalf("%s, round %d, power lost at %d of %d: %v", plan.name, round, at,
					run.disk.clock, err)
			}
			states += n
		}
	}
	for _, plan := range powerPlans {
		for _, event := range plan.meets {
			if own[plan.name+string(event)] == 0 && runs[plan.name] >= powerRunsMin {
				t.Errorf("%s: in none of %d runs was there a %s", plan.name, runs[plan.name], event)
			}
		}
	}
	for _, event := range slices.Sorted(maps.Keys(events)) {
		t.Logf("%s: in %d runs", event, events[event])
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
			// A bucket gets its sequence when all of it is there.
			if all[k] != v && !(v == "0" && n < 40 && strings.HasSuffix(k, "/")) {
				t.Fatalf("power lost at %d of %d: %.60q differs", at, run.disk.clock, k)
			}
		}
		for range 2 {
			if _, err := work.step(db, nil); err != nil {
				t.Fatalf("power lost at %d of %d: then %v", at, run.disk.clock, err)
			}
		}
		mustClose(t, db)
		db = mustOpen(t, path, &Options{wrapFile: wrapLazy})
		mustCheck(t, db)
		mustClose(t, db)
	}
}

// A harness that never fails proves nothing. With one sync taken away that a commit
// waited for, the loss of power right after the commit was acknowledged must show; so
// it must without the check of the manifest, and without the sync between the pages
// of a checkpoint and its meta.
func TestPowerHarnessNoticesMissingSync(t *testing.T) {
	lazy := 0
	for i, plan := range powerPlans {
		if plan.o.NoSync || testing.Short() && i%2 > 0 {
			continue
		}
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
		if plan.o.Lazy { // the timer may have synced before what decides here
			lazy += tried - unseen
			continue
		}
		if tried < 10 || unseen > tried/8 {
			t.Errorf("%s: of %d syncs that decide over a commit, %d can be left out", plan.name,
				tried, unseen)
		}
	}
	if lazy == 0 {
		t.Error("each sync of the lazy plans can be left out")
	}
}

// decided returns the moment after the first transaction that was acknowledged after
// call i, if that was before anything else was made durable.
func (p *powerRun) decided(i int) (at int, ok bool) {
	end, told := p.disk.events[i].end, opNote
	if p.plan.o.Lazy {
		told = opSynced
	}
	for _, e := range p.disk.events[i+1:] {
		switch e.kind {
		case opSync, opDurable:
			return 0, false
		case told:
			return e.end + 1, end > 0 && e.note > p.disk.last(told, end)
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
