//go:build (amd64 || 386) && unix

package mapleaf

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A file that another process cuts short, again and again, while goroutines read and
// write it. The address of a fault is exact on the processors that are named above.

const (
	cutEnv     = "MAPLEAF_CUT_TEST_FILE"
	cutSeedEnv = "MAPLEAF_CUT_TEST_SEED"
)

var cutRounds = flag.Int("cuts", 3, "rounds in which a file is cut while it is in use")

func init() { testChildren[cutEnv] = cutChild }

// cutChild cuts the file at random pages, shorter and shorter, and says how long it was
// before and after each cut. (The rest of a page that is cut in the middle reads as zeros.)
func cutChild(path string) error {
	seed, err := strconv.ParseUint(os.Getenv(cutSeedEnv), 10, 64)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		size := r.Int64N(info.Size()+1) &^ int64(os.Getpagesize()-1)
		if err := os.Truncate(path, size); err != nil {
			return err
		}
		fmt.Println(info.Size(), size)
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
	}
}

// A cutTally counts what has come of the cuts.
type cutTally struct {
	met    atomic.Int64    // calls that returned an error
	faults [2]atomic.Int64 // those of View and of Update that touched what the file had lost
	judged int             // rounds in which wrong data would have been a failure
}

// The elements of cutTally.faults.
const (
	cutView = iota
	cutUpdate
)

// cutRoundsMax is how many times as many rounds may be run until all has happened that
// is asked for.
const cutRoundsMax = 20

// enough reports whether both View and Update have met a fault, and half of the rounds
// were judged.
func (n *cutTally) enough(rounds int) bool {
	return n.faults[cutView].Load() > 0 && n.faults[cutUpdate].Load() > 0 && 2*n.judged >= rounds
}

func TestFileCutByAnotherProcess(t *testing.T) {
	r := testRand(t, 800)
	var n cutTally
	rounds := 0
	for rounds < *cutRounds || !n.enough(rounds) && rounds < cutRoundsMax**cutRounds {
		n.round(t, r, rounds)
		rounds++
	}
	view, update := n.faults[cutView].Load(), n.faults[cutUpdate].Load()
	if !n.enough(rounds) {
		t.Errorf("after %d rounds, %d of them judged: %d faults of View, %d of Update", rounds,
			n.judged, view, update)
	}
	t.Logf("%d calls have met a cut, %d Views and %d Updates by a fault; %d of %d rounds were judged",
		n.met.Load(), view, update, n.judged, rounds)
}

// note counts an error of a call.
func (n *cutTally) note(call int, err error) {
	n.met.Add(1)
	if fault := new(FaultError); errors.As(err, &fault) {
		n.faults[call].Add(1)
	}
}

// round works on a file for a while that is being cut.
func (n *cutTally) round(t *testing.T, r *rand.Rand, round int) {
	path := filepath.Join(t.TempDir(), "cut.db")
	o := []*Options{{LogSize: -1}, {logAtOnce: true}, {}}[round%3]
	db := mustOpen(t, path, o)
	var m model
	for range 10 {
		m = m.orEmpty().mustUpdate(t, db, r, 200)
	}
	mustClose(t, db)
	db, err := Open(path, 0o600, o)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	child, err := childCommand(cutEnv+"="+path, cutSeedEnv+"="+strconv.FormatUint(r.Uint64(), 10))
	if err != nil {
		t.Fatal(err)
	}
	var cuts bytes.Buffer
	child.Stdout = &cuts
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var wrong errorList
	end := time.Now().Add(400 * time.Millisecond)
	var workers sync.WaitGroup
	for i := range 6 {
		w := &cutWorker{db: []*DB{db, other}[i%2], r: rand.New(rand.NewPCG(r.Uint64(), 0)), m: m}
		call := cutView
		if i < 2 {
			call = cutUpdate
		}
		workers.Go(func() {
			for time.Now().Before(end) {
				err := w.work(call == cutUpdate)
				if err == nil {
					continue
				}
				n.note(call, err)
				if err := cutError(err); err != nil {
					wrong.add(err)
					return
				}
			}
		})
	}
	workers.Wait()
	_ = child.Process.Kill()
	_ = child.Wait() // killed
	behind := writtenBehind(t, path, cuts.String())
	if !behind {
		n.judged++
	}
	for _, err := range wrong.errs {
		if behind && errors.Is(err, errWrongData) {
			t.Logf("round %d: %v, in a file that a commit has made longer after a cut", round, err)
			continue
		}
		t.Errorf("round %d: %v", round, err)
	}
	for _, db := range []*DB{db, other} {
		if err := db.Close(); err != nil && cutError(err) != nil {
			t.Error(err)
		}
	}
}

// writtenBehind reports whether the file became longer after a cut. A commit looks at
// the length before it writes; a cut in the moment after that is filled with zeros, which
// nobody notices who has verified those pages before.
func writtenBehind(t *testing.T, path, cuts string) bool {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	sizes := append(strings.Fields(cuts), strconv.FormatInt(info.Size(), 10))
	for i := 1; i+1 < len(sizes); i += 2 {
		if sizes[i] != sizes[i+1] {
			return true
		}
	}
	return len(sizes) < 3 // it was killed before it has said anything
}

// An errorList collects errors of several goroutines.
type errorList struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorList) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

func (m model) orEmpty() model {
	if m == nil {
		return model{}
	}
	return m
}

// cutError returns nil if a cut may cause err.
func cutError(err error) error {
	var fault *FaultError
	var damage *CorruptError
	if errors.As(err, &fault) || errors.As(err, &damage) || errors.Is(err, ErrFailed) ||
		errors.Is(err, ErrInvalid) || errors.Is(err, ErrChecksum) {
		return nil
	}
	return fmt.Errorf("a file that is cut gives %w", err)
}

// errWrongData is what a reader says who gets data that was never put, without an error.
var errWrongData = errors.New("wrong data")

type cutWorker struct {
	db *DB
	r  *rand.Rand
	m  model
}

// work reads everything, or changes something. What is read is right.
func (w *cutWorker) work(write bool) error {
	if write {
		return w.db.Update(func(t *Tx) error {
			b, err := t.CreateBucketIfNotExists([]byte("another"))
			if err != nil {
				return err
			}
			return b.Put(fmt.Append(nil, w.r.IntN(1000)), make([]byte, w.r.IntN(3000)))
		})
	}
	if w.r.IntN(4) == 0 {
		return checkErrors(w.db)
	}
	return w.db.View(func(t *Tx) error {
		b := t.Bucket(testBucket)
		if b == nil {
			if t.Err() == nil {
				return fmt.Errorf("%w: the bucket is gone", errWrongData)
			}
			return t.Err()
		}
		n := 0
		for k, v := range b.All() {
			n++
			if w.m[string(k)] != string(v) && t.Err() == nil {
				return fmt.Errorf("%w: the value of %q differs", errWrongData, k)
			}
		}
		if n != len(w.m) && t.Err() == nil {
			return fmt.Errorf("%w: %d records of %d", errWrongData, n, len(w.m))
		}
		return t.Err()
	})
}
