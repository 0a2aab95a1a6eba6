package mapleaf

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// Many records, many buckets, and deep trees.

var recordsFlag = flag.Int("records", 200_000, "records of the test with many of them")

// manyRecord is the key of record i, one in 256 steps behind the one before, and its value.
func manyRecord(i uint64) (key, value [8]byte) {
	binary.BigEndian.PutUint64(key[:], i<<8|i*0x9e3779b97f4a7c15>>56)
	binary.BigEndian.PutUint64(value[:], ^i)
	return key, value
}

// Many small records are loaded in key order, read in order and at random, changed at
// random, and checked. The log says how long each step took.
func TestManyRecords(t *testing.T) {
	const perTx = 10_000
	records, r := uint64(*recordsFlag), testRand(t, 954)
	path := tempPath(t)
	db := mustOpen(t, path, &Options{wrapFile: wrapLazy, NoSync: true})
	began := time.Now()
	lap := func(what string, n uint64) {
		took := time.Since(began)
		t.Logf("%-24s %12d  %8.3f s  %8.0f ns each", what, n, took.Seconds(),
			float64(took)/float64(n))
		began = time.Now()
	}
	update := func(from, end uint64, pick func(uint64) uint64) {
		err := db.Update(func(t *Tx) error {
			b, err := t.CreateBucketIfNotExists(testBucket)
			for i := from; i < end && err == nil; i++ {
				key, value := manyRecord(pick(i))
				err = b.Put(key[:], value[:])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := uint64(0); i < records; i += perTx {
		update(i, min(i+perTx, records), func(i uint64) uint64 { return i })
	}
	lap("load in key order", records)
	mustClose(t, db)
	if info, err := os.Stat(path); err == nil {
		size := info.Size()
		t.Logf("file of %d bytes, %.1f for a record", size, float64(size)/float64(records))
	}
	db = mustOpen(t, path, &Options{wrapFile: wrapLazy, NoSync: true})
	lap("close and open", 1)
	err := db.View(func(t *Tx) error { return scanMany(t.Bucket(testBucket), records) })
	if err != nil {
		t.Fatal(err)
	}
	lap("scan", records)
	gets := min(records, 2_000_000)
	err = db.View(func(t *Tx) error {
		b := t.Bucket(testBucket)
		for range gets {
			key, value := manyRecord(r.Uint64N(records))
			if got := b.Get(key[:]); string(got) != string(value[:]) {
				return fmt.Errorf("value of %x is %x, want %x", key, got, value)
			}
		}
		return t.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	lap("get at random", gets)
	puts := min(records, 200_000)
	for i := uint64(0); i < puts; i += perTx {
		update(i, min(i+perTx, puts), func(uint64) uint64 { return r.Uint64N(records) })
	}
	lap("put at random", puts)
	mustCheck(t, db)
	lap("check", records)
}

// scanMany returns an error unless the bucket holds just the records.
func scanMany(b *Bucket, records uint64) error {
	i := uint64(0)
	for k, v := range b.All() {
		if key, value := manyRecord(i); string(k) != string(key[:]) || string(v) != string(value[:]) {
			return fmt.Errorf("record %d is %x with %x, want %x with %x", i, k, v, key, value)
		}
		i++
	}
	if i != records || b.Count() != records {
		return fmt.Errorf("%d records, counted as %d, want %d", i, b.Count(), records)
	}
	return nil
}

func TestManyBuckets(t *testing.T) {
	const count = 10_000
	db := mustOpen(t, tempPath(t), &Options{wrapFile: wrapLazy})
	name := func(i int) []byte { return fmt.Appendf(nil, "bucket%05d", i*7919%count) }
	for part := range 4 {
		err := db.Update(func(t *Tx) error {
			for i := part * count / 4; i < (part+1)*count/4; i++ {
				b, err := t.CreateBucket(name(i))
				if err == nil {
					err = b.Put([]byte("number"), fmt.Append(nil, i))
				}
				if err == nil && i%100 == 0 { // some have pages of their own
					err = b.Put([]byte("large"), make([]byte, 3000))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := db.Update(func(t *Tx) error {
		for i := range count {
			b := t.Bucket(name(i))
			if b == nil || string(b.Get([]byte("number"))) != fmt.Sprint(i) {
				return fmt.Errorf("bucket %d is not there, or holds something else", i)
			}
			if i%2 == 0 {
				if err := t.DeleteBucket(name(i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.View(func(t *Tx) error {
		if n := len(t.Inspect().Children); n != count/2 {
			return fmt.Errorf("%d buckets are left of %d", n, count/2)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A deep tree: where separators are long, since neighbours share most of a long key and
// those of a page do not, a branch of a page of 4 KiB has few children.
func TestDeepTree(t *testing.T) {
	const records, want = 4_000, 6
	db := mustOpen(t, tempPath(t), &Options{PageSize: 4096, wrapFile: wrapLazy})
	r := testRand(t, 953)
	m, value := model{}, make([]byte, 600)
	key := func(i int) []byte {
		group := rand.New(rand.NewPCG(uint64(i/16), 0))
		k := make([]byte, 0, 1000)
		for len(k) < 960 {
			k = binary.LittleEndian.AppendUint64(k, group.Uint64())
		}
		return fmt.Appendf(k, "%06d", i)
	}
	for from := 0; from < records; from += 1000 {
		err := db.Update(func(t *Tx) error {
			b, err := t.CreateBucketIfNotExists(testBucket)
			for i := from; i < from+1000 && err == nil; i++ {
				m[string(key(i))] = string(value)
				err = b.Put(key(i), value)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	depth := 0
	if err := db.View(func(t *Tx) error {
		depth = t.Bucket(testBucket).Stats().Depth
		return m.compareTx(t)
	}); err != nil || depth < want {
		t.Fatalf("%d records have %d levels, want %d: %v", records, depth, want, err)
	}
	for range records / 2 {
		delete(m, string(key(r.IntN(records))))
	}
	if err := db.Update(func(t *Tx) error {
		b := t.Bucket(testBucket)
		for i := range records {
			if _, ok := m[string(key(i))]; !ok {
				if err := b.Delete(key(i)); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
}
