//go:build invariants || race

package mapleaf

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/internal/inject"
)

// Every call of the system fails once, each in a run of its own: the i-th open, read,
// write, sync, change of the size, map, lock, rename, until a run has no i-th call. In
// each run whoever was promised something gets the error, which names the operation and
// the file; readers go on; and the file opens again with every transaction that was
// acknowledged, and with none in part.

var callRounds = flag.Int("calls", 1, "rounds in which every call of the system fails once")

// A callRun is one run of a scene.
type callRun struct {
	t      *testing.T
	path   string
	work   *powerWork
	mu     sync.Mutex
	calls  int
	failAt int
	cause  syscall.Errno
	failed string // the call that has failed, "" = none
	onFile string
	errs   []error
	least  uint64 // transactions that must be there
	most   uint64 // that may be
	loose  bool   // what was acknowledged need not be durable
}

// fail is the hook of package inject.
func (c *callRun) fail(op, path string) error {
	if !strings.HasPrefix(path, filepath.Dir(c.path)) || op == "unlock" {
		return nil // a lock that cannot be given back is held until Close
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls++; c.calls != c.failAt {
		return nil
	}
	c.failed, c.onFile = op, path
	return c.cause
}

// got notes the outcome of a call that may fail, and reports whether it did not.
func (c *callRun) got(err error) bool {
	if err != nil {
		c.errs = append(c.errs, err)
	}
	return err == nil
}

// open opens the database of the scene.
func (c *callRun) open(o *Options) *DB {
	o.Timeout = 2 * time.Second
	db, err := Open(c.path, 0o600, o)
	c.got(err)
	return db
}

// steps commits n transactions, as far as it goes, and reads after each.
func (c *callRun) steps(db *DB, n int) {
	for range n {
		if db == nil {
			return
		}
		began := c.least + 1
		c.most = max(c.most, began)
		done, err := c.work.step(db, nil)
		if c.got(err) {
			c.least = done
		}
		if err != nil && !errors.Is(err, ErrFailed) {
			c.most = max(c.least, began-1) // it was rolled back
		}
		if _, err := c.work.compare(db, c.least, c.least); err != nil {
			c.readFailed(err)
		}
		if errors.Is(err, ErrFailed) {
			if _, err := c.work.step(db, nil); !errors.Is(err, ErrFailed) {
				c.t.Errorf("after a failed write: %v", err)
			}
			return
		}
	}
}

// readFailed is for a read that has met the failing call itself.
func (c *callRun) readFailed(err error) {
	c.got(err)
	if !errors.Is(err, c.cause) {
		c.t.Errorf("a read after %v: %v", c.errs, err)
	}
}

func (c *callRun) close(db *DB) {
	if db != nil {
		c.got(db.Close())
	}
}

// quiet are calls whose failure may be known to nobody: something else was done
// instead, and nobody was promised what it was for.
var quiet = map[string]string{
	"allocate": "less is asked for then",
	"map":      "less is asked for then, or the log does not begin",
	"view":     "the same",
	"open":     "the log does not begin, or what the drive holds is written again",
	"stat":     "the log does not begin",
	"lock":     "another look comes later",
	"read":     "a second look comes later: another process has written",
}

// A callScene works on the file at path, which holds what before has left.
type callScene struct {
	name   string
	before func(c *callRun)
	run    func(c *callRun)
}

var callScenes = []callScene{
	{"creation", func(*callRun) {}, func(c *callRun) {
		db := c.open(&Options{LogSize: -1})
		c.steps(db, 3)
		c.close(db)
	}},
	{"pages", callSetup(4, false), func(c *callRun) {
		db := c.open(&Options{LogSize: -1, PreLoadFreelist: true})
		c.steps(db, 6)
		c.close(db)
	}},
	{"log after a kill", callSetup(6, true), func(c *callRun) {
		db := c.open(&Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 32 << 10})
		c.steps(db, 10)
		c.close(db)
	}},
	{"lazy", callSetup(4, true), func(c *callRun) {
		c.loose = true
		db := c.open(&Options{Lazy: true, SyncBytes: 4 << 10, SyncInterval: time.Hour})
		c.steps(db, 6)
		c.close(db)
	}},
	{"exclusive", callSetup(4, true), func(c *callRun) {
		db := c.open(&Options{Exclusive: true, LogSize: -1})
		c.steps(db, 3)
		c.close(db)
	}},
	{"spill", callSetup(4, false), func(c *callRun) {
		db := c.open(&Options{CheckpointBytes: 16 << 10, logAtOnce: true})
		c.steps(db, 6)
		c.close(db)
	}},
	{"reading", callSetup(6, true), func(c *callRun) {
		if db := c.open(&Options{ReadOnly: true}); db != nil {
			if _, err := c.work.compare(db, c.least, c.least); err != nil {
				c.readFailed(err)
			}
			c.got(checkErrors(db))
			c.close(db)
		}
	}},
	{"shared", callSetup(4, false), callShared},
	{"copies", callSetup(4, false), callCopies},
}

// callSetup leaves a database of n transactions, closed or as by a kill.
func callSetup(n int, killed bool) func(c *callRun) {
	return func(c *callRun) {
		o := &Options{LogSize: 64 << 10, logAtOnce: killed, CheckpointBytes: 64 << 10}
		o.wrapFile = wrapLazy
		db := mustOpen(c.t, c.path, o)
		c.steps(db, n)
		if !killed {
			mustClose(c.t, db)
		} else if err := abandon(db); err != nil {
			c.t.Fatal(err)
		}
	}
}

// callShared lets two databases take turns on the file, as processes do.
func callShared(c *callRun) {
	a := c.open(&Options{})
	c.steps(a, 1)
	b := c.open(&Options{})
	for range 2 {
		c.turn(a)
		c.turn(b)
	}
	c.close(a)
	if b != nil && b.store.failed() == nil {
		c.turn(b)
	}
	c.close(b)
}

// turn is a step of one of several databases, of which another may have failed.
func (c *callRun) turn(db *DB) {
	if db == nil || db.store.failed() != nil {
		return
	}
	c.most = max(c.most, c.least+1)
	n, err := c.work.step(db, nil)
	if c.got(err) {
		c.least, c.most = n, max(c.most, n)
	}
	if _, err := c.work.compare(db, c.least, c.most); err != nil {
		c.readFailed(err)
	}
}

// callCopies copies and compacts.
func callCopies(c *callRun) {
	db := c.open(&Options{})
	if db == nil {
		return
	}
	copied := c.path + "2"
	if c.got(db.View(func(t *Tx) error { return t.CopyFile(copied, 0o600) })) {
		c.holds(copied)
	}
	compacted := c.path + "3"
	dst, err := Open(compacted, 0o600, &Options{Timeout: 2 * time.Second})
	if c.got(err) {
		done := c.got(Compact(dst, db, 0))
		if closed := c.got(dst.Close()); done && closed {
			c.holds(compacted)
		}
	}
	c.steps(db, 1)
	c.close(db)
}

// holds checks a copy of the database that was made without an error.
func (c *callRun) holds(path string) {
	db, err := Open(path, 0o600, &Options{wrapFile: wrapLazy, Timeout: 2 * time.Second})
	if !c.got(err) {
		return
	}
	defer c.close(db)
	s, n, err := powerRead(db)
	if err != nil || n != c.least || len(s) != len(c.work.state(n)) {
		if !errors.Is(err, c.cause) {
			c.t.Errorf("a copy holds transaction %d and %d entries, %v", n, len(s), err)
		}
	}
}

func TestEveryCallOfTheSystemFails(t *testing.T) {
	defer inject.Set(nil)
	for i, scene := range callScenes {
		t.Run(scene.name, func(t *testing.T) {
			seed := testRand(t, 700+uint64(i)).Uint64()
			total := 0
			for round := range *callRounds {
				for at := 1; ; at++ {
					c := &callRun{t: t, failAt: at, work: &powerWork{seed: seed + uint64(round)/2}}
					c.cause = []syscall.Errno{syscall.EIO, syscall.ENOSPC}[(round+at)%2]
					c.path = filepath.Join(t.TempDir(), "call.db")
					if !c.play(scene) {
						total += at - 1
						break
					}
					if t.Failed() {
						t.Fatalf("call %d, %s of %s: %v; the errors were %v", at, c.failed,
							filepath.Base(c.onFile), c.cause, c.errs)
					}
				}
			}
			t.Logf("%d calls failed", total)
		})
	}
}

// play runs the scene and then looks at what it has left. It reports whether there were
// so many calls.
func (c *callRun) play(scene callScene) bool {
	inject.Set(nil)
	scene.before(c)
	watchdog := time.AfterFunc(time.Minute, func() {
		panic(fmt.Sprintf("%s hangs after call %d, %s of %s", scene.name, c.failAt, c.failed, c.onFile))
	})
	defer watchdog.Stop()
	inject.Set(c.fail)
	scene.run(c)
	inject.Set(nil)
	if c.failed == "" {
		return false
	}
	c.judge()
	db, err := Open(c.path, 0o600, &Options{wrapFile: wrapLazy, Timeout: 2 * time.Second})
	if err != nil {
		c.t.Errorf("open again: %v", err)
		return true
	}
	defer db.Close()
	if _, err := c.work.compare(db, c.least, c.most); err != nil {
		c.t.Errorf("open again: %v", err)
	}
	if err := errors.Join(checkErrors(db), db.Close()); err != nil {
		c.t.Errorf("open again: %v", err)
	}
	c.leftovers()
	return true
}

// judge looks at the errors that were returned.
func (c *callRun) judge() {
	var seen error
	for _, err := range c.errs {
		if errors.Is(err, c.cause) && seen == nil {
			seen = err
		}
	}
	if seen == nil {
		if quiet[c.failed] == "" || len(c.errs) > 0 {
			c.t.Errorf("the failure came to nobody")
		}
		return
	}
	if text := seen.Error(); !strings.Contains(text, c.failed) ||
		!strings.Contains(text, filepath.Base(c.onFile)) || !strings.HasPrefix(text, "mapleaf: ") {
		c.t.Errorf("the error names too little: %v", seen)
	}
}

// leftovers finds temporary files.
func (c *callRun) leftovers() {
	entries, err := os.ReadDir(filepath.Dir(c.path))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		for _, part := range []string{".new-", ".copy-"} {
			if strings.Contains(e.Name(), part) {
				c.t.Errorf("%s was left behind", e.Name())
			}
		}
	}
}
