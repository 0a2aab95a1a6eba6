//go:build invariants || race

package mapleaf

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A callScene works on the file of a run, which holds what before has left.
type callScene struct {
	name   string
	before func(c *callRun) // may be nil, as the next but one
	run    func(c *callRun)
	after  func(c *callRun) // when calls do not fail any more
	quiet  []callQuiet
}

// A callQuiet is calls whose failure may be known to nobody: something else was done
// instead, and nobody was promised what they were for.
type callQuiet struct{ calls, of, in, because string }

var (
	quietOpen = []callQuiet{
		{"map view", "data", "(*store).mapFile", "less is mapped then"},
		{"allocate", "memory", "(*mapping).makeTables", "less is mapped then"},
		{"allocate", "memory", "(*buffers).grow", "the Go heap has memory, too"},
		{"allocate", "memory", "prepared.func1", "the Go heap has memory, too"},
	}
	quietGrow = []callQuiet{
		{"allocate", "data", "(*store).growFile", "less is asked for then"},
	}
	quietLog = []callQuiet{
		{"allocate", "data", "(*writer).takeLogs", "the log begins later"},
		{"open stat", "data", "(*store).openBulk", "the log begins later"},
	}
	quietKill = []callQuiet{
		{"open", "data", "(*recovered).secure", "what the drive may have is written again"},
		{"read", "data", "(*securing).keep", "what the drive may have is written again"},
	}
	quietTick = []callQuiet{
		{"stat", "-lock", "(*peers).tick", "another look comes later"},
	}
	quietJoin = []callQuiet{
		{"open stat read map view", "-lock", "(*openFile).findLockFile", "another look comes later"},
		{"read", "data", "(*store).mustAgree", "it is an assertion, of builds for tests"},
	}
	quietCopies = []callQuiet{
		{"map view", "3", "(*store).mapFile", "less is mapped then"},
		{"allocate", "3", "(*store).growFile", "less is asked for then"},
		{"stat", "3-lock", "(*peers).tick", "another look comes later"},
	}
	quietNew = []callQuiet{
		{"map view", "2.new", "(*store).mapFile", "less is mapped then"},
		{"allocate", "2.new", "(*store).growFile", "less is asked for then"},
	}
	quietSalvage = []callQuiet{
		{"read", "data", "(*salvager).read", "the report tells what is missing for that"},
		{"read", "data", "(*salvager).copy", "the report tells what is missing for that"},
	}
	quietSurgery = []callQuiet{
		{"read", "data", "readSlots", "a meta that cannot be read is not taken"},
		{"read", "data", "describeMeta", "a state that cannot be read is not taken"},
		{"read", "2.new", "(*store).CheckSpace", "the report has it among the problems"},
	}
)

var callScenes = []callScene{
	{name: "creation", quiet: slices.Concat(quietOpen, quietGrow, quietTick),
		run: func(c *callRun) {
			db := c.open(&Options{LogSize: -1})
			c.steps(db, 3)
			c.close(db)
		}},
	{name: "an empty file", quiet: slices.Concat(quietOpen, quietGrow, quietTick),
		before: func(c *callRun) {
			if err := os.WriteFile(c.path, nil, 0o600); err != nil {
				c.t.Fatal(err)
			}
		},
		run: func(c *callRun) {
			db := c.open(&Options{LogSize: -1})
			c.steps(db, 1)
			c.close(db)
		}},
	{name: "pages", quiet: slices.Concat(quietOpen, quietGrow, quietTick),
		before: callSetup(4, false),
		run: func(c *callRun) {
			db := c.open(&Options{LogSize: -1, PreLoadFreelist: true})
			c.steps(db, 6)
			c.close(db)
		}},
	{name: "log after a kill", before: callSetup(6, true),
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietKill, quietTick),
		run: func(c *callRun) {
			db := c.open(&Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 32 << 10})
			c.steps(db, 8)
			c.close(db)
		}},
	{name: "lazy", before: callSetup(4, true),
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietKill, quietTick),
		run: func(c *callRun) {
			db := c.open(&Options{Lazy: true, SyncBytes: 4 << 10, SyncInterval: time.Hour})
			c.steps(db, 6)
			c.close(db)
		}},
	{name: "no sync", quiet: slices.Concat(quietOpen, quietGrow, quietTick),
		before: callSetup(4, false),
		run: func(c *callRun) {
			db := c.open(&Options{NoSync: true})
			c.steps(db, 3)
			if db != nil {
				c.got(db.Sync())
			}
			c.steps(db, 2)
			c.close(db)
		}},
	{name: "exclusive", quiet: slices.Concat(quietOpen, quietGrow, quietKill),
		before: callSetup(4, true),
		run: func(c *callRun) {
			db := c.open(&Options{Exclusive: true, LogSize: -1})
			c.steps(db, 3)
			c.close(db)
		}},
	{name: "spill", before: callSetup(4, false),
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietTick),
		run: func(c *callRun) {
			db := c.open(&Options{CheckpointBytes: 16 << 10, logAtOnce: true})
			c.steps(db, 5)
			c.close(db)
		}},
	{name: "idle", before: callSetup(4, false), run: callIdle,
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietTick)},
	{name: "tail", before: callTail, after: afterTail,
		quiet: slices.Concat(quietOpen, quietGrow, quietKill, quietTick),
		run: func(c *callRun) {
			db := c.open(&Options{LogSize: -1})
			c.steps(db, 2)
			c.close(db)
		}},
	{name: "shrink", before: callSetup(8, false),
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietTick),
		run: func(c *callRun) {
			db := c.open(&Options{logAtOnce: true, LogSize: 64 << 10, shrinkAtOnce: true})
			c.steps(db, 4)
			c.close(db)
		}},
	{name: "reading", quiet: slices.Concat(quietOpen, quietTick),
		before: callSetup(6, true),
		run: func(c *callRun) {
			if db := c.open(&Options{ReadOnly: true}); db != nil {
				c.reads(db, c.least, c.least)
				c.got(checkErrors(db))
				c.close(db)
			}
		}},
	{name: "an old reader", quiet: slices.Concat(quietOpen, quietGrow, quietTick),
		before: callSetup(4, false),
		run:    func(c *callRun) { callOldReader(c, &Options{LogSize: -1}) }},
	{name: "an old reader beside a log", before: callSetup(4, false),
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietTick),
		run: func(c *callRun) {
			callOldReader(c, &Options{
				logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 16 << 10,
			})
		}},
	{name: "concurrent", before: callSetup(4, false), run: callConcurrent,
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietTick)},
	{name: "shared", before: callSetup(4, false), run: callShared,
		quiet: slices.Concat(quietOpen, quietGrow, quietTick, quietJoin)},
	{name: "shared log", before: callSetup(4, false), run: callSharedLog,
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietTick, quietJoin)},
	{name: "shared kill", before: callSetup(4, true), run: callSharedKill,
		quiet: slices.Concat(quietOpen, quietGrow, quietLog, quietKill, quietTick, quietJoin)},
	{name: "copies", before: callSetup(4, false), run: callCopies,
		quiet: slices.Concat(quietOpen, quietGrow, quietTick, quietCopies)},
	{name: "salvage", before: callSetup(4, true), run: callSalvage, after: afterSalvage,
		quiet: slices.Concat(quietOpen, quietNew, quietSalvage)},
	{name: "older state", before: callRevert, after: afterRevert,
		quiet: slices.Concat(quietOpen, quietNew, quietSurgery),
		run: func(c *callRun) {
			c.surgery(RevertMeta(context.Background(), c.path+"2", c.path, callSurgery()))
		}},
	{name: "no log", before: callDrop, after: afterDrop,
		quiet: slices.Concat(quietOpen, quietNew, quietSurgery),
		run: func(c *callRun) {
			c.surgery(DropLog(context.Background(), c.path+"2", c.path, callSurgery()))
		}},
}

// callSetup leaves a database of n transactions, closed or as by a kill.
func callSetup(n int, killed bool) func(c *callRun) {
	return func(c *callRun) {
		c.leave(n, killed, &Options{
			LogSize: 64 << 10, logAtOnce: killed, CheckpointBytes: 64 << 10,
		})
	}
}

func (c *callRun) leave(n int, killed bool, o *Options) {
	o.wrapFile = wrapLazy
	db := mustOpen(c.t, c.path, o)
	c.steps(db, n)
	if !killed {
		mustClose(c.t, db)
	} else if err := abandon(db); err != nil {
		c.t.Fatal(err)
	}
}

// callIdle lets checkpoints be made because nothing else is to be done.
func callIdle(c *callRun) {
	db := c.open(&Options{logAtOnce: true, LogSize: 64 << 10, idleAfter: time.Millisecond})
	for range 2 {
		c.steps(db, 2)
		for wait := 0; db != nil && !callSettled(db.store) && wait < 1000; wait++ {
			time.Sleep(time.Millisecond)
		}
	}
	c.close(db)
}

// callSettled reports whether nothing is left to be written, or can be.
func callSettled(s *store) bool {
	if s.failed() != nil {
		return true
	}
	if !s.writing.TryLock() {
		return false
	}
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.newest == nil && s.mu.epoch.first == 0
}

// callTailBytes is how much of the file is free at its end, at least.
const callTailBytes = 1 << 20

// callTail leaves a file that is mostly free.
func callTail(c *callRun) {
	db := mustOpen(c.t, c.path, &Options{LogSize: -1, wrapFile: wrapLazy})
	for _, change := range []func(t *Tx) error{
		func(t *Tx) error {
			b, err := t.CreateBucket([]byte("bulk"))
			if err == nil {
				err = b.Put([]byte("k"), make([]byte, callTailBytes))
			}
			return err
		},
		func(t *Tx) error { return t.DeleteBucket([]byte("bulk")) },
	} {
		if err := db.Update(change); err != nil {
			c.t.Fatal(err)
		}
	}
	c.steps(db, 2)
	if err := abandon(db); err != nil {
		c.t.Fatal(err)
	}
}

// afterTail sees that the end is gone, if nobody was told otherwise.
func afterTail(c *callRun) {
	info, err := os.Stat(c.path)
	if err != nil || len(c.errs) == 0 && info.Size() > callTailBytes {
		c.t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

// callOldReader has a reader that began before the failure, and reads after it.
func callOldReader(c *callRun, o *Options) {
	db := c.open(o)
	if db == nil {
		return
	}
	check := c.oldReader(db)
	c.steps(db, 4)
	check()
	c.close(db)
}

// callConcurrent has several goroutines that write, and others that read meanwhile.
func callConcurrent(c *callRun) {
	const writers, readers = 3, 2
	db := c.open(&Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 16 << 10})
	if db == nil {
		return
	}
	var writing, reading sync.WaitGroup
	var mu sync.Mutex
	unknown := uint64(0)
	for range writers {
		writing.Go(func() {
			for range 3 {
				n, err := c.work.step(db, nil)
				mu.Lock()
				if c.got(err) {
					c.least = max(c.least, n)
				} else if errors.Is(err, ErrFailed) {
					unknown++
				}
				mu.Unlock()
				if errors.Is(err, ErrFailed) {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	for range readers {
		reading.Go(func() {
			for last := false; !last; {
				select {
				case <-done:
					last = true
				default:
				}
				mu.Lock()
				least := c.least
				mu.Unlock()
				c.reads(db, least, least+3*writers)
				time.Sleep(time.Millisecond)
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	c.most = c.least + unknown
	c.reads(db, c.least, c.least)
	c.close(db)
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

// callSharedLog has a database with a log, and a reader in it, let others in: it ends the
// log for one that only reads, and for one that writes.
func callSharedLog(c *callRun) {
	a := c.open(&Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 32 << 10})
	c.steps(a, 3)
	check := c.oldReader(a)
	reader := c.open(&Options{ReadOnly: true})
	b := c.open(&Options{})
	for range 2 {
		c.turn(b)
		c.turn(a)
		if reader != nil {
			c.reads(reader, c.least, c.most)
		}
	}
	check()
	c.close(a)
	c.close(reader)
	c.turn(b)
	c.close(b)
}

// callSharedKill has a process that is killed beside another one: when it has a log, and
// in the midst of a commit.
func callSharedKill(c *callRun) {
	a := c.open(&Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 32 << 10})
	c.steps(a, 3)
	c.kill(a)
	a = c.open(&Options{logAtOnce: true, LogSize: 64 << 10})
	c.steps(a, 2)
	b := c.open(&Options{})
	check := c.oldReader(b)
	c.turn(b)
	c.turn(a)
	if a != nil && a.store.failed() == nil {
		c.got(a.store.startWriting())
	}
	c.kill(a)
	c.turn(b)
	check()
	c.turn(b)
	c.close(b)
}

// kill leaves a database as its process does when it is killed. A failure before was told.
func (c *callRun) kill(db *DB) {
	if db == nil {
		return
	}
	if err := db.store.failed(); err != nil {
		c.got(err)
	}
	c.got(abandon(db))
}

// oldReader begins to read in db, and returns a function that reads the same again.
func (c *callRun) oldReader(db *DB) (check func()) {
	if db == nil {
		return func() {}
	}
	reader, err := db.Begin(false)
	if !c.got(err) {
		return func() {}
	}
	least, most := c.least, c.most
	return func() {
		defer rollback(reader)
		s, n, err := powerReadTx(reader)
		if err == nil {
			err = c.work.match(s, n, least, most)
		}
		if err != nil {
			c.t.Errorf("the reader of states %d to %d: %v", least, most, err)
		}
	}
}

// turn is a step of one of several databases, of which another may have failed.
func (c *callRun) turn(db *DB) {
	if db == nil || db.store.failed() != nil {
		return
	}
	before := c.most
	c.most = max(c.most, c.least+1)
	n, err := c.work.step(db, nil)
	if c.got(err) {
		c.least, c.most = n, max(before, n)
	}
	c.reads(db, c.least, c.most)
}

// callCopies copies and compacts.
func callCopies(c *callRun) {
	db := c.open(&Options{})
	if db == nil {
		return
	}
	copied := c.path + "2"
	if c.got(db.View(func(t *Tx) error { return t.CopyFile(copied, 0o600) })) {
		c.copies = append(c.copies, callCopy{copied, c.least, c.least})
	} else if _, err := os.Stat(copied); c.what() != "sync of folder" &&
		!errors.Is(err, fs.ErrNotExist) {
		c.t.Errorf("after an error there is a copy: %v", err)
	}
	compacted := c.path + "3"
	if dst := c.openAt(compacted, &Options{}); dst != nil {
		done := c.got(Compact(dst, db, 0))
		if closed := c.got(dst.Close()); done && closed {
			c.copies = append(c.copies, callCopy{compacted, c.least, c.least})
		}
	}
	c.steps(db, 1)
	c.close(db)
}

func callSalvage(c *callRun) {
	r, err := Salvage(context.Background(), c.path+"2", c.path,
		&SalvageOptions{Timeout: 2 * time.Second})
	c.got(err)
	c.report = r
}

// afterSalvage takes an incomplete database only if a part of the old one could not be read.
func afterSalvage(c *callRun) {
	again := func() error {
		r, err := Salvage(context.Background(), c.path+"2", c.path, nil)
		if err == nil && !r.Complete() {
			c.t.Errorf("a second try: missing %v, guesses %v", r.Missing, r.Guesses)
		}
		return err
	}
	if r := c.report; r == nil || r.Complete() {
		c.rescued(c.least, c.least, again)
	} else if c.what() == "read of data" && c.cause != syscall.EINTR {
		c.partly(c.path+"2", r)
		c.rescued(0, c.least, again)
		c.copies = nil
	} else {
		c.t.Errorf("missing %v, guesses %v", r.Missing, r.Guesses)
	}
}

// partly sees that the database at path is sound, and what the report says of it.
func (c *callRun) partly(path string, r *SalvageReport) {
	db := mustOpen(c.t, path, &Options{wrapFile: wrapLazy})
	s, _, err := powerRead(db)
	if err == nil {
		err = checkErrors(db)
	}
	if uint64(len(s)) != r.Records+r.Buckets || err != nil {
		c.t.Errorf("%d entries, %v; the report has %d records in %d buckets", len(s), err,
			r.Records, r.Buckets)
	}
	mustClose(c.t, db)
}

func callSurgery() *SurgeryOptions { return &SurgeryOptions{Timeout: 2 * time.Second} }

// surgery notes the outcome of an operation. What is wrong with the copy can only be that it
// could not be checked.
func (c *callRun) surgery(r *SurgeryReport, err error) {
	if !c.got(err) {
		return
	}
	unread := c.what() == "read of 2.new"
	for _, problem := range r.Problems {
		if c.cause == 0 || !unread || !errors.Is(problem, c.cause) {
			c.t.Errorf("the copy: %v", problem)
		}
	}
	if unread && c.cause != syscall.EINTR && len(r.Problems) == 0 {
		c.t.Errorf("the copy was not checked, and nobody says so")
	}
}

// callRevert leaves two metas, the older of which describes the last transaction but one.
func callRevert(c *callRun) {
	c.leave(6, true, &Options{LogSize: -1})
	c.start.expect = c.least - 1
}

func afterRevert(c *callRun) {
	most := c.start.expect
	if c.what() == "read of data" {
		most = c.least // if it is the older meta that could not be read
	}
	c.rescued(c.start.expect, most, func() error {
		_, err := RevertMeta(context.Background(), c.path+"2", c.path, nil)
		return err
	})
}

// callDrop leaves a log, and notes how many transactions are not in it.
func callDrop(c *callRun) {
	c.leave(4, true, &Options{logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 32 << 10})
	copied := c.path + "2"
	if _, err := DropLog(context.Background(), copied, c.path, nil); err != nil {
		c.t.Fatal(err)
	}
	db := mustOpen(c.t, copied, nil)
	_, n, err := powerRead(db)
	if err != nil {
		c.t.Fatal(err)
	}
	mustClose(c.t, db)
	for _, name := range []string{copied, copied + lockFileSuffix} {
		if err := os.Remove(name); err != nil {
			c.t.Fatal(err)
		}
	}
	c.start.expect = n
}

func afterDrop(c *callRun) {
	least := c.start.expect
	if c.what() == "read of data" {
		least = 0 // if the newest state could not be read
	}
	c.rescued(least, c.start.expect, func() error {
		_, err := DropLog(context.Background(), c.path+"2", c.path, nil)
		return err
	})
}

// rescued looks at what a scene has made of a database of which it may change nothing.
func (c *callRun) rescued(least, most uint64, again func() error) {
	b, err := os.ReadFile(c.path)
	if err != nil || !bytes.Equal(b, c.start.files[c.path]) {
		c.t.Errorf("the database has changed: %v", err)
	}
	made := c.path + "2"
	_, err = os.Stat(made)
	if there := err == nil; there != (len(c.errs) == 0) {
		c.t.Errorf("after errors %v: a copy is there: %t", c.errs, there)
	}
	if err != nil {
		if err := again(); err != nil {
			c.t.Errorf("a second try: %v", err)
		}
	}
	c.copies = append(c.copies, callCopy{made, least, most})
}
