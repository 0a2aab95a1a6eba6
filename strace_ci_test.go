//go:build ci && linux

package mapleaf_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf"
)

// This file counts, in the system calls of a real process, the operations
// that wait for the disk. The process is this test binary, started again under
// strace; between its steps it writes marks that show up in the same trace.
//
// Invariants:
//
//	T1 Every way to wait for the disk is counted, whatever its name: the sync
//	   calls, writes through a synchronous descriptor, writes with a
//	   synchronous flag. What cannot be counted fails the test.
//	T2 A call belongs to the step in which it begins. Zeros that are written ahead of
//	   the log, beside commits, belong to none: there are few of them.

// straceFileEnv tells the child which database to open, and straceLogEnv to use a log.
const (
	straceFileEnv = "MAPLEAF_STRACE_FILE"
	straceLogEnv  = "MAPLEAF_STRACE_LOG"
)

// stepMark begins every line that the child writes in front of a step.
const stepMark = "mapleaf-step "

// A syncStep is something done to an open database, and how often it may, and
// must, wait for the disk.
type syncStep struct {
	name  string
	syncs int
	run   func(db *mapleaf.DB, i int) error
}

var errDiscard = errors.New("roll this back")

// syncSteps run in this order, each syncRounds times.
var syncSteps = []syncStep{
	{"put", 1, func(db *mapleaf.DB, i int) error {
		return putSync(db, fmt.Sprintf("key %04d", i), 100)
	}},
	{"overwrite", 1, func(db *mapleaf.DB, i int) error {
		return putSync(db, fmt.Sprintf("key %04d", i%7), 100+i)
	}},
	{"large value", 1, func(db *mapleaf.DB, i int) error {
		return putSync(db, fmt.Sprintf("large %04d", i), 256<<10)
	}},
	{"nested bucket", 1, func(db *mapleaf.DB, i int) error {
		return db.Update(func(tx *mapleaf.Tx) error {
			b, err := tx.Bucket([]byte("sync")).CreateBucket(fmt.Appendf(nil, "sub %04d", i))
			if err != nil {
				return err
			}
			return b.Put([]byte("inside"), []byte("value"))
		})
	}},
	{"delete", 1, func(db *mapleaf.DB, i int) error {
		return db.Update(func(tx *mapleaf.Tx) error {
			return tx.Bucket([]byte("sync")).Delete(fmt.Appendf(nil, "large %04d", i))
		})
	}},
	{"batch", 1, func(db *mapleaf.DB, i int) error {
		return db.Batch(func(tx *mapleaf.Tx) error {
			return tx.Bucket([]byte("sync")).Put(fmt.Appendf(nil, "batch %04d", i), []byte("value"))
		})
	}},
	{"commit by hand", 1, func(db *mapleaf.DB, i int) error {
		tx, err := db.Begin(true)
		if err != nil {
			return err
		}
		if _, err := tx.Bucket([]byte("sync")).NextSequence(); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}},
	{"unchanged", 0, func(db *mapleaf.DB, i int) error {
		return db.Update(func(tx *mapleaf.Tx) error {
			if tx.Bucket([]byte("sync")).Get([]byte("key 0000")) == nil {
				return errors.New("key 0000 is missing")
			}
			return nil
		})
	}},
	{"rollback", 0, func(db *mapleaf.DB, i int) error {
		err := db.Update(func(tx *mapleaf.Tx) error {
			err := tx.Bucket([]byte("sync")).Put([]byte("never"), []byte("kept"))
			return errors.Join(errDiscard, err)
		})
		if !errors.Is(err, errDiscard) {
			return fmt.Errorf("rollback: got %v", err)
		}
		return nil
	}},
	{"view", 0, func(db *mapleaf.DB, i int) error {
		return db.View(func(tx *mapleaf.Tx) error {
			return tx.Bucket([]byte("sync")).ForEach(func(k, v []byte) error { return nil })
		})
	}},
	{"put without sync", 0, func(db *mapleaf.DB, i int) error {
		db.NoSync = true
		defer func() { db.NoSync = false }()
		return putSync(db, fmt.Sprintf("lazy %04d", i), 100)
	}},
}

const syncRounds = 25

// putSync puts one value of size bytes in a transaction of its own.
func putSync(db *mapleaf.DB, key string, size int) error {
	return db.Update(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("sync"))
		if err != nil {
			return err
		}
		return b.Put([]byte(key), bytes.Repeat([]byte{byte(size)}, size))
	})
}

// TestSyncsPerCommit proves that a commit waits for the disk exactly once,
// growth of the file included, and that nothing else does.
func TestSyncsPerCommit(t *testing.T) {
	if path := os.Getenv(straceFileEnv); path != "" {
		if err := runSyncSteps(path, os.Stdout); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, log := range []bool{false, true} {
		t.Run(fmt.Sprintf("log=%t", log), func(t *testing.T) { countSyncs(t, log) })
	}
}

func countSyncs(t *testing.T, log bool) {
	trace := straceChild(t, log)
	calls, err := syncCalls(bytes.NewReader(trace))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(trace, []byte("RWF_DSYNC")); (n > 3*syncRounds) != log {
		t.Errorf("%d writes to the log", n)
	}
	ahead := bytes.Count(trace, []byte("sync_file_range("))
	if most := len(syncSteps) * syncRounds / 8; ahead > most {
		t.Errorf("%d portions of the log were cleared", ahead)
	}
	for _, step := range syncSteps {
		t.Run(step.name, func(t *testing.T) {
			for i := range syncRounds {
				mark := syncMark(step, i)
				waits, ran := calls[mark]
				if !ran {
					t.Fatalf("step %q is not in the trace", mark)
				}
				waits = slices.DeleteFunc(waits, func(call string) bool {
					return strings.Contains(call, "sync_file_range(")
				})
				if len(waits) != step.syncs {
					t.Fatalf("step %q waits for the disk %d times, want %d:\n%s",
						mark, len(waits), step.syncs, strings.Join(waits, "\n"))
				}
			}
			t.Logf("%d times, with %d sync operations each", syncRounds, step.syncs)
		})
	}
}

func syncMark(step syncStep, i int) string { return fmt.Sprintf("%s %d", step.name, i) }

// runSyncSteps is the child: it opens a new database at path, warms it up and
// runs every step, with a mark written to out before each.
func runSyncSteps(path string, out io.Writer) error {
	o := &mapleaf.Options{LogSize: -1}
	if os.Getenv(straceLogEnv) != "" {
		mapleaf.WithLog(o)
		o.LogSize, o.CheckpointBytes = 1<<20, 64<<20 // no checkpoint falls into a step
	}
	db, err := mapleaf.Open(path, 0o600, o)
	if err != nil {
		return err
	}
	for i := range 10 {
		if err := putSync(db, fmt.Sprintf("warm %d", i), 1000); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	for _, step := range syncSteps {
		for i := range syncRounds {
			fmt.Fprintf(out, "%s%s\n", stepMark, syncMark(step, i))
			if err := step.run(db, i); err != nil {
				return errors.Join(fmt.Errorf("step %s: %w", syncMark(step, i), err), db.Close())
			}
		}
	}
	fmt.Fprintf(out, "%send\n", stepMark)
	return db.Close()
}

// straceChild runs the child under strace and returns the trace.
func straceChild(t *testing.T, withLog bool) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", "-f", "-qq", "-y", "-s", "40", "-o", log,
		"-e", "trace=/^(f|fdata|m|sync)sync|^sync|write|^(open|creat|close)|^io_(uring|submit)",
		exe, "-test.run", "^TestSyncsPerCommit$")
	cmd.Env = append(os.Environ(), straceFileEnv+"="+filepath.Join(dir, "db"))
	if withLog {
		cmd.Env = append(cmd.Env, straceLogEnv+"=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("run the child under strace: %v\n%s", err, out)
	}
	trace, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

var (
	callBegin   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	callResumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	callFD      = regexp.MustCompile(`^(\d+)<`)
	returnedFD  = regexp.MustCompile(` = (\d+)<[^<>]*>$`)
	markWritten = regexp.MustCompile(`"` + stepMark + `(.*)\\n"`)
	openSync    = regexp.MustCompile(`\bO_D?SYNC\b`)
	writeSync   = regexp.MustCompile(`\bRWF_D?SYNC\b`)
)

// syncCalls returns the calls by which the traced process waits for the disk,
// by step.
func syncCalls(trace io.Reader) (map[string][]string, error) {
	calls := make(map[string][]string)
	synchronous := make(map[string]bool) // descriptors opened with O_SYNC or O_DSYNC
	opening := make(map[string]bool)     // threads inside such an open
	step := "open"
	lines := bufio.NewScanner(trace)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := callResumed.FindStringSubmatch(line); m != nil && opening[m[1]] {
			delete(opening, m[1])
			if fd := returnedFD.FindStringSubmatch(line); fd != nil {
				synchronous[fd[1]] = true
			}
		}
		m := callBegin.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, call, args := m[1], m[2], m[3]
		if mark := markWritten.FindStringSubmatch(args); call == "write" && mark != nil {
			step = mark[1]
			calls[step] = nil
			continue
		}
		if openSync.MatchString(args) && strings.HasPrefix(call, "open") {
			if fd := returnedFD.FindStringSubmatch(line); fd != nil {
				synchronous[fd[1]] = true
			} else {
				opening[thread] = true
			}
		}
		waits, err := callWaits(call, args, synchronous)
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", step, err)
		}
		if waits {
			calls[step] = append(calls[step], line)
		}
	}
	return calls, lines.Err()
}

// callWaits reports whether one call waits for the disk.
func callWaits(call, args string, synchronous map[string]bool) (bool, error) {
	fd := ""
	if m := callFD.FindStringSubmatch(args); m != nil {
		fd = m[1]
	}
	switch {
	case strings.HasPrefix(call, "io_"):
		return false, fmt.Errorf("%s(%s cannot be counted", call, args)
	case call == "close":
		delete(synchronous, fd)
	case call == "msync":
		return strings.Contains(args, "MS_SYNC"), nil
	case strings.Contains(call, "sync"):
		return true, nil
	case strings.Contains(call, "write"):
		return synchronous[fd] || writeSync.MatchString(args), nil
	}
	return false, nil
}

// TestSyncCalls proves that the count sees what it must see.
func TestSyncCalls(t *testing.T) {
	const trace = `10 openat(AT_FDCWD, "db", O_RDWR|O_CLOEXEC) = 5</db>
10 openat(AT_FDCWD, "db", O_RDWR|O_DSYNC|O_CLOEXEC <unfinished ...>
11 pwrite64(6</db>, "early", 5, 0) = 5
10 <... openat resumed>) = 6</db>
10 write(1<pipe:[7]>, "mapleaf-step one 0\n", 19) = 19
10 pwrite64(5</db>, "fdatasync(5", 11, 0) = 11
10 fdatasync(5</db> <unfinished ...>
11 msync(0xc000, 4096, MS_ASYNC) = 0
10 <... fdatasync resumed>) = 0
10 write(1<pipe:[7]>, "mapleaf-step many 0\n", 20) = 20
10 pwritev(6</db>, [{iov_base="x", iov_len=1}], 1, 0) = 1
10 pwritev2(5</db>, [{iov_base="x", iov_len=1}], 1, 0, RWF_DSYNC) = 1
10 msync(0xc000, 4096, MS_SYNC) = 0
10 sync_file_range(5</db>, 0, 0, SYNC_FILE_RANGE_WRITE) = 0
11 fsync(5</db>) = 0
10 close(6</db>) = 0
10 pwrite64(6</other>, "x", 1, 0) = 1
10 write(1<pipe:[7]>, "mapleaf-step end\n", 17) = 17
`
	calls, err := syncCalls(strings.NewReader(trace))
	if err != nil {
		t.Fatal(err)
	}
	for step, want := range map[string]int{"open": 0, "one 0": 1, "many 0": 5, "end": 0} {
		if got := calls[step]; len(got) != want {
			t.Errorf("step %q: got %d calls, want %d:\n%s",
				step, len(got), want, strings.Join(got, "\n"))
		}
	}
	if _, err := syncCalls(strings.NewReader("10 io_uring_enter(4, 1, 1, 0) = 1\n")); err == nil {
		t.Error("io_uring_enter: want an error")
	}
}
