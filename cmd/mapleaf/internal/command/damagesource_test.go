package command

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf"
)

// The files that are damaged: how they are made and left, and the ways of damage.

// metaDistance is where the second meta begins, after the first one.
const metaDistance = 16384

// A damageSource is a file to be damaged, with its kin.
type damageSource struct {
	pageSize int
	content  []byte
	older    [][]byte // the same file after earlier transactions
	other    []byte   // another file, of the same shape
	changed  []int    // the metas, and the pages that the last transactions have written
	late     int      // records that only the redo log has
}

// page returns the bytes of a page of a file, none if it has no such page.
func (s *damageSource) page(file []byte, id int) []byte {
	return file[min(len(file), id*s.pageSize):min(len(file), (id+1)*s.pageSize)]
}

// anyPage chooses a page: half of the time a meta, or one that was written last, which is
// a record of the log or a page of the newest state.
func (s *damageSource) anyPage(r *rand.Rand) int {
	if r.IntN(2) == 0 {
		return s.changed[r.IntN(len(s.changed))]
	}
	return r.IntN(len(s.content) / s.pageSize)
}

// damageWays change a file at a page, or return another one.
var damageWays = []struct {
	name  string
	apply func(s *damageSource, r *rand.Rand, file []byte, id int) []byte
}{
	{"bit", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		s.page(file, id)[r.IntN(s.pageSize)] ^= 1 << r.IntN(8)
		return file
	}},
	{"byte", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		s.page(file, id)[r.IntN(s.pageSize)] = byte(r.Uint32())
		return file
	}},
	{"word", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		words := []uint32{0, 1, 7, 8, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, r.Uint32()}
		at := r.IntN([]int{16, s.pageSize / 4}[r.IntN(2)]) * 4
		binary.LittleEndian.PutUint32(s.page(file, id)[at:], words[r.IntN(len(words))])
		return file
	}},
	{"header field", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		s.page(file, id)[r.IntN(64)] += byte(1 + r.IntN(255))
		return file
	}},
	{"zeroed sector", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		clear(s.page(file, id)[r.IntN(s.pageSize/512)*512:][:512])
		return file
	}},
	{"zeroed page", func(s *damageSource, _ *rand.Rand, file []byte, id int) []byte {
		clear(s.page(file, id))
		return file
	}},
	{"garbage", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		for i := range s.page(file, id) {
			s.page(file, id)[i] = byte(r.Uint32())
		}
		return file
	}},
	{"swapped pages", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		other := s.anyPage(r)
		copy(s.page(file, id), s.page(s.content, other))
		copy(s.page(file, other), s.page(s.content, id))
		return file
	}},
	{"doubled page", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		copy(s.page(file, id), s.page(file, s.anyPage(r)))
		return file
	}},
	{"older page", func(s *damageSource, r *rand.Rand, file []byte, id int) []byte {
		copy(s.page(file, id), s.page(s.older[r.IntN(len(s.older))], id))
		return file
	}},
	{"page of another file", func(s *damageSource, _ *rand.Rand, file []byte, id int) []byte {
		copy(s.page(file, id), s.page(s.other, id))
		return file
	}},
	{"cut", func(s *damageSource, r *rand.Rand, file []byte, _ int) []byte {
		return file[:1+r.IntN(len(file)-1)]
	}},
}

// damage returns a copy of the file, damaged in the given way.
func (s *damageSource) damage(r *rand.Rand, way int) []byte {
	return damageWays[way].apply(s, r, bytes.Clone(s.content), s.anyPage(r))
}

// A damageKind says how a file is made and left.
type damageKind struct {
	pageSize int
	killed   bool // as a process leaves it that is killed, else after Close
	late     int  // killed with so many records in the redo log
}

var damageKinds = []damageKind{
	{pageSize: 4096}, {pageSize: 16384, killed: true}, {pageSize: 4096, killed: true, late: 12},
	{pageSize: 16384}, {pageSize: 4096, killed: true},
}

// newDamageSource makes a file with 1500 records in a/b, long values beside it and free
// pages, and its kin.
func newDamageSource(t *testing.T, kind damageKind) *damageSource {
	t.Helper()
	s := &damageSource{pageSize: kind.pageSize, late: kind.late}
	s.other, _ = damageContent(t, kind, "another file's")
	s.content, s.older = damageContent(t, kind, "number")
	for range 4 {
		if s.late == 0 || s.onlyInLog(t) {
			break
		}
		s.content, s.older = damageContent(t, kind, "number") // it was idle for seconds
	}
	s.changed = []int{0, metaDistance / s.pageSize}
	before := s.older[min(3, len(s.older)-1)]
	for id := range len(s.content) / s.pageSize {
		if !bytes.Equal(s.page(s.content, id), s.page(before, id)) {
			s.changed = append(s.changed, id)
		}
	}
	if len(s.changed) < max(4, s.late) || s.late > 0 && !s.onlyInLog(t) {
		t.Fatalf("with %d late records, the last transactions have changed the pages %v", s.late,
			s.changed)
	}
	file := s.write(t)
	must(t, "", "check", file)
	if out := must(t, "", "scan", file, "--bucket", "a/b"); out != damageLines(s.late, nil) {
		t.Fatalf("a/b holds %.200q", out)
	}
	return s
}

// newDamageSources makes a source of each kind. A trial takes the next source and the next
// way, and so comes to every pair if there are as many as have no divisor in common.
func newDamageSources(t *testing.T, kinds []damageKind) (sources []*damageSource) {
	t.Helper()
	for _, kind := range kinds {
		sources = append(sources, newDamageSource(t, kind))
	}
	return sources
}

// write writes the file as it was made.
func (s *damageSource) write(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(file, s.content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// onlyInLog reports whether no page has any of the late records.
func (s *damageSource) onlyInLog(t *testing.T) bool {
	t.Helper()
	file := s.write(t)
	dropped := file + ".dropped"
	must(t, "", "surgery", "drop-log", file, dropped)
	return !strings.Contains(must(t, "", "scan", dropped, "--bucket", "a/b"), "late")
}

// damageRecords puts the 1500 records, whose values contain word.
func damageRecords(word string) func(b *mapleaf.Bucket) error {
	return func(b *mapleaf.Bucket) error {
		for i := range 1500 {
			key, value := fmt.Sprintf("key %04d", i), fmt.Sprintf("the value of %s %04d", word, i)
			if err := b.Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}
}

// damageContent returns a file and what it was after earlier transactions.
func damageContent(t *testing.T, kind damageKind, word string) (content []byte, older [][]byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	o := &mapleaf.Options{PageSize: kind.pageSize, NoSync: true, LogSize: -1}
	if kind.late > 0 { // with Lazy, the log begins at once
		o = &mapleaf.Options{PageSize: kind.pageSize, Lazy: true, LogSize: 64 << 10}
	}
	db, err := mapleaf.Open(file, 0o600, o)
	if err != nil {
		t.Fatal(err)
	}
	changes := []func(b *mapleaf.Bucket) error{
		damageRecords("old"), damageRecords(word),
		func(b *mapleaf.Bucket) error {
			return b.Put([]byte("gone"), bytes.Repeat([]byte("gone"), 25_000))
		},
		func(b *mapleaf.Bucket) error { return b.Delete([]byte("gone")) },
	}
	for i := range kind.late {
		changes = append(changes, func(b *mapleaf.Bucket) error {
			return b.Put(fmt.Appendf(nil, "late %02d", i), fmt.Appendf(nil, "late %s %02d", word, i))
		})
	}
	for i, change := range changes {
		err := db.Update(func(tx *mapleaf.Tx) error { return damageChange(tx, i, change) })
		if err == nil && kind.late > 0 {
			err = db.Sync() // so that the next record calls this one durable
		}
		if err != nil {
			t.Fatal(err)
		}
		if i < min(4, len(changes)-1) || i == 9 {
			older = append(older, damagePages(t, file, kind.pageSize))
		}
	}
	if kind.killed {
		content = damagePages(t, file, kind.pageSize)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if !kind.killed {
		content = damagePages(t, file, kind.pageSize)
	}
	return content, older
}

// damageChange makes a change to a/b, and with the first ones to a bucket beside it.
func damageChange(tx *mapleaf.Tx, i int, change func(b *mapleaf.Bucket) error) error {
	if i < 4 {
		long, err := makeBucket(tx, bucketPath{[]byte("a"), []byte("long")})
		if err != nil {
			return err
		}
		err = long.Put(fmt.Append(nil, tx.ID()), bytes.Repeat([]byte("long"), 10_000))
		if err != nil {
			return err
		}
	}
	b, err := makeBucket(tx, bucketPath{[]byte("a"), []byte("b")})
	if err != nil {
		return err
	}
	return change(b)
}

// damagePages returns the pages of a file without what is set aside behind the last one.
func damagePages(t *testing.T, file string, pageSize int) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content = bytes.TrimRight(content, "\x00")
	return append(content, make([]byte, -len(content)&(pageSize-1))...)
}
