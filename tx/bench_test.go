package tx

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
)

// The benchmarks of the parts: 1,000,000 records of 16-byte random keys and
// 100-byte values in pages of 4 KiB, all verified and in memory.

const benchRecords = 1_000_000

func benchKey(b []byte, i uint64) {
	x := (i + 1) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	binary.BigEndian.PutUint64(b, x^x>>32)
	binary.BigEndian.PutUint64(b[8:], x*0x94d049bb133111eb)
}

var benchStore = sync.OnceValue(func() *memStore {
	s := newMemStore(nil, 12)
	t := s.begin()
	b, err := t.CreateBucket([]byte("bench"))
	if err != nil {
		panic(err)
	}
	key, value := make([]byte, 16), make([]byte, 100)
	for i := range uint64(benchRecords) {
		benchKey(key, i)
		if err := b.Put(key, value); err != nil {
			panic(err)
		}
	}
	if err := t.Commit(); err != nil {
		panic(err)
	}
	return s
})

func benchBucket() *Bucket { return managedRead().Bucket([]byte("bench")) }

func managedRead() *Tx {
	t := benchStore().read()
	SetManaged(t)
	return t
}

func BenchmarkGet(b *testing.B) {
	bucket := benchBucket()
	key := make([]byte, 16)
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		benchKey(key, r.Uint64N(benchRecords))
		if bucket.Get(key) == nil {
			b.Fatal("a record is missing")
		}
	}
}

func BenchmarkGetMiss(b *testing.B) {
	bucket := benchBucket()
	key := make([]byte, 16)
	r := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		benchKey(key, benchRecords+r.Uint64N(benchRecords))
		if bucket.Get(key) != nil {
			b.Fatal("a record too many")
		}
	}
}

func BenchmarkScan(b *testing.B) {
	c := benchBucket().Cursor()
	c.First()
	b.ReportAllocs()
	for b.Loop() {
		if k, _ := c.Next(); k == nil {
			c.First()
		}
	}
}

func BenchmarkSeek100(b *testing.B) {
	c := benchBucket().Cursor()
	key := make([]byte, 16)
	r := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		benchKey(key, r.Uint64N(benchRecords))
		c.Seek(key)
		for range 100 {
			c.Next()
		}
	}
}

// BenchmarkPut inserts in transactions of 10,000 that are rolled back.
func BenchmarkPut(b *testing.B) {
	s := benchStore()
	key, value := make([]byte, 16), make([]byte, 100)
	var t *Tx
	var bucket *Bucket
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		if i%10_000 == 0 {
			if t != nil {
				EndManaged(t)
				if err := t.Rollback(); err != nil {
					b.Fatal(err)
				}
			}
			t = s.begin()
			SetManaged(t)
			bucket = t.Bucket([]byte("bench"))
		}
		benchKey(key, benchRecords+i)
		i++
		if err := bucket.Put(key, value); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend inserts ascending keys.
func BenchmarkAppend(b *testing.B) {
	s := newMemStore(b, 12)
	t := s.begin()
	SetManaged(t)
	bucket, err := t.CreateBucket([]byte("bench"))
	if err != nil {
		b.Fatal(err)
	}
	key, value := make([]byte, 16), make([]byte, 100)
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		binary.BigEndian.PutUint64(key, i)
		if err := bucket.Put(key, value); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBegin begins and ends a read transaction on a given state.
func BenchmarkBegin(b *testing.B) {
	s := &benchStore().state
	b.ReportAllocs()
	for b.Loop() {
		if err := NewReader(s, nil, memSession{}).Rollback(); err != nil {
			b.Fatal(err)
		}
	}
}
