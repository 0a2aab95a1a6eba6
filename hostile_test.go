package mapleaf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// Hostile files: somebody who knows the format changes what pages say and makes every
// checksum right again. Such a file can hold any data, so what it gives is not compared;
// but whatever is called with it returns, with data or with an error of a known type,
// and without a panic, a hang, or memory beyond a bound.

// A hostileWay changes a file, of which the pages are listed that refer to others.
type hostileWay struct {
	name  string
	apply func(h *hostile)
}

type hostile struct {
	r    *rand.Rand
	file []byte
	refs []int // offsets of references: u32 id, u32 stamp of an existing page
}

// newHostile finds the references in a file.
func newHostile(r *rand.Rand, content []byte) *hostile {
	h := &hostile{r: r, file: bytes.Clone(content)}
	le := binary.LittleEndian
	for at := 32768 + 32; at+8 <= len(h.file); at += 2 {
		id := int(le.Uint32(h.file[at:])) // negative where an int has 32 bits
		if id < 8 || id >= len(h.file)>>12 || at&4095 < 32 || at&4095 > 4088 {
			continue
		}
		if p := h.file[id<<12:]; le.Uint32(p[8:]) == uint32(id) &&
			le.Uint32(p[16:]) == le.Uint32(h.file[at+4:]) && le.Uint32(p[16:]) != 0 {
			h.refs = append(h.refs, at)
		}
	}
	return h
}

// point makes a reference lead to another page, with the stamp that is right there.
func (h *hostile) point(at, id int) {
	le := binary.LittleEndian
	le.PutUint32(h.file[at:], uint32(id))
	le.PutUint32(h.file[at+4:], le.Uint32(h.file[id<<12+16:]))
}

// records returns where the records of the log begin that the metas name.
func (h *hostile) records() (all []int) {
	le := binary.LittleEndian
	for _, at := range []int{104, 128, 16384 + 104, 16384 + 128} {
		first := int(le.Uint32(h.file[at:]))
		for id := first; id < first+int(le.Uint32(h.file[at+4:])) && (id+1)<<12 <= len(h.file); id++ {
			if le.Uint32(h.file[id<<12+8:]) >= 48 {
				all = append(all, id<<12)
			}
		}
	}
	return all
}

func (h *hostile) ref() int  { return h.refs[h.r.IntN(len(h.refs))] }
func (h *hostile) page() int { return 8 + h.r.IntN(len(h.file)>>12-8) }

// word puts a value of which bounds are often checked badly.
func (h *hostile) word(at int) {
	words := []uint32{0, 1, 2, 7, 8, 0xffff, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	switch h.r.IntN(3) {
	case 0:
		binary.LittleEndian.PutUint16(h.file[at:], uint16(words[h.r.IntN(len(words))]))
	case 1:
		binary.LittleEndian.PutUint32(h.file[at:], words[h.r.IntN(len(words))])
	default:
		h.file[at] += byte(h.r.IntN(5)) - 2
	}
}

var hostileWays = []hostileWay{
	{"cycle", func(h *hostile) { // a page that leads to itself
		at := h.ref()
		h.point(at, at>>12)
	}},
	{"shared page", func(h *hostile) { // two references to one page
		from := h.ref()
		copy(h.file[h.ref():], h.file[from:from+8])
	}},
	{"other kind", func(h *hostile) { h.point(h.ref(), h.page()) }},
	{"root", func(h *hostile) { // of everything: another page of the file
		id := h.page()
		for _, slot := range []int{0, 16384} {
			h.point(slot+40, id)
		}
	}},
	{"extent length", func(h *hostile) { h.word(h.page()<<12 + 12) }},
	{"page header", func(h *hostile) { h.word(h.page()<<12 + 8 + h.r.IntN(16)) }},
	{"node header", func(h *hostile) { h.word(h.page()<<12 + 32 + h.r.IntN(12)) }},
	{"cells", func(h *hostile) {
		for page := h.page(); h.r.IntN(4) > 0; {
			h.word(page<<12 + 44 + h.r.IntN(100)) // heads, offsets, children
			h.word(page<<12 + 44 + h.r.IntN(4000))
		}
	}},
	{"meta", func(h *hostile) {
		at := h.r.IntN(160)
		h.word(at)
		copy(h.file[16384:], h.file[:168])
	}},
	{"log", func(h *hostile) {
		if records := h.records(); len(records) > 0 {
			for range 1 + h.r.IntN(3) {
				h.word(records[h.r.IntN(len(records))] + 8 + h.r.IntN(150))
			}
		}
	}},
	{"count below", func(h *hostile) { // the number of records below a child
		at := h.ref()
		binary.LittleEndian.PutUint64(h.file[at+8:], h.r.Uint64()>>h.r.IntN(64))
	}},
}

func TestHostileFiles(t *testing.T) {
	r := dbtest.Rand(t, 21)
	var specimens []*specimen
	for _, name := range []string{"closed", "killed", "logged", "holes", "manifest"} {
		specimens = append(specimens, newSpecimen(t, name, 0))
	}
	tallies := map[string]*tally{}
	for trial := range *damageTrials / 2 {
		s := specimens[trial%len(specimens)]
		way := hostileWays[trial/len(specimens)%len(hostileWays)]
		h := newHostile(r, s.content)
		way.apply(h)
		reseal(h.file)
		what := fmt.Sprintf("trial %d of seed %d: %s, %s", trial, dbtest.Seed(), s.name, way.name)
		timed(what, func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panic: %v", what, p)
				}
			}()
			useFile(t, h.file, false)
		})
		if tallies[way.name] == nil {
			tallies[way.name] = &tally{}
		}
		tallies[way.name].outcome(t, h.file)
		if t.Failed() {
			kept := filepath.Join(os.TempDir(), "mapleaf-hostile.db")
			must(t, os.WriteFile(kept, h.file, 0o600))
			t.Fatalf("%s: the file is kept at %s", what, kept)
		}
	}
	logTallies(t, tallies)
}

// outcome opens and checks the file.
func (n *tally) outcome(t *testing.T, file []byte) {
	t.Helper()
	n.trials++
	path := filepath.Join(t.TempDir(), "db")
	must(t, os.WriteFile(path, file, 0o600))
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{ReadOnly: true})
	if err != nil {
		n.refused++
		return
	}
	found := 0
	err = db.View(func(tx *mapleaf.Tx) error {
		for range tx.Check() {
			found++
		}
		return nil
	})
	if found > 0 || err != nil {
		n.damage++
	} else {
		n.right++
	}
	must(t, db.Close())
}

// A record of the log that claims everything, with a checksum that is right.
func TestHostileLog(t *testing.T) {
	s := newSpecimen(t, "logged", 0)
	at := logAt(s.content)
	le := binary.LittleEndian
	slot := s.content
	if le.Uint64(slot[16384+16:]) > le.Uint64(slot[16:]) {
		slot = slot[16384:]
	}
	salt := le.Uint64(slot[112:])
	for i, ops := range [][]byte{
		nil, {0}, bytes.Repeat([]byte{0xff}, 300), {0xff, 0xff, 0xff, 0xff, 0x0f},
		append([]byte{3}, "abc"...), bytes.Repeat([]byte{2, 1, 0}, 100),
	} {
		for _, first := range []uint64{0, 1, le.Uint64(slot[16:]) + 1, 1<<64 - 1} {
			file := bytes.Clone(s.content)
			record := file[at:][:48+len(ops)]
			le.PutUint32(record[8:], uint32(len(record)))
			le.PutUint64(record[16:], first)
			le.PutUint64(record[24:], first+uint64(i))
			le.PutUint64(record[32:], []uint64{0, first, 1 << 63}[i%3])
			copy(record[48:], ops)
			sum := xxhash.NewWithSeed(salt)
			_, _ = sum.Write(record[8:])
			le.PutUint64(record, sum.Sum64())
			t.Run(fmt.Sprint(i, " ", first), func(t *testing.T) { useFile(t, file, false) })
		}
	}
}

// circle makes a database with bucket a, b in it and c in that, and lets c lead to the
// bucket that is so many levels above it.
func circle(t *testing.T, levels int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
	must(t, err)
	var roots []int
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "a")
		fill(t, b, 300, 100)
		for _, name := range []string{"b", "c"} {
			b = mustBucket(t, b, name)
			fill(t, b, 300, 100)
		}
		return nil
	}))
	must(t, db.View(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("a"))
		for _, name := range []string{"b", "c"} {
			roots = append(roots, int(b.Root()))
			b = b.Bucket([]byte(name))
		}
		roots = append(roots, int(b.Root()))
		return nil
	}))
	must(t, db.Close())
	h := newHostile(nil, readPages(t, path, 4096))
	for _, at := range h.refs {
		if int(binary.LittleEndian.Uint32(h.file[at:])) == roots[2] {
			h.point(at, roots[2-levels])
		}
	}
	reseal(h.file)
	must(t, os.WriteFile(path, h.file, 0o600))
	return path
}

// Buckets that are nested in a circle end no process: whoever walks them is told.
func TestBucketsInCircle(t *testing.T) {
	for _, levels := range []int{1, 2} {
		path := circle(t, levels)
		db, err := mapleaf.Open(path, 0o600, nil)
		must(t, err)
		wantErr(t, "inspect", db.View(func(tx *mapleaf.Tx) error {
			tx.Inspect()
			return nil
		}), mapleaf.ErrCorrupt)
		wantErr(t, "stats", db.View(func(tx *mapleaf.Tx) error {
			tx.Bucket([]byte("a")).Stats()
			return nil
		}), mapleaf.ErrCorrupt)
		wantErr(t, "walk", db.View(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("a")).Bucket([]byte("b"))
			for i := 0; b != nil; i++ { // c leads to b, or to a
				b = b.Bucket([]byte([][]string{{"c"}, {"c", "b"}}[levels-1][i%levels]))
			}
			return tx.Err()
		}), mapleaf.ErrCorrupt)
		wantErr(t, "delete", db.Update(func(tx *mapleaf.Tx) error {
			return tx.DeleteBucket([]byte("a"))
		}), mapleaf.ErrCorrupt)
		dst := openDB(t, noSync)
		wantErr(t, "compact", mapleaf.Compact(dst.DB, db, 1<<20), mapleaf.ErrCorrupt)
		must(t, db.Close())
	}
}
