package mapleaf

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// Many buckets, and deep trees.

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
