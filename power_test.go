package mapleaf

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// The work that the loss of power interrupts. Transaction number n changes what the
// seed and n say, whoever runs it: so the state after n of them is known, and the
// number in it tells which one a file holds.

var crashPoints = flag.Int("crashes", 160, "states that the power tests open, about")

// A powerOp is one change.
type powerOp struct {
	kind     int
	bucket   int
	key, end string
	value    []byte
}

const (
	powerPut = iota
	powerDelete
	powerRange
	powerDrop
	powerSequence
)

// powerBuckets are paths; those with two parts are nested.
var powerBuckets = []string{"a", "b", "n/x", "n/y"}

// powerOps returns the changes of transaction n.
func powerOps(seed, n uint64) []powerOp {
	r := rand.New(rand.NewPCG(seed, n))
	count := 1 + r.IntN(10)
	if r.IntN(12) == 0 {
		count = 150
	}
	ops := make([]powerOp, count)
	for i := range ops {
		op := powerOp{bucket: r.IntN(len(powerBuckets)), key: fmt.Sprintf("key%04d", r.IntN(300))}
		switch k := r.IntN(40); {
		case k == 0:
			op.kind = powerDrop
		case k == 1:
			op.kind, op.end = powerRange, op.key[:5]+"z"
		case k == 2:
			op.kind = powerSequence
		case k < 12:
			op.kind = powerDelete
		default:
			size := r.IntN(150)
			if r.IntN(25) == 0 {
				size = r.IntN(30_000)
			}
			op.value = make([]byte, size)
			for j := range op.value {
				op.value[j] = byte(n>>(j%3) + uint64(j)*n)
			}
			if r.IntN(30) == 0 {
				op.key += strings.Repeat("k", 1500)
			}
		}
		ops[i] = op
	}
	return ops
}

// A powerState is everything in a database, by bucket and key; a bucket itself has an
// entry that ends with a slash and holds its sequence.
type powerState map[string]string

// apply returns the state after the changes of transaction n.
func (s powerState) apply(ops []powerOp, n uint64) powerState {
	s = maps.Clone(s)
	s["number/"], s["number/n"] = "0", fmt.Sprint(n)
	for _, op := range ops {
		bucket := powerBuckets[op.bucket] + "/"
		if op.kind == powerDrop {
			maps.DeleteFunc(s, func(k, _ string) bool { return strings.HasPrefix(k, bucket) })
			continue
		}
		if top, _, nested := strings.Cut(bucket[:len(bucket)-1], "/"); nested {
			s.add(top + "/")
		}
		s.add(bucket)
		switch op.kind {
		case powerPut:
			s[bucket+op.key] = string(op.value)
		case powerDelete:
			delete(s, bucket+op.key)
		case powerRange:
			maps.DeleteFunc(s, func(k, _ string) bool {
				return k >= bucket+op.key && k < bucket+op.end
			})
		case powerSequence:
			s[bucket] = fmt.Sprint(n)
		}
	}
	return s
}

func (s powerState) add(bucket string) {
	if _, ok := s[bucket]; !ok {
		s[bucket] = "0"
	}
}

// powerHome is a *Tx or a *Bucket.
type powerHome interface {
	CreateBucketIfNotExists([]byte) (*Bucket, error)
	Bucket([]byte) *Bucket
	DeleteBucket([]byte) error
}

// run makes the change in a transaction.
func (op *powerOp) run(t *Tx, n uint64) error {
	var home powerHome = t
	name := powerBuckets[op.bucket]
	if top, rest, nested := strings.Cut(name, "/"); nested {
		if op.kind == powerDrop && t.Bucket([]byte(top)) == nil {
			return nil
		}
		b, err := t.CreateBucketIfNotExists([]byte(top))
		if err != nil {
			return err
		}
		home, name = b, rest
	}
	if op.kind == powerDrop {
		if home.Bucket([]byte(name)) == nil {
			return t.Err()
		}
		return home.DeleteBucket([]byte(name))
	}
	b, err := home.CreateBucketIfNotExists([]byte(name))
	if err != nil {
		return err
	}
	switch op.kind {
	case powerPut:
		err = b.Put([]byte(op.key), op.value)
	case powerDelete:
		err = b.Delete([]byte(op.key))
	case powerRange:
		_, err = b.DeleteRange([]byte(op.key), []byte(op.end))
	case powerSequence:
		err = b.SetSequence(n)
	}
	return err
}

// powerRead returns everything in a database, and the number of its last transaction.
func powerRead(db *DB) (s powerState, n uint64, err error) {
	err = db.View(func(t *Tx) error {
		s, n, err = powerReadTx(t)
		return err
	})
	return s, n, err
}

// powerReadTx is powerRead for what one transaction sees.
func powerReadTx(t *Tx) (s powerState, n uint64, err error) {
	s = powerState{}
	var down func(path string, b *Bucket)
	down = func(path string, b *Bucket) {
		s[path] = fmt.Sprint(b.Sequence())
		for k, v := range b.All() {
			if v == nil {
				down(path+string(k)+"/", b.Bucket(k))
			} else {
				s[path+string(k)] = string(v)
			}
		}
	}
	err = errors.Join(t.ForEach(func(name []byte, b *Bucket) error {
		down(string(name)+"/", b)
		return t.Err()
	}), t.Err())
	if text := s["number/n"]; text != "" {
		_, scan := fmt.Sscan(text, &n)
		err = errors.Join(err, scan)
	}
	return s, n, err
}

// A powerWork knows the states of one seed.
type powerWork struct {
	seed   uint64
	mu     sync.Mutex
	states []powerState
	by     []*DB // who has begun each transaction of this session; nil: an earlier one
}

// begin forgets who has begun the transactions so far.
func (w *powerWork) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = nil
}

// starts notes that db has begun transaction n, and reports whether another one had begun
// the one before, in this session.
func (w *powerWork) starts(db *DB, n uint64) (handover bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = append(w.by, make([]*DB, max(0, int(n)+1-len(w.by)))...)
	w.by[n] = db
	return w.by[n-1] != nil && w.by[n-1] != db
}

// latest returns the number of the last transaction that db has begun, 0 if there is none.
func (w *powerWork) latest(db *DB) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := len(w.by) - 1; n > 0; n-- {
		if w.by[n] == db {
			return uint64(n)
		}
	}
	return 0
}

// state returns the state after n transactions.
func (w *powerWork) state(n uint64) powerState {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.states == nil {
		w.states = []powerState{{}}
	}
	for i := uint64(len(w.states)); i <= n; i++ {
		w.states = append(w.states, w.states[i-1].apply(powerOps(w.seed, i), i))
	}
	return w.states[n]
}

// step commits the next transaction, and says so to the disk, unless that is nil.
func (w *powerWork) step(db *DB, d *disk) (n uint64, err error) {
	err = db.Update(func(t *Tx) error {
		b, err := t.CreateBucketIfNotExists([]byte("number"))
		if err != nil {
			return err
		}
		n = 0
		if text := b.Get([]byte("n")); text != nil {
			if _, err := fmt.Sscan(string(text), &n); err != nil {
				return err
			}
		}
		n++
		if d != nil {
			if w.starts(db, n) {
				_ = d.end(d.begin(diskEvent{kind: opSynced, note: n - 1, size: handover}), nil)
			}
			d.say(opStarted, n)
		}
		for _, op := range powerOps(w.seed, n) {
			if err := op.run(t, n); err != nil {
				return err
			}
		}
		return b.Put([]byte("n"), fmt.Append(nil, n))
	})
	if err == nil && d != nil {
		d.say(opNote, n)
	}
	return n, err
}

// compare returns the number of transactions in the database, and an error unless it
// holds exactly what they leave, and at least so many and at most so many.
func (w *powerWork) compare(db *DB, least, most uint64) (uint64, error) {
	s, n, err := powerRead(db)
	if err != nil {
		return n, err
	}
	return n, w.match(s, n, least, most)
}

// match returns an error unless s is exactly what n transactions leave, and they are at
// least and at most so many.
func (w *powerWork) match(s powerState, n, least, most uint64) error {
	if n < least || n > most {
		return fmt.Errorf("%d transactions are there, %d were durable and %d began", n,
			least, most)
	}
	want := w.state(n)
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := s[k]; !ok || v != want[k] {
			return fmt.Errorf("after %d transactions: %.60q has %d bytes, want %d", n, k,
				len(v), len(want[k]))
		}
	}
	if len(s) != len(want) {
		return fmt.Errorf("after %d transactions: %d entries, want %d", n, len(s), len(want))
	}
	return nil
}
