package mapleaf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
	"github.com/mapleafdb/mapleaf/internal/hostile"
)

// Hostile files (package hostile) under everything that the API has: whatever is called
// returns, with data or with an error of a known type, and without a panic, a hang, or
// memory beyond a bound.

func TestHostileFiles(t *testing.T) {
	r := dbtest.Rand(t, 21)
	var specimens []*specimen
	for _, name := range []string{"closed", "killed", "logged", "holes", "manifest"} {
		specimens = append(specimens, newSpecimen(t, name, 0))
	}
	tallies := map[string]*tally{}
	for trial := range *damageTrials / 2 {
		s := specimens[trial%len(specimens)]
		way := hostile.Ways[trial/len(specimens)%len(hostile.Ways)]
		file := way.Make(r, s.content)
		what := fmt.Sprintf("trial %d of seed %d: %s, %s", trial, dbtest.Seed(), s.name, way.Name)
		timed(what, func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panic: %v", what, p)
				}
			}()
			useFile(t, file, false)
		})
		if tallies[way.Name] == nil {
			tallies[way.Name] = &tally{}
		}
		tallies[way.Name].outcome(t, file)
		if t.Failed() {
			kept := filepath.Join(os.TempDir(), "mapleaf-hostile.db")
			must(t, os.WriteFile(kept, file, 0o600))
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
	h := hostile.New(nil, readPages(t, path, 4096))
	for _, at := range h.Refs {
		if int(binary.LittleEndian.Uint32(h.Bytes[at:])) == roots[2] {
			h.Point(at, roots[2-levels])
		}
	}
	hostile.Reseal(h.Bytes)
	must(t, os.WriteFile(path, h.Bytes, 0o600))
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

// Values that share an extent are one problem each, not one for each page of it: a file
// of some megabytes would have millions of them.
func TestValuesThatShareExtent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
	must(t, err)
	const count, small, large = 200, 5000, 400_000
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		for i := range count {
			must(t, b.Put([]byte(key8(i)), value(i, small)))
		}
		return b.Put([]byte("large"), value(count, large))
	}))
	must(t, db.Close())
	h := hostile.New(nil, readPages(t, path, 4096))
	le := binary.LittleEndian
	for _, from := range h.Refs {
		if le.Uint32(h.Bytes[from+8:]) != large { // a reference to a value ends with its size
			continue
		}
		for _, to := range h.Refs {
			if le.Uint32(h.Bytes[to+8:]) == small {
				copy(h.Bytes[to:], h.Bytes[from:from+12])
			}
		}
	}
	hostile.Reseal(h.Bytes)
	must(t, os.WriteFile(path, h.Bytes, 0o600))
	db, err = mapleaf.Open(path, 0o600, &mapleaf.Options{ReadOnly: true})
	must(t, err)
	twice, others := 0, 0
	must(t, db.View(func(tx *mapleaf.Tx) error {
		for problem := range tx.Check() {
			if strings.Contains(problem.Error(), "in use twice") {
				twice++
			} else {
				others++
			}
		}
		return nil
	}))
	must(t, db.Close())
	if twice < count/2 || twice > count || others > count {
		t.Errorf("of %d values, %d share pages, and there are %d other problems", count, twice, others)
	}
}
