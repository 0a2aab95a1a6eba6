package mapleaf_test

import (
	"encoding/json"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
)

func TestBucketStats(t *testing.T) {
	const n = 5000
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		fill(t, b, n, 100)
		put(t, mustBucket(t, b, "tiny"), "k", "v")
		fill(t, mustBucket(t, b, "wide"), n, 100)
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		s := tx.Bucket([]byte("b")).Stats()
		size := db.Info().PageSize
		if s.KeyN != 2*n+3 {
			t.Errorf("KeyN is %d, want %d", s.KeyN, 2*n+3)
		}
		if s.BucketN != 3 || s.InlineBucketN != 1 || s.InlineBucketInuse <= 0 {
			t.Errorf("%d buckets, %d inline with %d bytes", s.BucketN, s.InlineBucketN,
				s.InlineBucketInuse)
		}
		if s.LeafAlloc != (s.LeafPageN+s.LeafOverflowN)*size {
			t.Errorf("LeafAlloc is %d with %d+%d pages", s.LeafAlloc, s.LeafPageN, s.LeafOverflowN)
		}
		if s.BranchAlloc != (s.BranchPageN+s.BranchOverflowN)*size {
			t.Errorf("BranchAlloc is %d with %d+%d pages", s.BranchAlloc, s.BranchPageN,
				s.BranchOverflowN)
		}
		if s.LeafInuse < 2*n*100 || s.LeafInuse > s.LeafAlloc {
			t.Errorf("LeafInuse is %d of %d", s.LeafInuse, s.LeafAlloc)
		}
		if s.BranchPageN < 2 || s.BranchInuse <= 0 || s.BranchInuse > s.BranchAlloc {
			t.Errorf("BranchInuse is %d of %d in %d pages", s.BranchInuse, s.BranchAlloc,
				s.BranchPageN)
		}
		if s.Depth < 4 {
			t.Errorf("Depth is %d for a tree of pages within a tree of pages", s.Depth)
		}
		return nil
	})
}

func TestBucketStatsEmpty(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	db.MustView(func(tx *mapleaf.Tx) error {
		s := tx.Bucket([]byte("b")).Stats()
		if s.BucketN != 1 || s.InlineBucketN != 1 || s.KeyN != 0 || s.LeafPageN != 0 ||
			s.BranchPageN != 0 {
			t.Fatalf("an empty bucket has %+v", s)
		}
		return nil
	})
}

// TestSmallBucketsAreInline puts small buckets, which must cost no pages.
func TestSmallBucketsAreInline(t *testing.T) {
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for i := range 1000 {
			put(t, mustBucket(t, b, key8(i)), "k", "v")
		}
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		s := tx.Bucket([]byte("b")).Stats()
		if s.InlineBucketN != 1000 {
			t.Fatalf("%d of 1000 small buckets are inline", s.InlineBucketN)
		}
		if s.LeafPageN > 100 {
			t.Fatalf("1000 small buckets take %d pages", s.LeafPageN)
		}
		return nil
	})
}

func TestBucketStatsAdd(t *testing.T) {
	s := mapleaf.BucketStats{
		BranchPageN: 1, BranchOverflowN: 2, LeafPageN: 3, LeafOverflowN: 4, KeyN: 5, Depth: 6,
		BranchAlloc: 7, BranchInuse: 8, LeafAlloc: 9, LeafInuse: 10, BucketN: 11,
		InlineBucketN: 12, InlineBucketInuse: 13,
	}
	sum := s
	sum.Add(mapleaf.BucketStats{Depth: 2, KeyN: 1})
	want := s
	want.KeyN = 6
	if sum != want {
		t.Fatalf("the sum is %+v, want %+v: the larger depth counts", sum, want)
	}
	sum.Add(mapleaf.BucketStats{Depth: 20})
	if sum.Depth != 20 {
		t.Fatalf("depth %d, want 20", sum.Depth)
	}
	double := s
	double.Add(s)
	if double.LeafInuse != 20 || double.InlineBucketInuse != 26 || double.BranchPageN != 2 {
		t.Fatalf("twice the same is %+v", double)
	}
}

func TestDBStats(t *testing.T) {
	db := openDB(t)
	before := db.Stats()
	tx, err := db.Begin(false)
	must(t, err)
	if got := db.Stats().OpenTxN; got != 1 {
		t.Fatalf("OpenTxN is %d with one reader", got)
	}
	must(t, tx.Rollback())
	for i := range 10 {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			fill(t, b, 100*(i+1), 100)
			b.Cursor().First()
			return nil
		})
		db.MustView(func(tx *mapleaf.Tx) error { return nil })
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("b")) })
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "c"); return nil })
	now := db.Stats()
	diff := now.Sub(&before)
	if diff.TxN != 11 || now.OpenTxN != 0 {
		t.Fatalf("%d readers were counted, %d open", diff.TxN, now.OpenTxN)
	}
	if now.FreePageN+now.PendingPageN == 0 || now.FreeAlloc == 0 {
		t.Fatalf("deleting 1000 records freed nothing: %+v", now)
	}
	s := diff.TxStats
	if s.GetPageCount() <= 0 || s.GetPageAlloc() <= 0 || s.GetCursorCount() <= 0 ||
		s.GetWrite() <= 0 {
		t.Fatalf("ten commits count as %+v", s)
	}
	if none := now.Sub(&now); none.TxStats.PageCount != 0 || none.TxN != 0 {
		t.Fatalf("the difference to itself is %+v", none)
	}
}

func TestTxStats(t *testing.T) {
	var s mapleaf.TxStats
	for i, inc := range []func(int64) int64{
		s.IncPageCount, s.IncPageAlloc, s.IncCursorCount, s.IncNodeCount, s.IncNodeDeref,
		s.IncRebalance, s.IncSplit, s.IncSpill, s.IncWrite,
	} {
		if got := inc(int64(i + 1)); got != int64(i+1) {
			t.Fatalf("counter %d is %d", i, got)
		}
	}
	s.IncRebalanceTime(100)
	s.IncSpillTime(200)
	if got := s.IncWriteTime(300); got != 300 {
		t.Fatalf("write time %d", got)
	}
	old := s
	s.IncPageCount(10)
	s.IncWriteTime(1)
	diff := s.Sub(&old)
	if diff.GetPageCount() != 10 || diff.GetWriteTime() != 1 || diff.GetSplit() != 0 {
		t.Fatalf("the difference is %+v", diff)
	}
	for i, got := range []int64{
		s.GetPageCount() - 10, s.GetPageAlloc(), s.GetCursorCount(), s.GetNodeCount(),
		s.GetNodeDeref(), s.GetRebalance(), s.GetSplit(), s.GetSpill(), s.GetWrite(),
	} {
		if got != int64(i+1) {
			t.Fatalf("counter %d is %d", i, got)
		}
	}
	if s.GetRebalanceTime() != 100 || s.GetSpillTime() != 200 {
		t.Fatalf("times are %d and %d", s.GetRebalanceTime(), s.GetSpillTime())
	}
}

func TestInfo(t *testing.T) {
	db := openDB(t)
	info := db.Info()
	if info.PageSize < 4096 || info.Data == 0 {
		t.Fatalf("Info is %+v", *info)
	}
}

func TestPageInfo(t *testing.T) {
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		fill(t, b, 3000, 100)
		return b.Put([]byte("large"), value(1, 100_000))
	})
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		kinds := map[string]int{}
		pages := int(tx.Size()) / db.Info().PageSize
		for id := 0; id < pages; id++ {
			p, err := tx.Page(id)
			must(t, err)
			if p == nil || p.ID != id {
				t.Fatalf("page %d is described as %+v", id, p)
			}
			kinds[p.Type]++
			id += p.OverflowCount
		}
		if kinds["meta"] == 0 || kinds["leaf"] == 0 || kinds["branch"] == 0 {
			t.Fatalf("the kinds of pages are %v", kinds)
		}
		p, err := tx.Page(pages + 10)
		if err != nil || p != nil {
			t.Fatalf("a page behind the end is %+v, %v", p, err)
		}
		return nil
	})
}

func TestStructureJSON(t *testing.T) {
	s := mapleaf.BucketStructure{
		Name: "root", Children: []mapleaf.BucketStructure{{Name: "a", KeyN: 2}},
	}
	got, err := json.Marshal(s)
	must(t, err)
	want := `{"name":"root","keyN":0,"buckets":[{"name":"a","keyN":2}]}`
	if string(got) != want {
		t.Fatalf("the structure is %s, want %s", got, want)
	}
}

func TestCheckOptions(t *testing.T) {
	db := openDB(t, noSync)
	var root uint64
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 2000, 100)
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		root = uint64(tx.Bucket([]byte("b")).Root())
		for err := range tx.Check(mapleaf.WithKVStringer(mapleaf.HexKVStringer())) {
			t.Errorf("check: %v", err)
		}
		for err := range tx.Check(mapleaf.WithPageId(root)) {
			t.Errorf("check from page %d: %v", root, err)
		}
		return nil
	})
	s := mapleaf.HexKVStringer()
	if s.KeyToString([]byte{0, 255}) != "00ff" || s.ValueToString([]byte("a")) != "61" {
		t.Fatal("HexKVStringer is not hexadecimal")
	}
}
