package mapleaf

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// tall makes a closed file: three buckets, of which "tall" has three levels, and a small
// change at the end.
func tall(t *testing.T) *specimen {
	t.Helper()
	sp := &specimen{
		name: "tall", pageSize: 4096, changes: map[int][]string{}, ever: map[string]map[string]bool{},
		lost: map[tx.PageID]map[string]bool{}, lostBuckets: map[tx.PageID][]place{},
		heights: map[tx.PageID]int{},
	}
	path := tempPath(t)
	db := mustOpen(t, path, &Options{NoSync: true, LogSize: -1})
	rng := testRand(t, 8300)
	for i := range 3 {
		err := db.Update(func(tx *Tx) error {
			s := &scribe{t, rng, tx, tx.ID(), sp}
			for _, name := range []string{"tall", "wide", "still"} {
				b, at := s.bucket(name), place("").below([]byte(name))
				count := map[string]int{"tall": 9000, "wide": 500, "still": 300}[name]
				for k := range count {
					if i == 0 || i == 1 && k%700 == 3 && name != "still" || i == 2 && k == 7 && name == "wide" {
						s.put(b, at, fmt.Appendf(nil, "key %06d of %s", k*37%100_000, name), s.value(60))
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, db)
	sp.load(t, path)
	return sp
}

// A root whose leaf is destroyed is the worst that can happen to one page: the names of all
// buckets are gone. Older versions of it still tell them.
func TestSalvageNames(t *testing.T) {
	sp := tall(t)
	root := sp.meta.root.Root.ID
	file := bytes.Clone(sp.file)
	clear(file[int(root)*sp.pageSize:][:sp.pageSize])
	v := &verdict{sp: sp}
	v.got, v.report = sp.salvage(t, file, nil)
	if err := v.saved(); err != nil || len(v.report.Recovered) != 0 || len(v.report.Guesses) != 3 {
		t.Fatalf("%v\n%s", err, v.report.text())
	}
	if len(v.got.records) != len(sp.all.records) {
		t.Fatalf("%d records instead of %d", len(v.got.records), len(sp.all.records))
	}

	// Without guesses, the records are there, and the names are not.
	got, r := sp.salvage(t, file, &SalvageOptions{CertainOnly: true})
	if len(r.Recovered) != 3 || len(r.Guesses) != 0 || len(got.records) != len(sp.all.records) {
		t.Fatalf("%d records\n%s", len(got.records), r.text())
	}
	for at := range got.buckets {
		if at != "" && at[:11] != `"recovered-` {
			t.Errorf("there is a bucket %s", at)
		}
	}
}

// Where a branch between the root and the leaves is destroyed, the gap is known so well
// that nothing is a guess.
func TestSalvageBranches(t *testing.T) {
	sp := tall(t)
	branches := 0
	for id, height := range sp.heights {
		if height != 2 {
			continue
		}
		branches++
		file := bytes.Clone(sp.file)
		clear(file[int(id)*sp.pageSize:][:sp.pageSize])
		v := &verdict{sp: sp}
		v.got, v.report = sp.salvage(t, file, nil)
		if err := v.saved(); err != nil || len(v.got.records) != len(sp.all.records) {
			t.Fatalf("branch %d: %v, %d records\n%s", id, err, len(v.got.records), v.report.text())
		}
		bucketRoot := len(v.report.Guesses) > 0
		if !bucketRoot && !v.report.Complete() || v.report.Damaged.Branch != 1 {
			t.Fatalf("branch %d: the report is not sure\n%s", id, v.report.text())
		}
		if _, r := sp.salvage(t, file, &SalvageOptions{CertainOnly: true}); len(r.Guesses) != 0 ||
			!bucketRoot && !r.Complete() {
			t.Fatalf("branch %d: without guesses\n%s", id, r.text())
		}
	}
	if branches < 4 {
		t.Fatalf("there are only %d branches", branches)
	}
}

// Two branches of one tree, and a leaf below one of them, are destroyed: the other leaves
// come back to their places, and what is missing is counted.
func TestSalvageBranchAndLeaf(t *testing.T) {
	sp := tall(t)
	var branch tx.PageID
	for id, height := range sp.heights {
		if height == 2 && len(sp.kids(t, id)) > 20 && id > branch {
			branch = id
		}
	}
	leaf := sp.kids(t, branch)[5]
	file := bytes.Clone(sp.file)
	clear(file[int(branch)*sp.pageSize:][:sp.pageSize])
	clear(file[int(leaf)*sp.pageSize:][:sp.pageSize])
	v := &verdict{sp: sp, lost: sp.lost[leaf]}
	v.got, v.report = sp.salvage(t, file, nil)
	missing := uint64(0)
	for _, m := range v.report.Missing {
		missing += m.Records
	}
	if err := v.saved(); err != nil || missing != uint64(len(sp.lost[leaf])) ||
		len(v.got.records)+int(missing) != len(sp.all.records) || len(v.report.Recovered) > 0 {
		t.Fatalf("%v, %d are missing\n%s", err, missing, v.report.text())
	}
}

// kids returns the pages below a branch.
func (sp *specimen) kids(t *testing.T, id tx.PageID) (ids []tx.PageID) {
	t.Helper()
	v, err := tx.ViewNode(sp.page(id, 1)[headerSize:])
	if err != nil {
		t.Fatal(err)
	}
	v.Nodes(func(ref tx.Ref) { ids = append(ids, ref.ID) })
	return ids
}
