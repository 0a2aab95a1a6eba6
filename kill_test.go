package mapleaf

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// The kill test runs this test binary again as a child, which commits one
// transaction after the other and says so on its standard output; after a while
// it is killed. Everything that it acknowledged must be there.

const (
	killEnv     = "MAPLEAF_KILL_TEST_FILE"
	killModeEnv = "MAPLEAF_KILL_TEST_MODE" // of killModes
)

// killModes are the ways to commit that lose nothing with their process. A log begins at
// once, and its checkpoints are small.
var killModes = map[string]Options{
	"pages":          {},
	"log":            {logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 512 << 10},
	"lazy":           {Lazy: true, SyncBytes: 32 << 10, LogSize: 64 << 10, CheckpointBytes: 512 << 10},
	"unsynced pages": {NoSync: true, LogSize: -1},
	"unsynced log":   {NoSync: true, logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 2 << 20},
}

// drawKillMode returns one of them.
func drawKillMode(r *rand.Rand) string {
	modes := slices.Sorted(maps.Keys(killModes))
	return modes[r.IntN(len(modes))]
}

var killRounds = flag.Int("kills", 60, "rounds of the kill test")

// testChildren are further children, by the variable that names their file.
var testChildren = map[string]func(path string) error{}

func TestMain(m *testing.M) {
	if path := os.Getenv(killEnv); path != "" {
		fmt.Fprintln(os.Stderr, killChild(path))
		os.Exit(1)
	}
	if path := os.Getenv(tortureEnv); path != "" {
		if err := tortureChild(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	for env, child := range testChildren {
		if path := os.Getenv(env); path != "" {
			fmt.Fprintln(os.Stderr, child(path))
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

var counterKey = []byte("counter")

// killRecord is the key and the value of transaction n, large enough to grow the
// file over the rounds.
func killRecord(n uint64) (key, value []byte) {
	value = make([]byte, 100+n%5000)
	for i := range value {
		value[i] = byte(n + uint64(i))
	}
	return fmt.Appendf(nil, "%016x", n*0x9e3779b97f4a7c15), value
}

// addOne adds one to the counter in b, and returns it.
func addOne(b *Bucket) (n uint64, err error) {
	if v := b.Get(counterKey); v != nil {
		n = binary.LittleEndian.Uint64(v)
	}
	n++
	return n, b.Put(counterKey, binary.LittleEndian.AppendUint64(nil, n))
}

// killStep commits one transaction, which counts itself and adds a record; every
// third removes one, too. It returns the number of the transaction.
func killStep(db *DB) (n uint64, err error) {
	err = db.Update(func(t *Tx) error {
		b, err := t.CreateBucketIfNotExists(testBucket)
		if err != nil {
			return err
		}
		if n, err = addOne(b); err != nil {
			return err
		}
		key, value := killRecord(n)
		if err := b.Put(key, value); err != nil {
			return err
		}
		if n%3 == 0 {
			key, _ := killRecord(n / 3)
			if err := b.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// killChild commits until it is killed.
func killChild(path string) error {
	o := killModes[os.Getenv(killModeEnv)]
	db, err := Open(path, 0o600, &o)
	if err != nil {
		return err
	}
	for {
		n, err := killStep(db)
		if err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// childCommand runs this test binary again, as the child that the environment says.
func childCommand(env ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	if emulator := os.Getenv("MAPLEAF_TEST_EXEC"); emulator != "" {
		cmd = exec.Command(emulator, exe)
	}
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// killRound lets a child work for a while, kills it, and returns the last
// transaction that it acknowledged.
func killRound(path string, wait time.Duration, mode string) (acked uint64, err error) {
	cmd, err := childCommand(killEnv+"="+path, killModeEnv+"="+mode)
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(out)
	var kill *time.Timer
	for lines.Scan() {
		if kill == nil { // from the first acknowledgement on
			kill = time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		}
		n, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			break // a line cut off by the kill
		}
		acked = n
	}
	if kill == nil {
		return 0, fmt.Errorf("child has ended before its first commit: %v", cmd.Wait())
	}
	_ = cmd.Wait() // killed
	return acked, lines.Err()
}

// killCompare checks that the database holds exactly the transactions up to its
// counter, and returns that.
func killCompare(t *Tx) (uint64, error) {
	b := t.Bucket(testBucket)
	if b == nil {
		return 0, t.Err()
	}
	n := binary.LittleEndian.Uint64(b.Get(counterKey))
	records := uint64(1)
	for i := n/3 + 1; i <= n; i++ {
		key, value := killRecord(i)
		if string(b.Get(key)) != string(value) {
			return n, fmt.Errorf("record of transaction %d of %d is wrong", i, n)
		}
		records++
	}
	if got := b.Count(); got != records {
		return n, fmt.Errorf("%d records after %d transactions, want %d", got, n, records)
	}
	return n, t.Err()
}

func TestKill(t *testing.T) {
	t.Parallel()
	rounds := *killRounds
	if testing.Short() {
		rounds = min(rounds, 20)
	}
	r := testRand(t, 70)
	path := filepath.Join(t.TempDir(), "kill.db")
	for round := range rounds {
		mode := drawKillMode(r)
		acked, err := killRound(path, time.Duration(r.IntN(8000))*time.Microsecond, mode)
		if err != nil {
			t.Fatalf("round %d, %s: %v", round, mode, err)
		}
		o := killModes[drawKillMode(r)]
		db, err := Open(path, 0o600, &o)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		var n uint64
		err = db.View(func(t *Tx) error {
			n, err = killCompare(t)
			return err
		})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if n < acked || n > acked+1 {
			t.Fatalf("round %d, %s: %d transactions acknowledged, %d there", round, mode, acked, n)
		}
		if err := checkErrors(db); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round%4 == 0 { // else the next child recovers the file by itself
			mustClose(t, db)
		} else if err := abandon(db); err != nil {
			t.Fatal(err)
		}
	}
}

// abandon closes a database as a kill does: without a word to the file.
func abandon(db *DB) error {
	db.store.fail(errInjected)
	db.store.told.Store(true)
	return db.Close()
}
