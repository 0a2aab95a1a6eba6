package mapleaf_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// The damage campaign: files of several kinds are damaged in every way, at random
// places of every kind of page, and everything is called. Each trial ends with the
// right data, or with an error of a type that tells of damage; and Check finds whatever
// is wrong with a page that the newest state reaches.
//
//	go test -run TestDamageCampaign . -v -args -damage 10000 -seed 7

var damageTrials = flag.Int("damage", 250, "trials of the damage campaign")

// A specimen is a file to be damaged, with what it held before, and its kin.
type specimen struct {
	damageable
	name  string
	older [][]byte // the same file after earlier transactions
	other []byte   // a file with another id, made by the same steps
	used  []bool   // by page: reached by the newest state, and by the one before
}

// campaignRecord is record i of a bucket, which differs from file to file.
func campaignRecord(bucket, i, salt int) (key, val string) {
	key = key8(i)
	switch bucket {
	case 0:
		return key[4:], fmt.Sprintf("%08d", i^salt)
	case 1:
		return key, string(value(i+salt, 5000*(i%4)))
	case 2:
		return key + string(value(i, 1000*(i%4))), fmt.Sprint(i + salt)
	}
	return key, string(value(i+salt, 20+i%300))
}

var campaignCounts = []int{700, 10, 24, 260}

// newSpecimen makes a file and its older versions.
func newSpecimen(t *testing.T, name string, salt int) *specimen {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	o := &mapleaf.Options{NoSync: name != "logged"} // which has small epochs
	if name == "logged" {
		mapleaf.WithLog(o)
	}
	db, err := mapleaf.Open(path, 0o600, o)
	must(t, err)
	s := &specimen{name: name}
	s.pageSize, s.buckets = db.Info().PageSize, map[string][]pair{}
	for round := range 3 { // each fills up what those before have begun
		for i, count := range campaignCounts {
			bucket := damageBuckets[i].name
			var all []pair
			must(t, db.Update(func(tx *mapleaf.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte(bucket))
				must(t, err)
				for j := range count {
					k, v := campaignRecord(i, j, salt)
					all = append(all, pair{key: k, value: v})
					if j%3 == round && !logged(i, j) {
						put(t, b, k, v)
					}
				}
				return nil
			}))
			slices.SortFunc(all, func(p, q pair) int { return strings.Compare(p.key, q.key) })
			s.buckets[bucket] = all
		}
		s.older = append(s.older, readAll(t, path))
	}
	if name != "logged" {
		s.scatter(t, db, salt)
	}
	last := damageBuckets[len(campaignCounts)].name
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		mustBucket(t, tx, "gone")
		return mustBucket(t, tx, last).Put([]byte("k"), []byte("v"))
	}))
	s.buckets[last] = []pair{{key: "k", value: "v"}}
	if name == "logged" {
		s.scatter(t, db, salt)
	}
	before := reachedPages(t, db)
	must(t, db.Update(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("gone")) }))
	if s.used = reachedPages(t, db); name == "logged" {
		h := newHostile(nil, readAll(t, path))
		if n := h.recordsAfterMeta(); n < 5 {
			t.Fatalf("only %d records of the log count", n)
		}
		s.used = nil // what the log changes has other pages when it is replayed
	}
	if name != "closed" {
		for id := range s.used { // what the last commit wrote may be lost with it
			s.used[id] = s.used[id] && id < len(before) && before[id]
		}
		s.content = readAll(t, path)
		must(t, db.Close())
		return s
	}
	must(t, db.Close())
	s.content = readAll(t, path)
	return s
}

// logged tells which records are put later by small transactions that change pages
// everywhere: where there is a log, they are in it.
func logged(bucket, i int) bool { return bucket != 1 && i%16 == 5 }

// scatter puts those records.
func (s *specimen) scatter(t *testing.T, db *mapleaf.DB, salt int) {
	t.Helper()
	for part := range 4 {
		must(t, db.Update(func(tx *mapleaf.Tx) error {
			for i, count := range campaignCounts {
				for j := range count {
					if k, v := campaignRecord(i, j, salt); logged(i, j) && j/16%4 == part {
						put(t, tx.Bucket([]byte(damageBuckets[i].name)), k, v)
					}
				}
			}
			return nil
		}))
	}
}

// readAll returns a file without what was set aside behind its last page.
func readAll(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	b = bytes.TrimRight(b, "\x00")
	return append(b, make([]byte, -len(b)&4095)...)
}

// reachedPages tells of each page whether the newest state of the file reaches it.
func reachedPages(t *testing.T, db *mapleaf.DB) (used []bool) {
	t.Helper()
	must(t, db.View(func(tx *mapleaf.Tx) error {
		for id := 0; id < int(tx.Size())/db.Info().PageSize; id++ {
			p, err := tx.Page(id)
			must(t, err)
			kind := p.Type == "leaf" || p.Type == "branch" || p.Type == "extent"
			used = append(used, slices.Repeat([]bool{kind}, 1+p.OverflowCount)...)
			id += p.OverflowCount
		}
		return nil
	}))
	return used
}

// A campaignWay damages a file, at a page or anywhere.
type campaignWay struct {
	name  string
	apply func(s *specimen, r *rand.Rand, file []byte, page int) []byte
}

// at returns the bytes of a page.
func (s *specimen) at(file []byte, page int) []byte {
	return file[page*s.pageSize : min(len(file), (page+1)*s.pageSize)]
}

// replace puts the page of another file in the place of this one's.
func (s *specimen) replace(file, from []byte, page int) []byte {
	if (page+1)*s.pageSize <= len(from) {
		copy(s.at(file, page), s.at(from, page))
	}
	return file
}

var campaignWays = []campaignWay{
	{"bit", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		s.at(file, page)[r.IntN(s.pageSize)] ^= 1 << r.IntN(8)
		return file
	}},
	{"byte", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		s.at(file, page)[r.IntN(s.pageSize)] = byte(r.Uint32())
		return file
	}},
	{"header field", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		s.at(file, page)[r.IntN(64)] += byte(1 + r.IntN(255))
		return file
	}},
	{"word", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		words := []uint32{0, 1, 7, 8, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, r.Uint32()}
		at := r.IntN(s.pageSize/4) * 4
		binary.LittleEndian.PutUint32(s.at(file, page)[at:], words[r.IntN(len(words))])
		return file
	}},
	{"zeroed sector", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		clear(s.at(file, page)[r.IntN(s.pageSize/512)*512:][:512])
		return file
	}},
	{"zeroed page", func(s *specimen, _ *rand.Rand, file []byte, page int) []byte {
		clear(s.at(file, page))
		return file
	}},
	{"garbage", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		for i := range s.at(file, page) {
			s.at(file, page)[i] = byte(r.Uint32())
		}
		return file
	}},
	{"swapped pages", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		other := r.IntN(len(file) / s.pageSize)
		kept := bytes.Clone(s.at(file, page))
		copy(s.at(file, page), s.at(file, other))
		copy(s.at(file, other), kept)
		return file
	}},
	{"doubled page", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		copy(s.at(file, page), s.at(file, r.IntN(len(file)/s.pageSize)))
		return file
	}},
	{"older page", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		return s.replace(file, s.older[r.IntN(len(s.older))], page)
	}},
	{"page of another file", func(s *specimen, _ *rand.Rand, file []byte, page int) []byte {
		return s.replace(file, s.other, page)
	}},
	{"cut", func(s *specimen, _ *rand.Rand, file []byte, page int) []byte {
		return file[:max(1, page)*s.pageSize] // an empty file is a new one
	}},
	{"cut within a page", func(s *specimen, r *rand.Rand, file []byte, page int) []byte {
		return file[:page*s.pageSize+1+r.IntN(s.pageSize-1)]
	}},
	{"garbage anywhere", func(s *specimen, r *rand.Rand, file []byte, _ int) []byte {
		for range 1 + r.IntN(20) {
			at := r.IntN(len(file) - 8)
			binary.LittleEndian.PutUint64(file[at:], r.Uint64())
		}
		return file
	}},
}

// A tally counts how the trials of one way have ended.
type tally struct{ trials, refused, damage, right int }

func TestDamageCampaign(t *testing.T) {
	r := dbtest.Rand(t, 20)
	var specimens []*specimen
	for _, name := range []string{"closed", "killed", "logged"} {
		s := newSpecimen(t, name, 0)
		s.other = newSpecimen(t, name, 1<<20).content
		specimens = append(specimens, s)
	}
	path := filepath.Join(t.TempDir(), "db")
	tallies := map[string]*tally{}
	for trial := range *damageTrials {
		s := specimens[trial%len(specimens)]
		way := campaignWays[trial/len(specimens)%len(campaignWays)]
		page := r.IntN(len(s.content) / s.pageSize)
		file := way.apply(s, r, bytes.Clone(s.content), page)
		must(t, os.WriteFile(path, file, 0o600))
		v := &victim{t: t, d: &s.damageable, path: path}
		v.what = fmt.Sprintf("trial %d: %s, %s at page %d", trial, s.name, way.name, page)
		if tallies[way.name] == nil {
			tallies[way.name] = &tally{}
		}
		tallies[way.name].add(v, s, file, trial%3 == 0)
		if t.Failed() {
			kept := filepath.Join(os.TempDir(), "mapleaf-damaged.db")
			must(t, os.WriteFile(kept, file, 0o600))
			t.Fatalf("the file is kept at %s", kept)
		}
	}
	logTallies(t, tallies)
}

// add makes the trial.
func (n *tally) add(v *victim, s *specimen, file []byte, write bool) {
	n.trials++
	v.read()
	switch {
	case v.refused:
		n.refused++
	case v.hurt:
		n.damage++
	default:
		n.right++
		if id, ok := s.touched(file); ok {
			v.t.Errorf("%s: page %d is in use and was changed, and nothing tells", v.what, id)
		}
	}
	if write {
		must(v.t, os.WriteFile(v.path, file, 0o600))
		v.write()
	}
}

// touched returns a page in use that the file does not have as it was.
func (s *specimen) touched(file []byte) (int, bool) {
	for id, used := range s.used {
		if end := (id + 1) * s.pageSize; used && end <= len(s.content) &&
			(end > len(file) || !bytes.Equal(s.at(file, id), s.at(s.content, id))) {
			return id, true
		}
	}
	return 0, false
}

func logTallies(t *testing.T, tallies map[string]*tally) {
	t.Helper()
	var table strings.Builder
	var all tally
	row := func(name string, n *tally) {
		fmt.Fprintf(&table, "%-24s %8d %8d %8d %8d\n", name, n.trials, n.refused, n.damage, n.right)
	}
	fmt.Fprintf(&table, "\n%-24s %8s %8s %8s %8s\n", "damage", "trials", "refused", "error", "right")
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		n := tallies[name]
		row(name, n)
		all.trials += n.trials
		all.refused += n.refused
		all.damage += n.damage
		all.right += n.right
	}
	row("all", &all)
	t.Log(table.String())
}
