package mapleaf

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// BenchmarkPageVerify verifies random node pages of 4 KiB, as the first touch does: the
// frame with its checksum, and with it the structure of the node.
func BenchmarkPageVerify(b *testing.B) {
	const records = 100_000
	path := b.TempDir() + "/bench.db"
	db, err := Open(path, 0o600, &Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	err = db.Update(func(t *Tx) error {
		bucket, err := t.CreateBucket(testBucket)
		key := make([]byte, 16)
		for i := uint64(0); i < records && err == nil; i++ {
			binary.BigEndian.PutUint64(key, i*0x9e3779b97f4a7c15)
			err = bucket.Put(key, make([]byte, 100))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	if db, err = Open(path, 0o600, &Options{ReadOnly: true}); err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	snap := db.store.published.Load()
	refs := nodeRefs(db.store, snap)
	if len(refs) < records/40 {
		b.Fatalf("%d node pages for %d records", len(refs), records)
	}
	verify := func(b *testing.B, r *rand.Rand) tx.Ref {
		ref := refs[r.IntN(len(refs))]
		if n, err := db.store.Verify(snap, ref, tx.KindNode); n != 1 {
			b.Fatal(err)
		}
		return ref
	}
	b.Run("frame", func(b *testing.B) {
		r := rand.New(rand.NewPCG(1, 1))
		b.SetBytes(int64(snap.PageSize()))
		b.ReportAllocs()
		for b.Loop() {
			verify(b, r)
		}
	})
	b.Run("frame and node", func(b *testing.B) {
		r := rand.New(rand.NewPCG(1, 1))
		b.SetBytes(int64(snap.PageSize()))
		b.ReportAllocs()
		for b.Loop() {
			at := int(verify(b, r).ID) << snap.Shift
			if _, err := tx.ViewNode(snap.Data[at+headerSize : at+snap.PageSize()]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// nodeRefs returns the references to all sound node pages in the mapping.
func nodeRefs(s *store, snap *tx.Snapshot) (refs []tx.Ref) {
	for id := s.first; id < snap.HWM; id++ {
		h := decodePageHeader(snap.Data[int(id)<<snap.Shift:])
		ref := tx.Ref{ID: id, Stamp: h.birth.Stamp()}
		if h.kind != tx.KindNode {
			continue
		}
		if n, err := s.Verify(snap, ref, tx.KindNode); err == nil && n == 1 {
			refs = append(refs, ref)
		}
	}
	return refs
}
