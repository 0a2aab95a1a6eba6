package mapleaf_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// The model test runs random operations on a database and on maps, and compares
// the two: inside the write transaction, after commit, rollback and reopening,
// and in read transactions that stay open, each with the state that it began at.
//
// A round draws its own mixture: some operations are off and others heavy, so
// that rounds differ more than one mixture of everything would let them.

// modelRounds lengthens the test: go test -run TestModel . -args -rounds 1000
var modelRounds = flag.Int("rounds", 14, "rounds of the model test")

// A model is a bucket in plain maps.
type model struct {
	keys map[string]string
	subs map[string]*model
	seq  uint64
}

func newModel() *model {
	return &model{keys: map[string]string{}, subs: map[string]*model{}}
}

// clone copies the bucket with everything below it.
func (m *model) clone() *model {
	c := &model{keys: maps.Clone(m.keys), subs: make(map[string]*model, len(m.subs)), seq: m.seq}
	for name, sub := range m.subs {
		c.subs[name] = sub.clone()
	}
	return c
}

// holds reports whether the name is taken, by a key or a bucket.
func (m *model) holds(name string) bool {
	_, key := m.keys[name]
	return key || m.subs[name] != nil
}

// names returns all keys and buckets in byte order.
func (m *model) names() []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(m.keys)), maps.Keys(m.subs))
	slices.Sort(all)
	return all
}

// The operations of a write transaction, by their place in swarm.weights.
const (
	opPut = iota
	opDelete
	opGet
	opSeek
	opCreate
	opDrop
	opMove
	opSequence
	opRange
	opWalk
	opCompare
	opCount
)

// A swarm is the mixture of one round.
type swarm struct {
	pageSize int
	keys     []string // what keys are drawn from
	values   func(*rand.Rand) int
	weights  [opCount]int
	ops      int     // in one transaction, on average
	commit   float64 // the share of transactions that commit
	reopen   float64
	readers  int // open at once, at most
	log      bool
	shrink   bool // Close does
	sync     bool
	memory   int // Options.CheckpointBytes, if transactions are to spill
}

// options makes a database suit the mixture.
func (s *swarm) options(o *mapleaf.Options) {
	o.NoSync, o.PageSize = !s.sync, s.pageSize
	if s.log {
		mapleaf.WithLog(o)
	}
	if s.shrink {
		mapleaf.WithShrink(o)
	}
	if s.memory > 0 {
		o.CheckpointBytes = s.memory
	}
}

// A reader is an open read transaction and what it must see.
type reader struct {
	tx   *mapleaf.Tx
	want *model
}

// A world is one round: the database, its model, and who reads.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	db      *dbtest.DB
	swarm   swarm
	now     *model
	readers []reader
}

func TestModel(t *testing.T) {
	t.Parallel()
	for round := range *modelRounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			rng := dbtest.Rand(t, uint64(round))
			w := &world{t: t, rng: rng, swarm: drawSwarm(rng), now: newModel()}
			w.db = openDB(t, w.swarm.options)
			t.Cleanup(w.closeReaders)
			for range 30 {
				w.step()
			}
		})
	}
}

// drawSwarm draws the mixture of a round.
func drawSwarm(rng *rand.Rand) swarm {
	s := swarm{
		pageSize: 4096 << rng.IntN(5),
		keys:     drawKeys(rng, 20+rng.IntN(1200)),
		values:   drawValues(rng),
		ops:      1 + rng.IntN(250),
		commit:   0.5 + rng.Float64()/2,
		reopen:   rng.Float64() * 0.2,
		readers:  rng.IntN(6),
		log:      rng.IntN(2) == 0,
		shrink:   rng.IntN(3) == 0,
		sync:     rng.IntN(4) == 0,
	}
	if rng.IntN(3) == 0 {
		s.memory = 16<<10 + rng.IntN(48<<10)
	}
	for i := range s.weights {
		if rng.IntN(4) > 0 {
			s.weights[i] = 1 + rng.IntN(12)
		}
	}
	s.weights[opPut] = 20 + rng.IntN(60)
	s.weights[opCreate] = 1 + rng.IntN(5)
	s.weights[opCompare] = min(s.weights[opCompare], 1)
	return s
}

// drawKeys draws n keys of one kind.
func drawKeys(rng *rand.Rand, n int) []string {
	kind := rng.IntN(7)
	prefix := strings.Repeat("prefix/", 1+rng.IntN(150))
	width := 1 + rng.IntN(8)
	keys := make([]string, n)
	for i := range keys {
		switch kind {
		case 0:
			keys[i] = randomString(rng, 16)
		case 1:
			keys[i] = key8(i)
		case 2:
			keys[i] = string(binary.BigEndian.AppendUint64(nil, rng.Uint64())[8-width:])
		case 3:
			keys[i] = fmt.Sprintf("%s%05d", prefix, rng.IntN(100_000))
		case 4:
			keys[i] = randomString(rng, 1+rng.IntN(3))
		case 5:
			keys[i] = randomString(rng, 1+rng.IntN(3000)*rng.IntN(2)*rng.IntN(2))
		default:
			keys[i] = strings.Repeat("\x00", rng.IntN(9)) + randomString(rng, 1+rng.IntN(5))
		}
	}
	keys[0] = strings.Repeat("k", mapleaf.MaxKeySize)
	return keys
}

func randomString(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// drawValues draws how long values are: all alike, short, or some of them large.
func drawValues(rng *rand.Rand) func(*rand.Rand) int {
	fixed := rng.IntN(120)
	switch rng.IntN(4) {
	case 0:
		return func(*rand.Rand) int { return fixed }
	case 1:
		return func(rng *rand.Rand) int { return rng.IntN(120) }
	case 2:
		return func(rng *rand.Rand) int { return rng.IntN(5000) * rng.IntN(2) }
	}
	return func(rng *rand.Rand) int {
		if rng.IntN(30) == 0 {
			return rng.IntN(200_000)
		}
		return rng.IntN(300)
	}
}

// step runs one write transaction, and something with the readers.
func (w *world) step() {
	w.t.Helper()
	tx, err := w.db.Begin(true)
	must(w.t, err)
	defer tx.Rollback()
	next := w.now.clone()
	for range 1 + w.rng.IntN(2*w.swarm.ops) {
		w.operate(tx, next)
	}
	if w.rng.IntN(4) == 0 {
		w.compareRoot(tx, next)
	}
	if w.rng.Float64() < w.swarm.commit {
		must(w.t, tx.Commit())
		w.now = next
	} else {
		must(w.t, tx.Rollback())
	}
	w.stepReaders()
	if w.rng.Float64() < w.swarm.reopen {
		w.closeReaders()
		w.db.Reopen()
	}
	w.db.MustView(func(tx *mapleaf.Tx) error {
		w.compareRoot(tx, w.now)
		return nil
	})
	w.db.Check()
}

// stepReaders begins, checks or ends read transactions.
func (w *world) stepReaders() {
	w.t.Helper()
	if len(w.readers) < w.swarm.readers {
		tx, err := w.db.Begin(false)
		must(w.t, err)
		w.readers = append(w.readers, reader{tx, w.now})
	}
	if len(w.readers) == 0 {
		return
	}
	i := w.rng.IntN(len(w.readers))
	w.compareRoot(w.readers[i].tx, w.readers[i].want)
	if w.rng.IntN(3) == 0 {
		must(w.t, w.readers[i].tx.Rollback())
		w.readers = slices.Delete(w.readers, i, i+1)
	}
}

func (w *world) closeReaders() {
	for _, r := range w.readers {
		if err := r.tx.Rollback(); err != nil {
			w.t.Errorf("end a reader: %v", err)
		}
	}
	w.readers = nil
}

// pick descends from the root to a random bucket, which it creates if there is none.
func (w *world) pick(tx *mapleaf.Tx, root *model) (*mapleaf.Bucket, *model) {
	w.t.Helper()
	name := w.bucketName()
	b, err := tx.CreateBucketIfNotExists([]byte(name))
	must(w.t, err)
	m := root.subs[name]
	if m == nil {
		m = newModel()
		root.subs[name] = m
	}
	for range w.rng.IntN(4) {
		sub := w.bucketName()
		if m.subs[sub] == nil {
			break
		}
		if b, m = b.Bucket([]byte(sub)), m.subs[sub]; b == nil {
			w.t.Fatalf("bucket %q is missing", sub)
		}
	}
	return b, m
}

func (w *world) bucketName() string { return fmt.Sprint("bucket", w.rng.IntN(8)) }

// name draws a key, or now and then the name of a bucket.
func (w *world) name() string {
	if w.rng.IntN(40) == 0 {
		return w.bucketName()
	}
	return w.swarm.keys[w.rng.IntN(len(w.swarm.keys))]
}

// operate runs one random operation on a random bucket.
func (w *world) operate(tx *mapleaf.Tx, root *model) {
	w.t.Helper()
	total := 0
	for _, weight := range w.swarm.weights {
		total += weight
	}
	n, op := w.rng.IntN(total), 0
	for ; n >= w.swarm.weights[op]; op++ {
		n -= w.swarm.weights[op]
	}
	b, m := w.pick(tx, root)
	switch op {
	case opPut:
		w.put(b, m)
	case opDelete:
		w.delete(b, m)
	case opGet:
		w.get(b, m, w.name())
	case opSeek:
		w.seek(b, m)
	case opCreate:
		w.create(b, m)
	case opDrop:
		w.drop(b, m)
	case opMove:
		w.move(tx, root, b, m)
	case opSequence:
		must(w.t, b.SetSequence(m.seq+1))
		m.seq++
	case opRange:
		w.deleteRange(b, m)
	case opWalk:
		w.walk(b, m)
	case opCompare:
		w.compare(b, m)
	}
}

func (w *world) put(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	key, v := w.name(), value(w.rng.IntN(1000), w.swarm.values(w.rng))
	err := b.Put([]byte(key), v)
	if m.subs[key] != nil {
		wantErr(w.t, "put over a bucket", err, mapleaf.ErrIncompatibleValue)
		return
	}
	must(w.t, err)
	m.keys[key] = string(v)
}

func (w *world) delete(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	key := w.name()
	err := b.Delete([]byte(key))
	if m.subs[key] != nil {
		wantErr(w.t, "delete a bucket", err, mapleaf.ErrIncompatibleValue)
		return
	}
	must(w.t, err)
	delete(m.keys, key)
}

func (w *world) get(b *mapleaf.Bucket, m *model, key string) {
	w.t.Helper()
	want, ok := m.keys[key]
	got := b.Get([]byte(key))
	if string(got) != want || ok && want != "" && got == nil || !ok && got != nil {
		w.t.Fatalf("get %.30q: %d bytes, want %d (%t)", key, len(got), len(want), ok)
	}
}

func (w *world) seek(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	names, key := m.names(), w.name()
	i, _ := slices.BinarySearch(names, key)
	c := b.Cursor()
	k, v := c.Seek([]byte(key))
	for j := range 3 {
		if i+j >= len(names) {
			wantAt(w.t, "seek", k, v, "", "")
			return
		}
		wantAt(w.t, "seek", k, v, names[i+j], m.keys[names[i+j]])
		k, v = c.Next()
	}
}

func (w *world) create(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	name := w.bucketName()
	_, isKey := m.keys[name]
	sub, err := b.CreateBucket([]byte(name))
	switch {
	case isKey:
		wantErr(w.t, "create over a key", err, mapleaf.ErrIncompatibleValue)
	case m.subs[name] != nil:
		wantErr(w.t, "create twice", err, mapleaf.ErrBucketExists)
	case err != nil || sub == nil:
		w.t.Fatalf("create %q: %v", name, err)
	default:
		m.subs[name] = newModel()
		if w.rng.IntN(3) == 0 {
			w.put(sub, m.subs[name])
		}
	}
}

func (w *world) drop(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	name := w.name()
	if w.rng.IntN(2) == 0 {
		name = w.bucketName()
	}
	_, isKey := m.keys[name]
	err := b.DeleteBucket([]byte(name))
	switch {
	case isKey:
		wantErr(w.t, "drop a key", err, mapleaf.ErrIncompatibleValue)
	case m.subs[name] == nil:
		wantErr(w.t, "drop nothing", err, mapleaf.ErrBucketNotFound)
	default:
		must(w.t, err)
		delete(m.subs, name)
	}
}

// move moves a bucket of b into a bucket of the root other than its own.
func (w *world) move(tx *mapleaf.Tx, root *model, b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	name, target := w.bucketName(), "target"+fmt.Sprint(w.rng.IntN(3))
	dst, err := tx.CreateBucketIfNotExists([]byte(target))
	must(w.t, err)
	if root.subs[target] == nil {
		root.subs[target] = newModel()
	}
	n := root.subs[target]
	sub := m.subs[name]
	err = b.MoveBucket([]byte(name), dst)
	switch {
	case sub == nil && m.holds(name):
		wantErr(w.t, "move a key", err, mapleaf.ErrIncompatibleValue)
	case sub == nil:
		wantErr(w.t, "move nothing", err, mapleaf.ErrBucketNotFound)
	case n.subs[name] != nil:
		wantErr(w.t, "move onto a bucket", err, mapleaf.ErrBucketExists)
	case n.holds(name):
		wantErr(w.t, "move onto a key", err, mapleaf.ErrIncompatibleValue)
	default:
		must(w.t, err)
		n.subs[name] = sub
		delete(m.subs, name)
	}
}

// deleteRange deletes what lies between two names, sub-buckets included.
func (w *world) deleteRange(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	lo, hi := w.name(), w.name()
	if hi < lo && w.rng.IntN(8) > 0 {
		lo, hi = hi, lo
	}
	names := m.names()
	i, _ := slices.BinarySearch(names, lo)
	j, _ := slices.BinarySearch(names, hi)
	i = max(i, j-20) // keep most of the bucket
	if i < j {
		lo = names[i]
	}
	want := uint64(max(0, j-i))
	if got := removeRange(w.t, b, lo, hi); got != want {
		w.t.Fatalf("DeleteRange deleted %d records, want %d", got, want)
	}
	for ; i < j; i++ {
		delete(m.keys, names[i])
		delete(m.subs, names[i])
	}
}

// walk deletes some records in a cursor's loop, in either direction.
func (w *world) walk(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	share := 1 + w.rng.IntN(20)
	walkDelete(w.t, b, w.rng.IntN(2) == 0, m.names(), func(name string) bool {
		if m.subs[name] != nil || w.rng.IntN(share) > 0 {
			return false
		}
		delete(m.keys, name)
		return true
	})
}

// compare looks at every record of b, forward, and at some backward.
func (w *world) compare(b *mapleaf.Bucket, m *model) {
	w.t.Helper()
	names := m.names()
	c := b.Cursor()
	k, v := c.First()
	for _, name := range names {
		wantAt(w.t, "compare", k, v, name, m.keys[name])
		if (v == nil) != (m.subs[name] != nil) && m.keys[name] != "" {
			w.t.Fatalf("%.30q is a bucket: %t", name, m.subs[name] != nil)
		}
		k, v = c.Next()
	}
	wantAt(w.t, "compare", k, v, "", "")
	k, v = c.Last()
	for i := len(names) - 1; i >= 0 && i > len(names)-50; i-- {
		wantAt(w.t, "compare backward", k, v, names[i], m.keys[names[i]])
		k, v = c.Prev()
	}
	for range 5 {
		w.get(b, m, w.name())
	}
	if b.Sequence() != m.seq {
		w.t.Fatalf("sequence %d, want %d", b.Sequence(), m.seq)
	}
	wantCount(w.t, b, len(names))
}

// compareRoot compares the whole database.
func (w *world) compareRoot(tx *mapleaf.Tx, root *model) {
	w.t.Helper()
	var down func(b *mapleaf.Bucket, m *model)
	down = func(b *mapleaf.Bucket, m *model) {
		w.compare(b, m)
		for _, name := range slices.Sorted(maps.Keys(m.subs)) {
			child := b.Bucket([]byte(name))
			if child == nil {
				w.t.Fatalf("bucket %q is missing", name)
			}
			down(child, m.subs[name])
		}
	}
	n := 0
	must(w.t, tx.ForEach(func(name []byte, b *mapleaf.Bucket) error {
		m := root.subs[string(name)]
		if m == nil {
			return fmt.Errorf("bucket %q should not be there", name)
		}
		n++
		down(b, m)
		return nil
	}))
	if n != len(root.subs) {
		w.t.Fatalf("%d buckets, want %d", n, len(root.subs))
	}
}
