package mapleaf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	mapleaf "github.com/mapleafdb/mapleaf"
)

// The files that the damage campaign damages. Together they have pages of every kind.

// A recipe tells what is special about a specimen.
type recipe struct {
	page     int  // bytes
	closed   bool // else it is left by a process that was killed
	logged   bool
	nested   bool // buckets are in buckets, inline and with pages of their own
	holes    bool // so much is free, and so scattered, that one link cannot tell of it
	manifest bool // the newest commit wrote more than its meta can name
}

var recipes = map[string]recipe{
	"closed":   {page: 4096, closed: true},
	"killed":   {page: 4096},
	"logged":   {page: 4096, logged: true},
	"nested":   {page: 16384, nested: true},
	"holes":    {page: 4096, closed: true, nested: true, holes: true},
	"manifest": {page: 4096, manifest: true},
}

// campaignNames are the names of the recipes, in the order of the trials.
var campaignNames = []string{"closed", "killed", "logged", "nested", "holes", "manifest"}

// A specimen is a file to be damaged, with what it held before, and its kin.
type specimen struct {
	damageable
	recipe
	name  string
	older [][]byte // the same file after earlier transactions
	other []byte   // a file with another id, made by the same steps
	used  []bool   // by page: reached by the newest state, and by the one before
	log   [][2]int // where records of the log begin and end: those after the meta but the last
	kinds []string // by page
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
	s := &specimen{name: name, recipe: recipes[name]}
	path := filepath.Join(t.TempDir(), "db")
	o := &mapleaf.Options{NoSync: !s.logged, PageSize: s.recipe.page} // epochs of a log are small
	if o.LogSize = -1; s.logged {
		mapleaf.WithLog(o)
	}
	db, err := mapleaf.Open(path, 0o600, o)
	must(t, err)
	s.pageSize, s.buckets = db.Info().PageSize, map[string][]pair{}
	for round := range 3 { // each fills up what those before have begun
		s.fillRound(t, db, round, salt)
		s.older = append(s.older, s.readAll(t, path))
	}
	if s.nested {
		s.nest(t, db, salt)
	}
	if s.holes {
		s.dig(t, db, salt)
	}
	if !s.logged {
		s.scatter(t, db, salt)
	}
	last := damageBuckets[len(campaignCounts)].name
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		mustBucket(t, tx, "gone")
		return mustBucket(t, tx, last).Put([]byte("k"), []byte("v"))
	}))
	s.buckets[last] = []pair{{key: "k", value: "v"}}
	if s.logged {
		s.scatter(t, db, salt)
	}
	s.finish(t, db, path)
	return s
}

// fillRound puts the records of one of three rounds, bucket by bucket.
func (s *specimen) fillRound(t *testing.T, db *mapleaf.DB, round, salt int) {
	t.Helper()
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
		s.add(bucket, all)
	}
}

// add notes what a bucket holds.
func (s *specimen) add(path string, all []pair) {
	slices.SortFunc(all, func(p, q pair) int { return strings.Compare(p.key, q.key) })
	s.buckets[path] = all
}

// nest makes buckets in buckets. Whatever holds others comes after them in s.more, so
// that all of them are deleted one by one.
func (s *specimen) nest(t *testing.T, db *mapleaf.DB, salt int) {
	t.Helper()
	for _, b := range []struct {
		path        string
		count, size int
		kids        []string
	}{
		{"nest/sub/under", 150, 300, nil},
		{"nest/sub", 40, 3000, []string{"under"}},
		{"nest/tiny", 4, 10, nil}, // inline
		{"nest", 200, 100, []string{"sub", "tiny"}},
	} {
		all := []pair{}
		must(t, db.Update(func(tx *mapleaf.Tx) error {
			to, err := createAt(tx, b.path)
			must(t, err)
			for i := range b.count {
				p := pair{key: key8(i), value: string(value(i+salt, b.size+i))}
				all = append(all, p)
				put(t, to, p.key, p.value)
			}
			return nil
		}))
		for _, kid := range b.kids {
			all = append(all, pair{key: kid, bucket: true})
		}
		s.more = append(s.more, b.path)
		s.add(b.path, all)
	}
}

// dig frees every other one of many pages.
func (s *specimen) dig(t *testing.T, db *mapleaf.DB, salt int) {
	t.Helper()
	all := []pair{}
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "holes")
		for i := range 360 {
			put(t, b, key8(i), string(value(i+salt, 3000)))
		}
		return nil
	}))
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("holes"))
		for i := range 360 {
			if i%2 == 0 {
				must(t, b.Delete([]byte(key8(i))))
				continue
			}
			all = append(all, pair{key: key8(i), value: string(value(i+salt, 3000))})
		}
		return nil
	}))
	s.more = append(s.more, "holes")
	s.add("holes", all)
}

// finish makes the last commit and reads the file.
func (s *specimen) finish(t *testing.T, db *mapleaf.DB, path string) {
	t.Helper()
	before := s.reached(t, db, path)
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		if s.manifest {
			fill(t, mustBucket(t, tx, "last"), 260, 3000)
		}
		return tx.DeleteBucket([]byte("gone"))
	}))
	s.used = s.reached(t, db, path)
	if s.logged {
		s.used = nil // what the log changes has other pages when it is replayed
	}
	if !s.closed {
		for id := range s.used { // what the last commit wrote may be lost with it
			s.used[id] = s.used[id] && id < len(before) && before[id]
		}
		s.content = s.readAll(t, path)
		s.kinds = s.pageKinds(t, db)
		s.log = neededRecords(s.content)
	}
	must(t, db.Close())
	if s.closed {
		s.content = s.readAll(t, path)
		db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{ReadOnly: true})
		must(t, err)
		s.kinds = s.pageKinds(t, db)
		must(t, db.Close())
	}
	inUse := 0
	for _, used := range s.used {
		if used {
			inUse++
		}
	}
	if !s.logged && inUse < 40 || s.logged && len(s.log) < 4 {
		t.Fatalf("only %d of %d pages, and %d records of the log, are known to be in use", inUse,
			len(s.kinds), len(s.log))
	}
	for _, id := range chainOf(s.content, s.pageSize) {
		if s.kinds[id] != "freelist" {
			t.Fatalf("page %d of the free-space chain is called %s", id, s.kinds[id])
		}
	}
}

// neededRecords returns where the records of the log lie that the newest meta stands on,
// all but the last one: what is missing there may have been torn by a crash.
func neededRecords(file []byte) (spans [][2]int) {
	le := binary.LittleEndian
	slot := file
	if le.Uint64(file[16384+16:]) > le.Uint64(file[16:]) {
		slot = file[16384:]
	}
	last, lastAt := uint64(0), 0
	for _, log := range [][]byte{slot[104:128], slot[128:152]} {
		first := int(le.Uint32(log))
		for id := first; id < first+int(le.Uint32(log[4:])) && (id+1)<<12 <= len(file); id++ {
			record := file[id<<12:]
			size := int(le.Uint32(record[8:]))
			if size < 48 || size > len(record) || le.Uint64(record[16:]) <= le.Uint64(slot[16:]) {
				continue
			}
			sum := xxhash.NewWithSeed(le.Uint64(log[8:]))
			_, _ = sum.Write(record[8:size])
			if sum.Sum64() != le.Uint64(record) {
				continue
			}
			if n := le.Uint64(record[16:]); n > last {
				last, lastAt = n, id<<12
			}
			spans = append(spans, [2]int{id << 12, id<<12 + size})
		}
	}
	return slices.DeleteFunc(spans, func(x [2]int) bool { return x[0] == lastAt })
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

// readAll returns the file without what was set aside behind its last page.
func (s *specimen) readAll(t *testing.T, path string) []byte {
	t.Helper()
	return readPages(t, path, s.pageSize)
}

// readPages returns the pages of a file without what was set aside behind the last one
// that is in use.
func readPages(t *testing.T, path string, pageSize int) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	size := len(bytes.TrimRight(b, "\x00"))
	size += -size & (pageSize - 1)
	for _, slot := range []int{0, 16384} {
		size = max(size, int(binary.LittleEndian.Uint32(b[slot+36:]))*pageSize)
	}
	return b[:min(size, len(b)):min(size, len(b))]
}

// pageKinds tells what each page of s.content is, as Tx.Page calls it.
func (s *specimen) pageKinds(t *testing.T, db *mapleaf.DB) []string {
	t.Helper()
	kinds := slices.Repeat([]string{"free"}, len(s.content)/s.pageSize)
	must(t, db.View(func(tx *mapleaf.Tx) error {
		for id := 0; id < min(int(tx.Size())/s.pageSize, len(kinds)); id++ {
			p, err := tx.Page(id)
			must(t, err)
			kinds[id] = p.Type
		}
		return nil
	}))
	le := binary.LittleEndian
	for _, at := range []int{104, 128, 16384 + 104, 16384 + 128} {
		first := int(le.Uint32(s.content[at:]))
		for id := first; id < min(first+int(le.Uint32(s.content[at+4:])), len(kinds)); id++ {
			kinds[id] = "log"
		}
	}
	return kinds
}

// pagesOf lists the pages of each kind.
func (s *specimen) pagesOf() map[string][]int {
	all := map[string][]int{}
	for id, kind := range s.kinds {
		all[kind] = append(all[kind], id)
	}
	return all
}

// reached tells of each page whether the newest state of the file reaches it, from the
// buckets or by the free-space chain.
func (s *specimen) reached(t *testing.T, db *mapleaf.DB, path string) (used []bool) {
	t.Helper()
	must(t, db.View(func(tx *mapleaf.Tx) error {
		for id := 0; id < int(tx.Size())/s.pageSize; id++ {
			p, err := tx.Page(id)
			must(t, err)
			kind := p.Type == "leaf" || p.Type == "branch" || p.Type == "extent"
			used = append(used, slices.Repeat([]bool{kind}, 1+p.OverflowCount)...)
			id += p.OverflowCount
		}
		return nil
	}))
	for _, id := range chainOf(s.readAll(t, path), s.pageSize) {
		used[id] = true
	}
	return used
}

// chainOf lists the pages of the free-space chain of the newest meta.
func chainOf(file []byte, pageSize int) (ids []int) {
	le := binary.LittleEndian
	slot := file
	if le.Uint64(file[16384+16:]) > le.Uint64(file[16:]) {
		slot = file[16384:]
	}
	id := int(le.Uint32(slot[64:]))
	for range le.Uint32(slot[72:]) {
		ids = append(ids, id)
		id = int(le.Uint32(file[id*pageSize+32:]))
	}
	return ids
}
