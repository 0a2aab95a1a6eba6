package mapleaf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// What the tests of salvage know of a file: what it holds, what it ever held, and what
// lies in which page.

// A place is a bucket by its names, written so that no two are alike: each is quoted and
// has a slash behind it.
type place string

func (p place) below(name []byte) place { return p + place(strconv.Quote(string(name))+"/") }

// record names the record of a key.
func (p place) record(key []byte) string { return string(p) + strconv.Quote(string(key)) }

// contents is what a database holds: records by place and key, and the sequence of each
// bucket by its place.
type contents struct {
	records map[string]string
	buckets map[place]uint64
}

func newContents() contents {
	return contents{map[string]string{}, map[place]uint64{}}
}

// readContents reads everything that a transaction sees.
func readContents(t *Tx) (contents, error) {
	c := newContents()
	var down func(b *Bucket, at place) error
	down = func(b *Bucket, at place) error {
		c.buckets[at] = b.Sequence()
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return down(b.Bucket(k), at.below(k))
			}
			c.records[at.record(k)] = string(v)
			return nil
		})
	}
	return c, down(t.Cursor().Bucket(), "")
}

// contentsAt opens the database at path and reads it.
func contentsAt(t *testing.T, path string) contents {
	t.Helper()
	db, err := Open(path, 0o600, &Options{ReadOnly: true, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	var c contents
	err = db.View(func(t *Tx) (err error) {
		for problem := range t.Check() {
			return problem
		}
		c, err = readContents(t)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	return c
}

// A specimen is a file to be damaged.
type specimen struct {
	name     string
	file     []byte
	pageSize int
	meta     *meta
	pages    contents // what the pages hold
	all      contents // with the log
	ever     map[string]map[string]bool
	changes  map[int][]string // records and places that a transaction has touched

	lost        map[tx.PageID]map[string]bool // the records that lie in a page
	lostBuckets map[tx.PageID][]place         // the buckets that are listed in a leaf
	heights     map[tx.PageID]int             // of nodes
}

// A scribe changes a database, and notes what.
type scribe struct {
	t    *testing.T
	rng  *rand.Rand
	tx   *Tx
	id   int
	spec *specimen
}

// bucket returns the bucket of these names, and creates it.
func (s *scribe) bucket(names ...string) *Bucket {
	b := s.tx.Cursor().Bucket()
	at := place("")
	for _, name := range names {
		var err error
		if b, err = b.CreateBucketIfNotExists([]byte(name)); err != nil {
			s.t.Fatal(err)
		}
		at = at.below([]byte(name))
		s.spec.changes[s.id] = append(s.spec.changes[s.id], string(at))
	}
	return b
}

func (s *scribe) put(b *Bucket, at place, key, value []byte) {
	if err := b.Put(key, value); err != nil {
		s.t.Fatal(err)
	}
	id := at.record(key)
	if s.spec.ever[id] == nil {
		s.spec.ever[id] = map[string]bool{}
	}
	s.spec.ever[id][string(value)] = true
	s.spec.changes[s.id] = append(s.spec.changes[s.id], id)
}

func (s *scribe) remove(b *Bucket, at place, key []byte) {
	if err := b.Delete(key); err != nil {
		s.t.Fatal(err)
	}
	s.spec.changes[s.id] = append(s.spec.changes[s.id], at.record(key))
}

// value returns random bytes, with the transaction in front.
func (s *scribe) value(size int) []byte {
	b := fmt.Appendf(nil, "%d:", s.id)
	for len(b) < size {
		b = append(b, byte(s.rng.Uint32()))
	}
	return b[:size]
}

// A crop is one kind of content: a bucket with up to count records.
type crop struct {
	names []string
	count int
	key   func(i int) []byte
	value func(s *scribe, i int) []byte
}

func textKey(i int) []byte { return fmt.Appendf(nil, "key-%06d", i*7919%100_000) }

var crops = []crop{
	{[]string{"fixed"}, 500, func(i int) []byte {
		return binary.BigEndian.AppendUint32(nil, uint32(i*31))
	}, func(s *scribe, _ int) []byte { return s.value(8) }},
	{[]string{"plain"}, 260, textKey, func(s *scribe, i int) []byte { return s.value(20 + i%180) }},
	{[]string{"paths"}, 160, func(i int) []byte {
		return fmt.Appendf(nil, "/usr/share/doc/of/some/package/%d/and/more/%d/", i%10, i)
	}, func(s *scribe, i int) []byte { return s.value(i % 60) }},
	{[]string{"long keys"}, 14, func(i int) []byte {
		return append(textKey(i), bytes.Repeat([]byte{byte(i)}, i%5*1300)...)
	}, func(s *scribe, i int) []byte { return s.value(i % 3 * 40) }},
	{[]string{"large"}, 10, textKey, func(s *scribe, i int) []byte { return s.value(i % 8 * 2900) }},
	{[]string{"outer", "kid"}, 150, textKey, func(s *scribe, i int) []byte { return s.value(80) }},
	{[]string{"outer", "kid", "deep", "deeper"}, 80, textKey,
		func(s *scribe, i int) []byte { return s.value(60) }},
	{[]string{"outer"}, 50, textKey, func(s *scribe, i int) []byte { return s.value(100) }},
	{[]string{"outer", "small"}, 4, textKey, func(s *scribe, i int) []byte { return s.value(9) }},
	{[]string{"tiny"}, 2, textKey, func(s *scribe, i int) []byte { return s.value(5) }},
}

// grow changes part of everything.
func (s *scribe) grow(part int) {
	for _, c := range crops {
		b := s.bucket(c.names...)
		at := place("")
		for _, name := range c.names {
			at = at.below([]byte(name))
		}
		if err := b.SetSequence(uint64(s.id)); err != nil {
			s.t.Fatal(err)
		}
		for i := range c.count {
			switch n := s.rng.IntN(part * 8); {
			case n < 6:
				s.put(b, at, c.key(i), c.value(s, i))
			case n == 6:
				s.remove(b, at, c.key(i))
			}
		}
	}
}

// bigTxs is how many transactions fill a specimen, before small ones follow.
const bigTxs = 4

// sow fills the database in a few transactions; small ones follow for the log. after is
// called behind each.
func (sp *specimen) sow(t *testing.T, db *DB, rng *rand.Rand, small int, after func(i int)) {
	t.Helper()
	for i := range bigTxs + small {
		err := db.Update(func(tx *Tx) error {
			s := &scribe{t, rng, tx, tx.ID(), sp}
			if i < bigTxs {
				s.grow(1 + i*i)
				return nil
			}
			c := crops[rng.IntN(len(crops))]
			b, at := s.bucket(c.names...), place("")
			for _, name := range c.names {
				at = at.below([]byte(name))
			}
			for range 1 + rng.IntN(6) {
				k := rng.IntN(c.count)
				if rng.IntN(5) == 0 {
					s.remove(b, at, c.key(k))
				} else {
					s.put(b, at, c.key(k), c.value(s, k))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			err := db.Update(func(tx *Tx) error {
				for name := range sp.ever {
					if strings.HasPrefix(name, string(place("").below([]byte("plain")))) {
						sp.changes[tx.ID()] = append(sp.changes[tx.ID()], name)
					}
				}
				return tx.DeleteBucket([]byte("plain"))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		after(i)
	}
}

// checkpointNow begins a checkpoint, and waits for its end.
func checkpointNow(t *testing.T, db *DB) {
	t.Helper()
	waitFor(t, "a checkpoint begins", db.store.tryCheckpoint)
	db.store.writing.Lock()
	defer db.store.writing.Unlock()
}

// A specimen is of one of these kinds: closed, or as a process leaves it that is killed,
// without a log; with one that has just begun; with one that goes on over a checkpoint; or
// while a checkpoint was under way, whose pages are there in part.
var specimenKinds = []string{"closed", "killed", "logged", "twice", "torn"}

// newSpecimen makes a file of that kind.
func newSpecimen(t *testing.T, kind string, pageSize int, salt uint64) *specimen {
	t.Helper()
	sp := &specimen{
		name: fmt.Sprintf("%s, pages of %d", kind, pageSize), pageSize: pageSize,
		ever: map[string]map[string]bool{}, changes: map[int][]string{},
		lost: map[tx.PageID]map[string]bool{}, lostBuckets: map[tx.PageID][]place{},
		heights: map[tx.PageID]int{},
	}
	dir := t.TempDir()
	o := &Options{PageSize: pageSize, LogSize: -1}
	small := 0
	if kind != "closed" && kind != "killed" {
		o = &Options{PageSize: pageSize, LogSize: 256 << 10, logAtOnce: true, idleAfter: 3 * time.Second}
		small = 12
	}
	db := mustOpen(t, filepath.Join(dir, "running.db"), o)
	sp.sow(t, db, testRand(t, salt), small, func(i int) {
		if small > 0 && i < bigTxs || kind != "logged" && i == bigTxs+small/2 {
			checkpointNow(t, db)
		}
	})
	path := filepath.Join(dir, "specimen.db")
	if kind == "closed" {
		mustClose(t, db)
	}
	copyFile(t, db.Path(), path)
	if kind == "torn" {
		checkpointNow(t, db)
		tear(t, path, db.Path(), pageSize)
	}
	mustClose(t, db)
	sp.load(t, path)
	if small == 0 && len(sp.pages.records) != len(sp.all.records) {
		t.Fatalf("%d records in the pages, %d in all", len(sp.pages.records), len(sp.all.records))
	}
	return sp
}

// tear brings the first pages that a checkpoint has changed from one file into the other,
// and leaves the metas as they are.
func tear(t *testing.T, path, later string, pageSize int) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(later)
	if err != nil {
		t.Fatal(err)
	}
	before = append(before, make([]byte, max(0, len(after)-len(before)))...)
	var changed []int
	for at := int(firstPage(pageSize)) * pageSize; at < len(after); at += pageSize {
		if !bytes.Equal(before[at:at+pageSize], after[at:at+pageSize]) {
			changed = append(changed, at)
		}
	}
	for _, at := range changed[:len(changed)*3/4] {
		copy(before[at:at+pageSize], after[at:])
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
}

// load reads the file at path, and what is in it.
func (sp *specimen) load(t *testing.T, path string) {
	t.Helper()
	var err error
	if sp.file, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	sp.all = contentsAt(t, path)
	sp.meta = readMeta(t, path, newestSlot(t, path))
	// What was preallocated behind the last page is of no interest.
	used := len(bytes.TrimRight(sp.file, "\x00"))
	used = max(used+sp.pageSize-1, int(sp.meta.hwm)*sp.pageSize) / sp.pageSize * sp.pageSize
	sp.file = sp.file[:min(used, len(sp.file))]
	sp.pages = newContents()
	sp.dissect(t, "", sp.meta.root)
}

// page returns the bytes of some pages.
func (sp *specimen) page(id tx.PageID, count uint32) []byte {
	return sp.file[int(id)*sp.pageSize : (int(id)+int(count))*sp.pageSize]
}

// extent returns the bytes of a long key or value, and notes whose they are.
func (sp *specimen) extent(p tx.Place) (b []byte, ids []tx.PageID) {
	shift := uint8(0)
	for 1<<shift < sp.pageSize {
		shift++
	}
	count := p.Pages(shift)
	for i := range count {
		ids = append(ids, p.Ref.ID+tx.PageID(i))
	}
	return sp.page(p.Ref.ID, count)[headerSize:][:p.Size], ids
}

// dissect walks the bucket at a place and notes what lies where.
func (sp *specimen) dissect(t *testing.T, at place, h tx.BucketHeader) {
	t.Helper()
	sp.pages.buckets[at] = h.Sequence
	if h.Root.ID != 0 {
		sp.dissectNode(t, at, h.Root.ID)
	}
}

func (sp *specimen) dissectNode(t *testing.T, at place, id tx.PageID) int {
	t.Helper()
	v, err := tx.ViewNode(sp.page(id, 1)[headerSize:])
	if err != nil {
		t.Fatal(err)
	}
	if !v.Branch() {
		sp.dissectLeaf(t, at, v, id)
		sp.heights[id] = 1
		return 1
	}
	for i := range v.Len() {
		ref, _ := v.Child(i)
		sp.heights[id] = 1 + sp.dissectNode(t, at, ref.ID)
	}
	return sp.heights[id]
}

func (sp *specimen) dissectLeaf(t *testing.T, at place, v tx.NodeView, id tx.PageID) {
	t.Helper()
	for i := range v.Len() {
		where := []tx.PageID{id}
		key, p := v.AppendKey(nil, i)
		if p.Ref.ID != 0 {
			b, ids := sp.extent(p)
			key, where = b, append(where, ids...)
		}
		r := v.Value(i)
		if r.Nested {
			kid := at.below(key)
			for _, page := range where {
				sp.lostBuckets[page] = append(sp.lostBuckets[page], kid)
			}
			sp.dissect(t, kid, r.Bucket)
			sp.dissectLeaf(t, kid, r.Inline, id)
			continue
		}
		value := r.Bytes
		if r.Long {
			b, ids := sp.extent(r.Place)
			value, where = b, append(where, ids...)
		}
		name := at.record(key)
		sp.pages.records[name] = string(value)
		for _, page := range where {
			if sp.lost[page] == nil {
				sp.lost[page] = map[string]bool{}
			}
			sp.lost[page][name] = true
		}
	}
}

// lostWithLog adds what transactions have touched whose records in the log lie in a page.
func (sp *specimen) lostWithLog(id tx.PageID, lost map[string]bool) {
	from, to := int64(id)*int64(sp.pageSize), int64(id+1)*int64(sp.pageSize)
	for _, x := range sp.meta.logs {
		off := int64(x.first) * int64(sp.pageSize)
		end := int64(x.end()) * int64(sp.pageSize)
		for off < end {
			r, ok := decodeRecord(sp.file[off:end], x.salt)
			if !ok {
				off += recordBlock
				continue
			}
			if off < to && off+r.size > from {
				for id := r.first; id <= r.last; id++ {
					for _, name := range sp.changes[int(id)] {
						lost[name] = true
					}
				}
			}
			off += blocks(r.size)
		}
	}
}

// under reports whether a record or bucket lies in one of the buckets.
func under(buckets []place, name string) (place, bool) {
	for _, b := range buckets {
		if strings.HasPrefix(name, string(b)) {
			return b, true
		}
	}
	return "", false
}

// unused reports whether no record lies in a page, and no node that leads to one.
func (sp *specimen) unused(id tx.PageID) bool {
	return sp.heights[id] == 0 && sp.lost[id] == nil
}
