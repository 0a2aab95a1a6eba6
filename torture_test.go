package mapleaf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The torture test: several processes with several goroutines each read and write
// one file, all at once, and one after the other is killed at any moment and
// started again. Each opens it in any of the modes, all of which promise that a kill
// loses nothing, whatever the others do. It can run for long:
//
//	go test -run TestTorture . -args -torture 10m -processes 8 -seed 7
//
// What must hold in every state that anybody sees:
//
//   - the accounts add up to the same sum as ever
//   - the counter of all is the sum of the counters of each process
//   - a record has the contents that its key and version stand for
//   - no reader sees less than was acknowledged to its process before it began
//
// and at the end no acknowledged transaction of anybody is missing.
var (
	tortureTime      = flag.Duration("torture", 2*time.Second, "length of the torture test")
	tortureProcesses = flag.Int("processes", 8, "processes of the torture test")
)

const (
	tortureEnv     = "MAPLEAF_TORTURE_TEST_FILE"
	tortureIDEnv   = "MAPLEAF_TORTURE_TEST_ID"
	tortureSeedEnv = "MAPLEAF_TORTURE_TEST_SEED"

	tortureWorkers  = 3
	tortureAccounts = 40
	tortureMoney    = 1000 // on each account, at first
	tortureRecords  = 300
	tortureSilence  = 60 * time.Second // after which a process counts as stuck
	tortureEnding   = 20 * time.Second // after which it says where, if it was to end
)

var (
	accountsBucket = []byte("accounts")
	countersBucket = []byte("counters")
	recordsBucket  = []byte("records")
	totalKey       = []byte("total")
)

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func addTo(b *Bucket, key []byte, n uint64) (uint64, error) {
	n += number(b.Get(key))
	return n, b.Put(key, binary.LittleEndian.AppendUint64(nil, n))
}

// tortureSetup makes the buckets and accounts, if nobody has.
func tortureSetup(t *Tx) error {
	if t.Bucket(accountsBucket) != nil {
		return nil
	}
	for _, name := range [][]byte{countersBucket, recordsBucket} {
		if _, err := t.CreateBucket(name); err != nil {
			return err
		}
	}
	b, err := t.CreateBucket(accountsBucket)
	for i := range tortureAccounts {
		if err == nil {
			_, err = addTo(b, accountKey(i), tortureMoney)
		}
	}
	return err
}

func accountKey(i int) []byte { return fmt.Appendf(nil, "account%03d", i) }

// tortureValue is the contents of version v of record i.
func tortureValue(i int, v uint64) []byte {
	r := rand.New(rand.NewPCG(uint64(i), v))
	value := binary.LittleEndian.AppendUint64(nil, v)
	size := r.IntN(400)
	if r.IntN(30) == 0 {
		size = r.IntN(20000)
	}
	for range size {
		value = append(value, byte(r.Uint32()))
	}
	return value
}

// A tortureWorker is one goroutine of a child.
type tortureWorker struct {
	id    string
	r     *rand.Rand
	acked *atomic.Uint64 // by any goroutine of this process
	say   func(n uint64)
}

// write makes one transaction of random changes and counts it.
func (w *tortureWorker) write(db *DB) error {
	var total, mine uint64
	err := db.Update(func(t *Tx) (err error) {
		accounts := t.Bucket(accountsBucket)
		from, to := accountKey(w.r.IntN(tortureAccounts)), accountKey(w.r.IntN(tortureAccounts))
		amount := min(uint64(w.r.IntN(100)), number(accounts.Get(from)))
		if _, err := addTo(accounts, from, -amount); err != nil {
			return err
		}
		if _, err := addTo(accounts, to, amount); err != nil {
			return err
		}
		counters := t.Bucket(countersBucket)
		if total, err = addTo(counters, totalKey, 1); err != nil {
			return err
		}
		if mine, err = addTo(counters, []byte(w.id), 1); err != nil {
			return err
		}
		records := t.Bucket(recordsBucket)
		for range w.r.IntN(6) {
			i := w.r.IntN(tortureRecords)
			key := fmt.Appendf(nil, "record%05d", i)
			if w.r.IntN(4) == 0 {
				err = records.Delete(key)
			} else {
				err = records.Put(key, tortureValue(i, total))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for {
		n := w.acked.Load()
		if n >= total || w.acked.CompareAndSwap(n, total) {
			break
		}
	}
	w.say(mine)
	return nil
}

// tortureLook checks all that must hold in the state of t, and returns its counter.
func tortureLook(t *Tx) (total uint64, err error) {
	sum, counted := uint64(0), uint64(0)
	for _, name := range [][]byte{accountsBucket, countersBucket, recordsBucket} {
		if t.Bucket(name) == nil {
			return 0, fmt.Errorf("state %d: bucket %s is not there: %w", t.ID(), name, t.Err())
		}
	}
	for _, v := range t.Bucket(accountsBucket).All() {
		sum += number(v)
	}
	for k, v := range t.Bucket(countersBucket).All() {
		if string(k) == string(totalKey) {
			total = number(v)
		} else {
			counted += number(v)
		}
	}
	if err := t.Err(); err != nil {
		return total, err
	}
	if sum != tortureAccounts*tortureMoney || counted != total {
		return total, fmt.Errorf("state %d: sum %d, %d transactions, of which %d by somebody",
			t.ID(), sum, total, counted)
	}
	for k, v := range t.Bucket(recordsBucket).All() {
		i, err := strconv.Atoi(string(k[len("record"):]))
		if err != nil || len(v) < 8 || string(v) != string(tortureValue(i, number(v[:8]))) {
			return total, fmt.Errorf("state %d: record %s is torn (%d bytes), %v", t.ID(), k,
				len(v), err)
		}
	}
	return total, t.Err()
}

// read looks at one state, and perhaps again after a while.
func (w *tortureWorker) read(db *DB) error {
	acked := w.acked.Load()
	return db.View(func(t *Tx) error {
		total, err := tortureLook(t)
		if err == nil && total < acked {
			err = fmt.Errorf("%d transactions were acknowledged, a reader sees %d", acked, total)
		}
		if err != nil || w.r.IntN(10) != 0 {
			return err
		}
		time.Sleep(time.Duration(w.r.IntN(30)) * time.Millisecond)
		again, err := tortureLook(t)
		if err == nil && again != total {
			err = fmt.Errorf("a state changed from %d to %d", total, again)
		}
		return err
	})
}

// tortureChild works until its standard input ends.
func tortureChild(path string) error {
	id := os.Getenv(tortureIDEnv)
	if id == readerID {
		return readerChild(path)
	}
	seed, err := strconv.ParseUint(os.Getenv(tortureSeedEnv), 10, 64)
	if err != nil {
		return err
	}
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends when the parent says so, or has gone
		stop.Store(true)
		time.Sleep(tortureEnding)
		debug.SetTraceback("all") // the parent shows what comes of it
		panic("process " + id + " does not end")
	}()
	var out sync.Mutex
	var acked atomic.Uint64
	say := func(n uint64) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(n)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for round := uint64(0); !stop.Load(); round++ {
		mode := drawKillMode(r)
		o := killModes[mode]
		db, err := Open(path, 0o600, &o)
		if err != nil {
			return fmt.Errorf("process %s, %s: open: %w", id, mode, err)
		}
		until := time.Now().Add(time.Duration(r.IntN(3000)) * time.Millisecond)
		errs := make(chan error, tortureWorkers)
		for i := range tortureWorkers {
			w := &tortureWorker{id: id, acked: &acked, say: say}
			w.r = rand.New(rand.NewPCG(seed+round, uint64(i)+10))
			go func() { errs <- w.work(db, &stop, until) }()
		}
		for range tortureWorkers {
			err = errors.Join(err, <-errs)
		}
		if err = errors.Join(err, db.Close()); err != nil {
			return fmt.Errorf("process %s, %s: %w", id, mode, err)
		}
	}
	return nil
}

func (w *tortureWorker) work(db *DB, stop *atomic.Bool, until time.Time) error {
	for !stop.Load() && time.Now().Before(until) {
		var err error
		switch w.r.IntN(8) {
		case 0, 1, 2:
			err = w.write(db)
		case 3:
			time.Sleep(time.Duration(w.r.IntN(5)) * time.Millisecond)
		default:
			err = w.read(db)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A victim is a child of the torture test, which lives several times.
type victim struct {
	id     string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *bytes.Buffer // to be read when it has ended
	acked  uint64
	heard  atomic.Int64 // when, in Unix milliseconds
	ended  chan error
}

// start starts the child and listens to it.
func (v *victim) start(path string, seed uint64) error {
	var err error
	v.cmd, err = childCommand(tortureEnv+"="+path, tortureIDEnv+"="+v.id,
		tortureSeedEnv+"="+strconv.FormatUint(seed, 10))
	if err != nil {
		return err
	}
	if v.stdin, err = v.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	v.stderr = new(bytes.Buffer)
	v.cmd.Stderr = v.stderr
	v.heard.Store(time.Now().UnixMilli())
	v.ended = make(chan error, 1)
	if err := v.cmd.Start(); err != nil {
		return err
	}
	go func() {
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			if err != nil { // what was cut off by the kill does not count
				break
			}
			if n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64); err == nil {
				v.acked = max(v.acked, n)
			}
			v.heard.Store(time.Now().UnixMilli())
		}
		v.ended <- v.cmd.Wait()
	}()
	return nil
}

// kill ends the child at once.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill() // it may have ended by itself
	<-v.ended
}

func TestTorture(t *testing.T) {
	r := testRand(t, 90)
	path := filepath.Join(t.TempDir(), "torture.db")
	db := mustOpen(t, path, nil)
	if err := db.Update(tortureSetup); err != nil {
		t.Fatal(err)
	}
	mustClose(t, db) // so that children are alone at times
	victims := make([]*victim, *tortureProcesses)
	for i := range victims {
		victims[i] = &victim{id: fmt.Sprintf("p%02d", i)}
		if err := victims[i].start(path, r.Uint64()); err != nil {
			t.Fatal(err)
		}
	}
	kills := tortureKill(t, r, path, victims)
	for _, v := range victims {
		_ = v.stdin.Close() // it may have ended by itself
	}
	for _, v := range victims {
		select {
		case err := <-v.ended:
			if err != nil {
				t.Errorf("process %s: %v: %s", v.id, err, v.stderr)
			}
		case <-time.After(tortureSilence):
			v.kill()
			t.Errorf("process %s does not end", v.id)
		}
	}
	db = mustOpen(t, path, nil)
	err := db.View(func(tx *Tx) error {
		total, err := tortureLook(tx)
		for _, v := range victims {
			n := number(tx.Bucket(countersBucket).Get([]byte(v.id)))
			if n < v.acked {
				t.Errorf("process %s: %d transactions acknowledged, %d there", v.id, v.acked, n)
			}
		}
		t.Logf("%d transactions, %d kills", total, kills)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	mustCheck(t, db)
}

// tortureKill kills one after the other, until the time is over.
func tortureKill(t *testing.T, r *rand.Rand, path string, victims []*victim) (kills int) {
	t.Helper()
	end := time.Now().Add(*tortureTime)
	for time.Now().Before(end) && !t.Failed() {
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
		for _, v := range victims {
			select {
			case err := <-v.ended:
				t.Errorf("process %s has ended: %v: %s", v.id, err, v.stderr)
				v.ended <- err
			default:
			}
			if silent := time.Since(time.UnixMilli(v.heard.Load())); silent > tortureSilence {
				t.Errorf("process %s does nothing since %s", v.id, silent)
			}
		}
		if t.Failed() {
			break
		}
		chosen := r.Perm(len(victims))[:1]
		if r.IntN(20) == 0 { // all of them, so that nobody is left
			chosen = r.Perm(len(victims))
		}
		for _, i := range chosen {
			victims[i].kill()
			kills++
		}
		for _, i := range chosen {
			if err := victims[i].start(path, r.Uint64()); err != nil {
				t.Error(err)
			}
		}
	}
	return kills
}
