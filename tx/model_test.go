package tx

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	seedFlag  = flag.Uint64("seed", 1, "first seed of the model tests")
	stepsFlag = flag.Int("steps", 0, "operations of each model test (0 = short)")
)

// A modelBucket is what a bucket should hold.
type modelBucket struct {
	values map[string][]byte
	kids   map[string]*modelBucket
	seq    uint64
}

func newModelBucket() *modelBucket {
	return &modelBucket{values: map[string][]byte{}, kids: map[string]*modelBucket{}}
}

func (m *modelBucket) clone() *modelBucket {
	c := &modelBucket{values: maps.Clone(m.values), kids: map[string]*modelBucket{}, seq: m.seq}
	for name, kid := range m.kids {
		c.kids[name] = kid.clone()
	}
	return c
}

func (m *modelBucket) keys() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for k := range m.values {
			if !yield(k) {
				return
			}
		}
		for k := range m.kids {
			if !yield(k) {
				return
			}
		}
	})
}

// A modelRun drives a store and its model with the same random operations.
type modelRun struct {
	*rand.Rand
	t     *testing.T
	store *memStore
	model *modelBucket // as committed
	now   *modelBucket // in the running transaction
	tx    *Tx
	limit int
	style int
	span  int // how many different keys there are
	lent  []lentBytes
}

// lentBytes are bytes that were handed out and must not change (I6).
type lentBytes struct{ got, want []byte }

func (r *modelRun) fatalf(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf(format, args...)
}

// key returns a key of the run's style.
func (r *modelRun) key() []byte {
	i := r.IntN(r.span)
	switch r.style {
	case 0:
		return binary.BigEndian.AppendUint64(nil, uint64(i))
	case 1:
		return fmt.Appendf(nil, "/usr/share/doc/package-%03d/file-%d", i/7, i%7)
	case 2: // every length, many of them long, with a common beginning
		k := bytes.Repeat([]byte("common/"), 1+i%(2*r.limit/7+3))
		return fmt.Appendf(k, "%d", i)
	case 3:
		k := make([]byte, 1+i%5)
		for j := range k {
			k[j] = byte(i >> (3 * j) & 7 * 37)
		}
		return k
	}
	h := uint64(i) * 0x9e3779b97f4a7c15
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, h), ^h)
}

func (r *modelRun) value() []byte {
	switch n := r.IntN(12); {
	case n == 0:
		return []byte{}
	case n == 1:
		return bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(6*r.limit))
	case n < 6:
		return binary.LittleEndian.AppendUint64(nil, r.Uint64())
	}
	v := make([]byte, r.IntN(r.limit+2))
	for i := range v {
		v[i] = byte(r.Uint32())
	}
	return v
}

// pick returns a random bucket of the running transaction and its model.
func (r *modelRun) pick() (*Bucket, *modelBucket) {
	b, m := &r.tx.root, r.now
	for {
		names := slices.Sorted(maps.Keys(m.kids))
		if len(names) == 0 || b.depth > 0 && r.IntN(3) > 0 {
			return b, m
		}
		name := names[r.IntN(len(names))]
		if b = b.Bucket([]byte(name)); b == nil {
			r.fatalf("bucket %q is missing: %v", name, r.tx.Err())
		}
		m = m.kids[name]
	}
}

func (r *modelRun) step() {
	b, m := r.pick()
	switch n := r.IntN(100); {
	case n < 36:
		r.put(b, m)
	case n < 40:
		r.load(b, m)
	case n < 55:
		r.del(b, m)
	case n < 70:
		r.get(b, m)
	case n < 76:
		r.create(b, m)
	case n < 78:
		r.drop(b, m)
	case n < 80:
		r.move(b, m)
	case n < 90:
		r.cursor(b, m)
	case n < 92:
		r.deleteRange(b, m)
	case n < 93:
		m.seq++
		if got, err := b.NextSequence(); err != nil || got != m.seq {
			r.fatalf("sequence %d, %v; want %d", got, err, m.seq)
		}
	case n < 97:
		r.compare(b, m, false)
	default:
		r.finish()
	}
	want := uint64(len(m.values) + len(m.kids))
	if got := b.Count(); b.readable() && got != want {
		r.fatalf("count %d, want %d", got, want)
	}
}

func (r *modelRun) put(b *Bucket, m *modelBucket) {
	base := r.IntN(r.span)
	for i, n := 0, 1+r.IntN(20); i < n; i++ {
		k, v := r.key(), r.value()
		if r.style == 0 && n > 10 { // an ascending run
			k = binary.BigEndian.AppendUint64(nil, uint64(base+i))
		}
		want := error(nil)
		if m.kids[string(k)] != nil {
			want = ErrIncompatibleValue
		}
		if err := b.Put(k, v); err != want {
			r.fatalf("put %q: %v, want %v", k, err, want)
		}
		if want == nil {
			m.values[string(k)] = bytes.Clone(v)
		}
		clear(k) // the caller's buffers are the caller's again
		clear(v)
	}
}

func (r *modelRun) del(b *Bucket, m *modelBucket) {
	for n := 1 + r.IntN(20); n > 0; n-- {
		k := r.key()
		want := error(nil)
		if m.kids[string(k)] != nil {
			want = ErrIncompatibleValue
		}
		if err := b.Delete(k); err != want {
			r.fatalf("delete %q: %v, want %v", k, err, want)
		}
		delete(m.values, string(k))
	}
}

func (r *modelRun) get(b *Bucket, m *modelBucket) {
	k := r.key()
	want, ok := m.values[string(k)]
	got := b.Get(k)
	if ok != (got != nil) || !bytes.Equal(got, want) {
		r.fatalf("get %q: %.40x, want %.40x (%v)", k, got, want, r.tx.Err())
	}
	if got != nil && cap(got) != len(got) {
		r.fatalf("capacity %d of a value of %d bytes", cap(got), len(got))
	}
	r.lend(got)
}

// lend remembers bytes that must stay as they are until the transaction ends.
func (r *modelRun) lend(b []byte) {
	if len(r.lent) < 4000 {
		r.lent = append(r.lent, lentBytes{b, bytes.Clone(b)})
	}
}

func (r *modelRun) create(b *Bucket, m *modelBucket) {
	if b.depth > 6 {
		return
	}
	k := r.key()
	want := error(nil)
	if m.kids[string(k)] != nil {
		want = ErrBucketExists
	} else if _, ok := m.values[string(k)]; ok {
		want = ErrIncompatibleValue
	}
	if _, err := b.CreateBucket(k); err != want {
		r.fatalf("create %q: %v, want %v", k, err, want)
	}
	if want == nil {
		m.kids[string(k)] = newModelBucket()
	}
}

func (r *modelRun) drop(b *Bucket, m *modelBucket) {
	k := r.key()
	if names := slices.Sorted(maps.Keys(m.kids)); len(names) > 0 {
		k = []byte(names[r.IntN(len(names))])
	}
	want := error(nil)
	if m.kids[string(k)] == nil {
		want = ErrBucketNotFound
		if _, ok := m.values[string(k)]; ok {
			want = ErrIncompatibleValue
		}
	}
	if err := b.DeleteBucket(k); err != want {
		r.fatalf("drop %q: %v, want %v", k, err, want)
	}
	delete(m.kids, string(k))
}

func (r *modelRun) move(b *Bucket, m *modelBucket) {
	names := slices.Sorted(maps.Keys(m.kids))
	if len(names) == 0 {
		return
	}
	name := names[r.IntN(len(names))]
	dst, dm := r.pick()
	kid := b.Bucket([]byte(name))
	want := error(nil)
	for up := dst; up != nil; up = up.edit.parent {
		if up == kid {
			want = ErrSameBuckets
		}
	}
	if _, ok := dm.values[name]; want == nil && ok {
		want = ErrIncompatibleValue
	}
	if want == nil && dm.kids[name] != nil {
		want = ErrBucketExists
	}
	if dst == b {
		want = ErrSameBuckets
	}
	if err := b.MoveBucket([]byte(name), dst); err != want {
		r.fatalf("move %q: %v, want %v", name, err, want)
	}
	if want == nil {
		dm.kids[name] = m.kids[name]
		delete(m.kids, name)
	}
}

// cursor walks from a random place and changes the bucket on the way.
func (r *modelRun) cursor(b *Bucket, m *modelBucket) {
	c := b.Cursor()
	start := r.key()
	keys := m.keys()
	i, _ := slices.BinarySearch(keys, string(start))
	k, v := c.Seek(start)
	forward := r.IntN(2) == 0
	for n := 0; n < 30; n++ {
		if i < 0 || i >= len(keys) {
			if k != nil {
				r.fatalf("cursor at %q behind the end", k)
			}
			return
		}
		if string(k) != keys[i] || !bytes.Equal(v, m.values[keys[i]]) {
			r.fatalf("cursor at %.60q, want %.60q (%v)", k, keys[i], r.tx.Err())
		}
		r.lend(k)
		r.lend(v)
		if _, plain := m.values[keys[i]]; plain && r.IntN(3) == 0 {
			if err := c.Delete(); err != nil {
				r.fatalf("cursor delete: %v", err)
			}
			delete(m.values, keys[i])
		}
		at := keys[i]
		if r.IntN(4) == 0 {
			r.put(b, m)
		}
		keys = m.keys()
		var here bool
		i, here = slices.BinarySearch(keys, at)
		if forward {
			if here {
				i++
			}
			k, v = c.Next()
		} else {
			i--
			k, v = c.Prev()
		}
	}
}

func (r *modelRun) deleteRange(b *Bucket, m *modelBucket) {
	lo, hi := r.key(), r.key()
	if bytes.Compare(lo, hi) > 0 {
		lo, hi = hi, lo
	}
	if r.IntN(20) > 0 { // mostly a part of the keys
		keys := m.keys()
		if i, _ := slices.BinarySearch(keys, string(lo)); i+40 < len(keys) {
			hi = []byte(keys[i+r.IntN(40)])
		}
	}
	var want uint64
	for _, k := range m.keys() {
		if k >= string(lo) && k < string(hi) {
			delete(m.values, k)
			delete(m.kids, k)
			want++
		}
	}
	if got, err := b.DeleteRange(lo, hi); err != nil || got != want {
		r.fatalf("delete range: %d, %v; want %d", got, err, want)
	}
}

// compare checks that the bucket holds what the model says, in order.
func (r *modelRun) compare(b *Bucket, m *modelBucket, deep bool) {
	keys := m.keys()
	i := 0
	for k, v := range b.All() {
		if i >= len(keys) || string(k) != keys[i] || !bytes.Equal(v, m.values[keys[i]]) {
			r.fatalf("record %d is %.60q", i, k)
		}
		if kid := m.kids[keys[i]]; kid != nil && deep {
			r.compare(b.Bucket(k), kid, true)
		}
		i++
	}
	if i != len(keys) {
		r.fatalf("%d records, want %d (%v)", i, len(keys), r.tx.Err())
	}
	for k := range b.Backward() {
		if i--; string(k) != keys[i] {
			r.fatalf("backward: record %d is %.60q", i, k)
		}
	}
	if b.Sequence() != m.seq || i != 0 {
		r.fatalf("sequence %d, want %d; %d records left", b.Sequence(), m.seq, i)
	}
}

// finish ends the transaction, checks everything, and begins another.
func (r *modelRun) finish() {
	for _, l := range r.lent {
		if !bytes.Equal(l.got, l.want) {
			r.fatalf("bytes that were handed out changed from %.60x to %.60x", l.want, l.got)
		}
	}
	r.lent = nil
	if r.IntN(4) == 0 {
		if err := r.tx.Rollback(); err != nil {
			r.fatalf("rollback: %v", err)
		}
		r.now = r.model.clone()
	} else {
		if err := r.tx.Commit(); err != nil {
			r.fatalf("commit: %v", err)
		}
		r.model = r.now.clone()
	}
	r.store.check()
	if r.store.follower == nil && !r.store.resident && r.IntN(4) == 0 {
		end := r.store.last()
		r.store.vacate(end/2+PageID(r.IntN(int(end/2)+1)), 1+r.IntN(100))
		r.store.check()
	}
	r.tx = r.store.read()
	r.now = r.model.clone()
	r.compare(&r.tx.root, r.model, true)
	if f := r.store.follower; f != nil && !r.store.dropped {
		if err := sameContents(&r.tx.root, &f.read().root); err != nil {
			r.fatalf("replayed: %v", err)
		}
	}
	if err := r.tx.Rollback(); err != nil {
		r.fatalf("end of reader: %v", err)
	}
	r.tx = r.store.begin()
}

func TestModel(t *testing.T) {
	steps := 3000
	if testing.Short() {
		steps = 500
	}
	if *stepsFlag > 0 {
		steps = *stepsFlag
	}
	for i := range uint64(10) {
		seed := *seedFlag + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			shift := uint8(9 + i%3)
			r := &modelRun{
				Rand:  rand.New(rand.NewPCG(seed, 0)),
				t:     t,
				store: newMemStore(t, shift),
				model: newModelBucket(),
				now:   newModelBucket(),
				limit: inlineLimit(1<<shift - HeaderSize),
				style: int(i % 5),
			}
			r.store.resident = i%2 == 1
			r.store.everyEpoch = uint64(i / 2 % 4)
			if i%3 == 2 {
				r.store.spillLimit = 100 << shift
			} else {
				r.store.follower = newMemStore(t, shift)
			}
			r.span = 1 + r.IntN(2000)
			r.tx = r.store.begin()
			for range steps {
				r.step()
			}
			r.finish()
		})
	}
}
