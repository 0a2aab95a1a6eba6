package mapleaf_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// tornRecords fill so many pages that the list of what the commit wrote takes
// pages of its own.
const tornRecords = 12_000

// TestTornCommit damages the pages of the last commit in the file of a process
// that was killed, as a power cut would that lost some of them: the last commit
// is there as a whole, or not at all.
func TestTornCommit(t *testing.T) {
	t.Parallel()
	rng := dbtest.Rand(t, 0)
	content, kinds := tornFile(t)
	path := filepath.Join(t.TempDir(), "db")
	states := map[string]int{}
	for _, page := range slices.Sorted(maps.Keys(kinds)) {
		kind := kinds[page]
		for i, way := range damages {
			if way.name == "swapped" || // which damages older pages too
				kind != "manifest" && kind != "freelist" && (page+i)%23 > 0 {
				continue
			}
			file := way.apply(rng, bytes.Clone(content), page*4096, 4096)
			must(t, os.WriteFile(path, file, 0o600))
			state := tornState(t, path, fmt.Sprintf("%s page %d %s", kind, page, way.name))
			states[state]++
		}
	}
	if states["old"] < 20 || states["refused"] > 0 || kindCount(kinds, "manifest") == 0 {
		t.Fatalf("the states were %v, with %d pages of the manifest", states,
			kindCount(kinds, "manifest"))
	}
}

func kindCount(kinds map[int]string, kind string) (n int) {
	for _, k := range kinds {
		if k == kind {
			n++
		}
	}
	return n
}

// tornFile returns the file, and the kinds of the pages behind the metas.
func tornFile(t *testing.T) ([]byte, map[int]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
	must(t, err)
	defer db.Close()
	var first, last int64
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "state")
		fill(t, b, 50, 100)
		return b.Put([]byte("k"), []byte("old"))
	}))
	must(t, db.View(func(tx *mapleaf.Tx) error { first = tx.Size() >> 12; return nil }))
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "many"), tornRecords, 100)
		return tx.Bucket([]byte("state")).Put([]byte("k"), []byte("new"))
	}))
	kinds := map[int]string{}
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		last = tx.Size() >> 12
		for id := int(first); id < int(last); id++ {
			p, err := tx.Page(id)
			must(t, err)
			for i := range p.OverflowCount + 1 {
				kinds[id+i] = p.Type
			}
			id += p.OverflowCount
		}
		return nil
	}))
	content, err := os.ReadFile(path)
	must(t, err)
	return content[:last<<12], kinds
}

// tornState opens the file, and returns which state it is in, or that it is refused.
func tornState(t *testing.T, path, what string) string {
	t.Helper()
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
	if err != nil {
		if !isRefusal(err) {
			t.Fatalf("%s: Open returns %v", what, err)
		}
		return "refused"
	}
	var state string
	must(t, db.View(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("state"))
		state = string(b.Get([]byte("k")))
		wantGet(t, b, key8(49), string(value(49, 100)))
		many := tx.Bucket([]byte("many"))
		switch {
		case state == "new" && many != nil:
			wantFilled(t, many, tornRecords, 100)
		case state != "old" || many != nil:
			t.Fatalf("%s: the state is %q, and the last commit is there: %t", what, state, many != nil)
		}
		return nil
	}))
	dbtest.Check(t, db)
	must(t, db.Close())
	return state
}
