package tx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// load puts a random sequence, which now and then looks at the transaction, or changes it.
func (r *modelRun) load(b *Bucket, m *modelBucket) {
	records := r.records()
	between := []float64{0, 0, 0.02, 0.3}[r.IntN(4)]
	want := error(nil)
	err := b.Load(func(yield func(k, v []byte) bool) {
		for _, record := range records {
			if r.Float64() < between {
				r.between(b, m)
			}
			k, v := record[0], record[1]
			switch {
			case b.gone:
				want = ErrBucketNotFound
			case m.kids[string(k)] != nil:
				want = ErrIncompatibleValue
			default:
				m.values[string(k)] = bytes.Clone(v)
			}
			on := yield(k, v)
			clear(k) // the caller's buffers are the caller's again
			clear(v)
			if on != (want == nil) {
				r.fatalf("load %q goes on: %v, want error %v", k, on, want)
			}
			if !on {
				return
			}
			if got := b.Count(); got != uint64(len(m.values)+len(m.kids)) {
				r.fatalf("count %d while loading, want %d", got, len(m.values)+len(m.kids))
			}
		}
	})
	if err != want {
		r.fatalf("load: %v, want %v", err, want)
	}
}

// records draws what load puts: some keys of the run's style, in order or not, or a run of
// others behind them.
func (r *modelRun) records() [][2][]byte {
	n := 1 + r.IntN(30)
	if r.IntN(20) == 0 {
		n = 1 + r.IntN(600)
	}
	records := make([][2][]byte, n)
	kind, value := r.IntN(6), r.value()
	start := uint64(r.IntN(1 << 16))
	for i := range records {
		k, v := r.key(), r.value()
		if kind >= 2 {
			k = binary.BigEndian.AppendUint64([]byte("\xff"), start+uint64(i))
		}
		switch kind {
		case 3:
			v = bytes.Clone(value)
		case 4:
			k = append(k, bytes.Repeat([]byte{7}, r.IntN(r.limit))...)
		case 5:
			k = slices.Concat([]byte("\xff"), bytes.Repeat([]byte{9}, r.limit/2), k)
		}
		records[i] = [2][]byte{k, v}
	}
	if kind > 0 {
		slices.SortFunc(records, func(a, b [2][]byte) int { return bytes.Compare(a[0], b[0]) })
	}
	return records
}

// between is what a sequence does between two records.
func (r *modelRun) between(b *Bucket, m *modelBucket) {
	if r.IntN(2) == 0 {
		b, m = r.pick()
	}
	if b.gone {
		return
	}
	switch r.IntN(12) {
	case 0:
		r.put(b, m)
	case 1:
		r.del(b, m)
	case 2:
		r.create(b, m)
	case 3:
		r.cursor(b, m)
	case 4:
		r.deleteRange(b, m)
	case 5:
		if r.IntN(10) == 0 {
			r.drop(b, m)
		} else {
			r.move(b, m)
		}
	case 6:
		if r.IntN(4) == 0 {
			r.load(b, m)
		}
	case 7:
		if err := r.tx.settle(); err != nil {
			r.fatalf("settle: %v", err)
		}
	case 8: // the last records, which may be on their way
		for k, v := range b.Backward() {
			if r.lend(k); v != nil {
				r.lend(v)
			}
			if r.IntN(4) == 0 {
				break
			}
		}
	case 9:
		r.compare(b, m, false)
	default:
		r.get(b, m)
	}
}

// counted returns n records of ascending keys, with values of size bytes.
func counted(n, size int) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		k, v := make([]byte, 16), make([]byte, size)
		for i := range n {
			binary.BigEndian.PutUint64(k, uint64(i)*0x9e3779b97f4a7c15>>20)
			binary.BigEndian.PutUint64(k, uint64(i)<<32)
			if !yield(k, v) {
				return
			}
		}
	}
}

// loadKinds are ascending records of all the forms that a leaf can have.
var loadKinds = map[string]func(i int, r *rand.Rand) (k, v []byte){
	"whole": func(i int, r *rand.Rand) (k, v []byte) {
		return binary.BigEndian.AppendUint64(nil, uint64(i)<<40+uint64(r.Uint32())), make([]byte, 100)
	},
	"whole, values of many lengths": func(i int, r *rand.Rand) (k, v []byte) {
		k = binary.BigEndian.AppendUint64(nil, uint64(i)<<40+uint64(r.Uint32()))
		return k, make([]byte, r.IntN(300))
	},
	"fixed": func(i int, r *rand.Rand) (k, v []byte) {
		return binary.BigEndian.AppendUint64(nil, uint64(3*i)), make([]byte, 8)
	},
	"paths": func(i int, r *rand.Rand) (k, v []byte) {
		k = fmt.Appendf(nil, "/usr/share/doc/package-%06d/file-%d", i/7, i%7)
		return k, make([]byte, r.IntN(60))
	},
	"long": func(i int, r *rand.Rand) (k, v []byte) {
		k = fmt.Appendf(nil, "%08d%s", i, bytes.Repeat([]byte("k"), r.IntN(60)*r.IntN(60)))
		return k, make([]byte, r.IntN(60)*r.IntN(60))
	},
}

// What is loaded takes no more pages than by Put, and is the same.
func TestLoadLikePut(t *testing.T) {
	for name, kind := range loadKinds {
		for _, limit := range []int64{0, 64 << 12} {
			pages := map[bool]PageID{}
			var loaded *memStore
			for _, load := range []bool{false, true} {
				s := newMemStore(t, 12)
				s.spillLimit = limit
				r := rand.New(rand.NewPCG(*seedFlag, 700))
				records := func(yield func(k, v []byte) bool) {
					for i := range 8_000 {
						if !yield(kind(i, r)) {
							return
						}
					}
				}
				s.update(func(t *Tx) error {
					b, err := t.CreateBucket([]byte("b"))
					if err != nil {
						return err
					}
					if load {
						return b.Load(records)
					}
					for k, v := range records {
						if err := b.Put(k, v); err != nil {
							return err
						}
					}
					return nil
				})
				s.check()
				pages[load] = s.next
				if loaded == nil {
					loaded = s
				} else if err := sameContents(&s.read().root, &loaded.read().root); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if pages[true] > pages[false] {
				t.Errorf("%s, limit %d: %d pages, and %d by Put", name, limit, pages[true],
					pages[false])
			}
		}
	}
}

// The errors are those of Put, and what stands before the record stays.
func TestLoadErrors(t *testing.T) {
	s := newMemStore(t, 12)
	one := func(k, v []byte) iter.Seq2[[]byte, []byte] {
		return func(yield func(k, v []byte) bool) {
			_ = yield([]byte("a"), nil) && yield([]byte("b"), []byte{1}) && yield(k, v) &&
				yield([]byte("z"), nil)
		}
	}
	var b *Bucket
	s.update(func(t *Tx) error {
		b, _ = t.CreateBucket([]byte("b"))
		_, err := b.CreateBucket([]byte("kid"))
		return err
	})
	for _, c := range []struct {
		key  []byte
		want error
	}{
		{nil, ErrKeyRequired},
		{make([]byte, MaxKeySize+1), ErrKeyTooLarge},
		{bytes.Repeat([]byte("x"), MaxKeySize+1), ErrKeyTooLarge},
		{[]byte("kid"), ErrIncompatibleValue},
		{bytes.Repeat([]byte("x"), MaxKeySize), nil},
		{[]byte("b"), nil},
	} {
		w := s.begin()
		b = w.Bucket([]byte("b"))
		if err := b.Load(one(c.key, []byte("v"))); err != c.want {
			t.Errorf("key of %d bytes: %v, want %v", len(c.key), err, c.want)
		}
		if v := b.Get([]byte("a")); v == nil || len(v) > 0 {
			t.Errorf("the first record is %v", v)
		}
		if (b.Get([]byte("z")) != nil) != (c.want == nil) {
			t.Errorf("key of %d bytes: the record behind it is %v", len(c.key), b.Get([]byte("z")))
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		s.check()
	}
	if err := b.Load(counted(1, 1)); err != ErrTxClosed {
		t.Errorf("after the end: %v", err)
	}
	if err := s.read().Bucket([]byte("b")).Load(counted(1, 1)); err != ErrTxNotWritable {
		t.Errorf("in a reader: %v", err)
	}
	s.update(func(w *Tx) error { return w.Bucket([]byte("b")).Load(nil) })
}

// A sequence that ends the transaction does no harm.
func TestLoadEnds(t *testing.T) {
	for _, n := range []int{3, 5000} {
		for _, commit := range []bool{true, false} {
			s := newMemStore(t, 12)
			s.spillLimit = 64 << 12
			w := s.begin()
			b, err := w.CreateBucket([]byte("b"))
			if err != nil {
				t.Fatal(err)
			}
			end := w.Rollback
			if commit {
				end = w.Commit
			}
			for _, more := range []bool{true, false} {
				err = b.Load(func(yield func(k, v []byte) bool) {
					for k, v := range counted(n, 100) {
						if !yield(k, v) {
							return
						}
					}
					if err := end(); err != nil && err != ErrTxClosed {
						t.Error(err)
					}
					if more && yield([]byte{0xff}, nil) {
						t.Error("it goes on")
					}
				})
				if err != ErrTxClosed {
					t.Errorf("%d records, commit %v: %v", n, commit, err)
				}
			}
			s.check()
			if got := s.read().Bucket([]byte("b")); commit && got.Count() != uint64(n) {
				t.Errorf("%d records, want %d", got.Count(), n)
			}
		}
	}
}

// A sequence that has the transaction settled, as Tx.WriteTo does it, gives new ids to the
// pages that the loader knows.
func TestLoadSettles(t *testing.T) {
	s := newMemStore(t, 9)
	s.update(func(w *Tx) error {
		b, err := w.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		return b.Load(func(yield func(k, v []byte) bool) {
			for k, v := range counted(5000, 40) {
				if !yield(k, v) {
					return
				}
				if err := w.settle(); err != nil {
					t.Error(err)
				}
			}
		})
	})
	s.check()
	if n := s.read().Bucket([]byte("b")).Count(); n != 5000 {
		t.Errorf("%d records", n)
	}
}

// What a sequence panics with passes through, and the transaction can go on.
func TestLoadPanic(t *testing.T) {
	s := newMemStore(t, 12)
	s.spillLimit = 64 << 12
	s.update(func(w *Tx) error {
		b, err := w.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		broken := func(yield func(k, v []byte) bool) {
			for k, v := range counted(5003, 100) {
				yield(k, v)
			}
			panic("broken")
		}
		func() {
			defer func() {
				if r := recover(); r != "broken" {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = b.Load(broken)
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = b.Load(func(yield func(k, v []byte) bool) {
				yield([]byte{0xfe}, nil)
				runtime.Goexit()
			})
		}()
		<-done
		return b.Put([]byte{0xff}, nil)
	})
	s.check()
	if n := s.read().Bucket([]byte("b")).Count(); n != 5005 {
		t.Errorf("%d records", n)
	}
}

// A write that fails, at its beginning or later, fails the transaction.
func TestLoadSpillFails(t *testing.T) {
	broken := errors.New("broken")
	for _, begin := range []bool{true, false} {
		for _, n := range []int{700, 5000} { // the first writes are noticed at the end only
			s := newMemStore(t, 12)
			s.spillLimit = 64 << 12
			w := s.begin()
			b, err := w.CreateBucket([]byte("b"))
			if err != nil {
				t.Fatal(err)
			}
			if begin {
				s.spillErr = broken
			} else {
				s.landErr = broken
			}
			err = b.Load(counted(n, 100))
			if n == 5000 && err != broken {
				t.Errorf("load: %v", err)
			}
			if err := w.Commit(); err != broken {
				t.Errorf("commit: %v", err)
			}
			if s.read().Bucket([]byte("b")) != nil {
				t.Error("it was committed")
			}
		}
	}
}

// Bytes that are handed out while their page is being written stay as they are (Y3), and
// a cursor that stands there goes on.
func TestLoadLent(t *testing.T) {
	s := newMemStore(t, 12)
	s.spillLimit = 64 << 12
	s.update(func(w *Tx) error {
		b, err := w.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		var lent []lentBytes
		c := b.Cursor()
		i := 0
		err = b.Load(func(yield func(k, v []byte) bool) {
			for k := range counted(20_000, 0) {
				if !yield(k, append(bytes.Clone(k), make([]byte, 80)...)) {
					return
				}
				if i++; i%7 == 0 {
					k, v := c.Next()
					if i == 7 {
						k, v = c.First()
					}
					if !bytes.HasPrefix(v, k) || len(k) == 0 {
						t.Fatalf("record %d: cursor at %x: %x", i, k, v)
					}
					lent = append(lent, lentBytes{k, bytes.Clone(k)}, lentBytes{v, bytes.Clone(v)})
				}
				if i%111 == 0 {
					k, v := b.Cursor().Last()
					lent = append(lent, lentBytes{k, bytes.Clone(k)}, lentBytes{v, bytes.Clone(v)})
				}
			}
		})
		for _, l := range lent {
			if !bytes.Equal(l.got, l.want) {
				t.Fatalf("bytes changed from %x to %x", l.want, l.got)
			}
		}
		return err
	})
	s.check()
}
