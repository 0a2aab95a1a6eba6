//go:build invariants || race

package mapleaf

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/internal/inject"
	"github.com/mapleafdb/mapleaf/mmapfile"
)

// Every call of the system fails once, each in a run of its own: the i-th open, read,
// write, sync, change of the size, map, lock, rename, until a run has no i-th call. In
// each run whoever was promised something gets the error, which names the operation and
// the file; readers go on; and the file opens again with every transaction that was
// acknowledged, and with none in part.
//
// The errors are that of a drive, where a write has written nothing; that of a full disk,
// where a write has written half of it; and the interruption by a signal, of which nobody
// may hear anything: the call is made again.
//
// What is not made to fail:
//
//	unlock      what cannot be given back is held until Close
//	close       the descriptor is gone all the same, and what was written through it
//	            was synced before that was relied on
//	munmap      fails for wrong arguments alone
//	madvise, futex, sync_file_range before others have to wait
//	            are hints, or are repeated from time to time
//	stat and readlink of a path before it is opened
//	            the opening then tells what is wrong
//	remove      of what a failed call has left, which tries to and can do no more
//	mlock       has a test of its own, as it is refused to many
//
// A write of which the system does a part and calls that a success goes on behind it:
// the tests of package mmapfile have those.

var callRounds = flag.Int("calls", 1, "rounds in which every call of the system fails once: "+
	"1 = of one error, that of a drive or of a full disk; 2 = of both in turn; "+
	"3 = and is interrupted; more = of all of these with other transactions")

// callErrors are what a call fails with; round r begins with number r.
var callErrors = []syscall.Errno{syscall.EIO, syscall.ENOSPC}

// A callRun is one run of a scene.
type callRun struct {
	t     *testing.T
	scene *callScene
	start *callStart
	dir   string
	path  string
	work  *powerWork
	every int // every so many-th call is interrupted, beginning with the first; 0 = none
	cause syscall.Errno

	mu     sync.Mutex
	calls  int
	failAt int    // 0 = none
	failed string // the call that has failed, "" = none
	onFile string
	within []string // the functions of this package that it was made in
	errs   []error
	least  uint64 // transactions that must be there
	most   uint64 // that may be
	copies []callCopy
	report *SalvageReport
}

// A callStart is what a run begins with.
type callStart struct {
	files  map[string][]byte
	least  uint64
	expect uint64 // transactions in what the scene makes
}

// A callCopy is a database that was made without an error, with so many transactions.
type callCopy struct {
	path        string
	least, most uint64
}

// fail is the hook of package inject.
func (c *callRun) fail(op, path string) error {
	if path != "" && !strings.HasPrefix(path, c.dir) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if op == "unlock" && c.every == 0 && c.cause != syscall.EINTR {
		return nil
	}
	c.calls++
	if c.every > 0 && c.calls%c.every == 1 {
		return syscall.EINTR
	}
	if c.calls != c.failAt {
		return nil
	}
	c.failed, c.onFile, c.within = op, path, callers()
	return c.cause
}

// callers returns the functions of this package that are being called.
func callers() (names []string) {
	var at [64]uintptr
	frames := runtime.CallersFrames(at[:runtime.Callers(2, at[:])])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if _, name, ok := strings.Cut(frame.Function, "/mapleaf."); ok {
			names = append(names, name)
		}
	}
	return names
}

// fills reports whether the disk is full at the call that comes next, a write.
func (c *callRun) fills(path string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != syscall.ENOSPC || c.calls+1 != c.failAt {
		return false
	}
	c.calls++
	c.failed, c.onFile = "write", path
	return true
}

// A callFile is a file on a disk that may become full.
type callFile struct {
	*mmapfile.File
	c *callRun
}

func (f callFile) WriteVec(bufs [][]byte, off int64) error {
	if !f.c.fills(f.Name()) {
		return f.File.WriteVec(bufs, off)
	}
	all := slices.Concat(bufs...)
	err := f.File.WriteVec([][]byte{all[:len(all)/2]}, off)
	return errors.Join(&mmapfile.Error{Op: "write", Path: f.Name(), Err: f.c.cause}, err)
}

func (f callFile) WriteVecDurable(bufs [][]byte, off int64) error {
	if !f.c.fills(f.Name()) {
		return f.File.WriteVecDurable(bufs, off)
	}
	all := slices.Concat(bufs...)
	err := f.File.WriteVecDurable([][]byte{all[:len(all)/2]}, off)
	return errors.Join(&mmapfile.Error{Op: "write", Path: f.Name(), Err: f.c.cause}, err)
}

func (c *callRun) wrap(f file) file { return callFile{f.(*mmapfile.File), c} }

// got notes the outcome of a call that may fail, and reports whether it did not.
func (c *callRun) got(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.errs = append(c.errs, err)
	}
	return err == nil
}

// open opens the database of the scene.
func (c *callRun) open(o *Options) *DB { return c.openAt(c.path, o) }

func (c *callRun) openAt(path string, o *Options) *DB {
	o.Timeout = 2 * time.Second
	if o.wrapFile == nil {
		o.wrapFile = c.wrap
	}
	db, err := Open(path, 0o600, o)
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
		c.reads(db, c.least, c.least)
		if errors.Is(err, ErrFailed) {
			if _, err := c.work.step(db, nil); !errors.Is(err, ErrFailed) {
				c.t.Errorf("after a failed write: %v", err)
			}
			return
		}
	}
}

// reads sees that so many transactions are visible, and what they leave.
func (c *callRun) reads(db *DB, least, most uint64) {
	if _, err := c.work.compare(db, least, most); err != nil {
		c.got(err)
		if c.cause == 0 || !errors.Is(err, c.cause) { // it has met the failing call itself
			c.t.Errorf("a read after %v: %v", c.errs, err)
		}
	}
}

func (c *callRun) close(db *DB) {
	if db != nil {
		c.got(db.Close())
	}
}

// setUp makes what the runs of a scene begin with.
func (c *callRun) setUp() {
	if c.scene.before != nil {
		c.scene.before(c)
	}
	c.start.least, c.start.files = c.least, make(map[string][]byte)
	for _, name := range c.names() {
		b, err := os.ReadFile(name)
		if err != nil {
			c.t.Fatal(err)
		}
		c.start.files[name] = b
	}
}

// names returns the files that are there.
func (c *callRun) names() []string {
	names, err := filepath.Glob(filepath.Join(c.dir, "*"))
	if err != nil {
		c.t.Fatal(err)
	}
	return names
}

// restore brings them back: the same files, since the lock file knows which one is its.
func (c *callRun) restore() {
	for _, name := range c.names() {
		if _, ok := c.start.files[name]; !ok {
			if err := os.Remove(name); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	for name, b := range c.start.files {
		err := os.WriteFile(name, bytes.TrimRight(b, "\x00"), 0o600)
		if err = errors.Join(err, os.Truncate(name, int64(len(b)))); err != nil {
			c.t.Fatal(err)
		}
	}
	c.least, c.most = c.start.least, c.start.least
}

func TestEveryCallOfTheSystemFails(t *testing.T) {
	defer inject.Set(nil)
	all := 0
	for i := range callScenes {
		scene := &callScenes[i]
		t.Run(scene.name, func(t *testing.T) {
			seed := testRand(t, 700+uint64(i)).Uint64()
			total := 0
			var setup *callRun
			for round := range *callRounds {
				if round%3 == 0 {
					setup = newCallScene(t, scene, seed+uint64(round))
				}
				total += setup.round(t, round)
			}
			all += total
			t.Logf("%d calls failed", total)
		})
	}
	t.Logf("%d calls failed in all", all)
}

// newCallScene sets a scene up.
func newCallScene(t *testing.T, scene *callScene, seed uint64) *callRun {
	c := &callRun{t: t, scene: scene, start: &callStart{}, work: &powerWork{seed: seed}}
	c.dir = t.TempDir()
	c.path = filepath.Join(c.dir, "call.db")
	c.setUp()
	return c
}

// round lets every call fail, and returns how many there were. The first round also has a
// run in which every call is interrupted.
func (c *callRun) round(t *testing.T, round int) int {
	again := func() *callRun {
		return &callRun{t: t, scene: c.scene, start: c.start, dir: c.dir, path: c.path, work: c.work}
	}
	if round == 0 {
		run := again()
		run.every = 2
		run.play()
		if t.Failed() {
			t.Fatalf("interrupted; the errors were %v", run.errs)
		}
	}
	for at := 1; ; at++ {
		run := again()
		run.failAt, run.cause = at, callErrors[(round+at)%len(callErrors)]
		if round%3 == 2 {
			run.cause = syscall.EINTR
		}
		run.play()
		if t.Failed() {
			t.Fatalf("call %d, %s of %s: %v; the errors were %v", at, run.failed,
				filepath.Base(run.onFile), run.cause, run.errs)
		}
		if run.failed == "" {
			return at - 1
		}
	}
}

// play runs the scene and then looks at what it has left.
func (c *callRun) play() {
	c.restore()
	watchdog := time.AfterFunc(time.Minute, func() {
		panic(fmt.Sprintf("%s hangs after call %d, %s of %s", c.scene.name, c.failAt, c.failed,
			c.onFile))
	})
	defer watchdog.Stop()
	inject.Set(c.fail)
	c.scene.run(c)
	inject.Set(nil)
	c.judge()
	if c.scene.after != nil {
		c.scene.after(c)
	}
	for _, copied := range c.copies {
		c.holds(copied.path, copied.least, copied.most)
	}
	c.holds(c.path, c.least, c.most)
	c.leftovers()
}

// holds opens a database again: it is whole, has so many transactions, and takes another.
func (c *callRun) holds(path string, least, most uint64) {
	db, err := Open(path, 0o600, &Options{wrapFile: wrapLazy, Timeout: 2 * time.Second})
	if err != nil {
		c.t.Errorf("open %s again: %v", filepath.Base(path), err)
		return
	}
	defer db.Close()
	_, err = c.work.compare(db, least, most)
	if err == nil {
		err = checkErrors(db)
	}
	if err == nil {
		_, err = c.work.step(db, nil)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		c.t.Errorf("open %s again: %v", filepath.Base(path), err)
	}
}

// judge looks at the errors that were returned.
func (c *callRun) judge() {
	var seen error
	for _, err := range c.errs {
		if c.cause != 0 && errors.Is(err, c.cause) && seen == nil {
			seen = err
		}
	}
	if c.failed == "" || c.cause == syscall.EINTR {
		if len(c.errs) > 0 || c.least != c.most {
			c.t.Errorf("%d of %d transactions were committed", c.least, c.most)
		}
		return
	}
	if seen == nil {
		if !c.quiet() || len(c.errs) > 0 {
			c.t.Errorf("the failure came to nobody: %s in %v", c.what(), c.within)
		}
		return
	}
	if text := seen.Error(); !strings.Contains(text, c.failed) ||
		c.onFile != "" && !strings.Contains(text, filepath.Base(c.onFile)) ||
		!strings.HasPrefix(text, "mapleaf: ") {
		c.t.Errorf("the error names too little: %v", seen)
	}
}

// what names the call that has failed, and on what.
func (c *callRun) what() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed + " of " + c.of()
}

// of names the file on which a call has failed by what is behind the path of the database.
// The caller holds mu, or the run is over.
func (c *callRun) of() string {
	of, _ := strings.CutPrefix(filepath.Base(c.onFile), filepath.Base(c.path))
	for _, part := range []string{".new-", ".copy-"} {
		if before, _, ok := strings.Cut(of, part); ok {
			of = before + part[:len(part)-1]
		}
	}
	switch {
	case c.onFile == "":
		return "memory"
	case c.onFile == c.dir:
		return "folder"
	case of == "":
		return "data"
	}
	return of
}

// quiet reports whether the failure may be known to nobody.
func (c *callRun) quiet() bool {
	return slices.ContainsFunc(c.scene.quiet, func(q callQuiet) bool {
		return slices.Contains(c.within, q.in) && slices.Contains(strings.Fields(q.calls), c.failed) &&
			c.of() == q.of
	})
}

// leftovers finds temporary files.
func (c *callRun) leftovers() {
	for _, name := range c.names() {
		for _, part := range []string{".new-", ".copy-"} {
			if strings.Contains(filepath.Base(name), part) {
				c.t.Errorf("%s was left behind", name)
			}
		}
	}
}
