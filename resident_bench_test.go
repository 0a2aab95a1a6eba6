package mapleaf

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// Random gets from a file, and from the same one when every page is resident: changed
// since the last checkpoint.
func BenchmarkGetResident(b *testing.B) {
	const records, perLeaf = 300_000, 25
	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)*2654435761) }
	db, err := Open(b.TempDir()+"/bench.db", 0o600, &Options{wrapFile: wrapLazy})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	put := func(from, step, n int) {
		err := db.Update(func(t *Tx) error {
			bucket, err := t.CreateBucketIfNotExists(testBucket)
			for i := from; i < from+n*step && err == nil; i += step {
				err = bucket.Put(key(i), make([]byte, 100))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; i < records; i += 10_000 {
		put(i, 1, 10_000)
	}
	gets := func(b *testing.B) {
		r := rand.New(rand.NewPCG(1, 2))
		t, err := db.Begin(false)
		if err != nil {
			b.Fatal(err)
		}
		defer t.Rollback()
		bucket := t.Bucket(testBucket)
		for b.Loop() {
			if bucket.Get(key(r.IntN(records))) == nil {
				b.Fatal("a record is missing")
			}
		}
	}
	b.Run("file", gets)
	for i := 0; i < records; i += 100 * perLeaf {
		put(i, perLeaf, 100)
	}
	if n := db.store.mu.epoch.pages; n < records/40 {
		b.Fatalf("%d pages are resident", n)
	}
	b.Run("resident", gets)
}
