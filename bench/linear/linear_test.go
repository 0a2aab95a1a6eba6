// Package linear checks histories of concurrent transactions for linearizability, with
// github.com/anishathalye/porcupine: for every operation there must be a moment between
// its call and its return at which it took effect, for all of them together.
//
// A history has writers that read and replace in one transaction, readers that look at
// two keys in one snapshot, and several databases on one file, which are processes to
// each other. Some of it goes by the log, some by pages.
package linear

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/mapleafdb/mapleaf"
)

var (
	seed = flag.Uint64("linearseed", 1, "seed of the histories")
	each = flag.Int("linearops", 150, "operations of each goroutine")
)

// keys is how many there are; two neighbours are read and written together.
const keys = 4

// An input is one operation: with write set it puts value into both keys and returns
// what they held before; else it returns what they hold.
type input struct {
	key   int
	write bool
	value uint64
}

type output struct{ a, b uint64 }

// state is what all keys hold.
type state [keys]uint64

var bucket = []byte("bucket")

var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, out any) (bool, any) {
		now, op := s.(state), in.(input)
		i, j := op.key, (op.key+1)%keys
		if out.(output) != (output{now[i], now[j]}) {
			return false, now
		}
		if op.write {
			now[i], now[j] = op.value, op.value
		}
		return true, now
	},
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v: %+v", in, out)
	},
}

func name(key int) []byte { return fmt.Appendf(nil, "key %d", key%keys) }

// do carries out one operation.
func do(db *mapleaf.DB, op input) (out output, err error) {
	read := func(t *mapleaf.Tx) error {
		b := t.Bucket(bucket)
		get := func(key int) uint64 {
			if v := b.Get(name(key)); v != nil {
				return binary.LittleEndian.Uint64(v)
			}
			return 0
		}
		out = output{get(op.key), get(op.key + 1)}
		return nil
	}
	if !op.write {
		return out, db.View(read)
	}
	return out, db.Update(func(t *mapleaf.Tx) error {
		if err := read(t); err != nil {
			return err
		}
		v := binary.LittleEndian.AppendUint64(nil, op.value)
		for k := range 2 {
			if err := t.Bucket(bucket).Put(name(op.key+k), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// record runs goroutines on the databases, and returns what they did.
func record(t *testing.T, dbs []*mapleaf.DB, goroutines int) []porcupine.Operation {
	t.Helper()
	var mu sync.Mutex
	var history []porcupine.Operation
	var wait sync.WaitGroup
	began := time.Now()
	for g := range goroutines {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(*seed, uint64(g)))
			db := dbs[g%len(dbs)]
			for i := range *each {
				op := input{key: r.IntN(keys), write: r.IntN(3) == 0}
				op.value = uint64(g)<<32 | uint64(i+1)
				call := time.Since(began)
				out, err := do(db, op)
				done := time.Since(began)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				history = append(history, porcupine.Operation{
					ClientId: g, Input: op, Call: int64(call), Output: out, Return: int64(done),
				})
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return history
}

// checkTime is how long the search for an order may take before the test says that it
// did not find out.
const checkTime = 2 * time.Minute

func TestLinearizable(t *testing.T) {
	t.Logf("-linearseed %d", *seed)
	tests := []struct {
		name       string
		databases  int
		goroutines int
		options    mapleaf.Options
	}{
		{"one process with a log", 1, 8, mapleaf.Options{LogSize: 64 << 10}},
		{"one process by pages", 1, 8, mapleaf.Options{LogSize: -1}},
		{"lazy", 1, 8, mapleaf.Options{Lazy: true, LogSize: 64 << 10, CheckpointBytes: 64 << 10}},
		{"unsynced", 1, 6, mapleaf.Options{NoSync: true}},
		{"three processes", 3, 9, mapleaf.Options{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "linear.db")
			var dbs []*mapleaf.DB
			for range test.databases {
				db, err := mapleaf.Open(path, 0o600, &test.options)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				dbs = append(dbs, db)
			}
			err := dbs[0].Update(func(t *mapleaf.Tx) error {
				_, err := t.CreateBucket(bucket)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			history := record(t, dbs, test.goroutines)
			if got := porcupine.CheckOperationsTimeout(model, history, checkTime); got != porcupine.Ok {
				t.Errorf("%d operations: %s", len(history), got)
			}
		})
	}
}

// A check that finds nothing proves nothing: a history with one stale read is refused.
func TestNotLinearizable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "linear.db")
	db, err := mapleaf.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(t *mapleaf.Tx) error {
		_, err := t.CreateBucket(bucket)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	history := record(t, []*mapleaf.DB{db}, 4)
	for i := range history {
		op, out := history[i].Input.(input), history[i].Output.(output)
		if !op.write && out.a != 0 {
			out.a--
			history[i].Output = out
			break
		}
	}
	if got := porcupine.CheckOperationsTimeout(model, history, checkTime); got != porcupine.Illegal {
		t.Errorf("a history with a wrong read: %s", got)
	}
}
