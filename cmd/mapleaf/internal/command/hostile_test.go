package command

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/hostile"
)

// Hostile files (package hostile) under every command that the program has: what they hold
// is not known, but each command ends, without a panic and without much memory, and an exit
// code that tells of a problem comes with words. What a command has written to, or made, is
// read again.
//
//	go test ./cmd/mapleaf/internal/command -run TestHostileCommands -args -hostile 500

// hostileTrials is as many by default as there are pairs of a kind and a way.
var hostileTrials = flag.Int("hostile", 33, "hostile files under every command")

// hostileKinds have pages of the size that package hostile knows.
var hostileKinds = []damageKind{
	{pageSize: 4096}, {pageSize: 4096, killed: true}, {pageSize: 4096, killed: true, late: 12},
}

func TestHostileCommands(t *testing.T) {
	sources := newDamageSources(t, hostileKinds)
	r := rand.New(rand.NewPCG(*damageSeed, 1))
	var n damageTally
	for trial := range *hostileTrials {
		s, way := sources[trial%len(sources)], hostile.Ways[trial%len(hostile.Ways)]
		v := newDamageVictim(t, s, way.Make(r, s.content), &n)
		v.what = fmt.Sprintf("trial %d, seed %d, %s", trial, *damageSeed, way.Name)
		v.everyHostile(t)
	}
	n.report(t, *hostileTrials)
}

// everyHostile runs each command on a hostile file, some of them in several forms.
func (v *damageVictim) everyHostile(t *testing.T) {
	t.Helper()
	more := [][]string{
		{"buckets", v.file}, {"stats", v.file}, {"scan", v.file, "--bucket", "a/long"},
		{"scan", v.file, "--bucket", "a/b", "--reverse"}, {"recover", v.file, v.other, "--certain"},
		{"del", v.file, "--prefix", "key 0", "--bucket", "a/b"},
		{"del", v.file, "--whole-bucket", "--bucket", "a"},
	}
	v.everyCommand(t, more, func(line []string, got result) {
		if _, writes := damageChanges[line[0]]; !writes {
			v.wantUnchanged(t)
		} else {
			v.run(t, []string{"check", v.file})
			v.run(t, []string{"scan", v.file, "--bucket", "a/b"})
		}
		v.wantSound(t, line, got)
	})
}

// wantSound fails the test unless a file that a command has made is sound: what is saved
// is written anew, whatever it was, and a copy is checked.
func (v *damageVictim) wantSound(t *testing.T, line []string, got result) {
	t.Helper()
	if _, err := os.Stat(v.other); err != nil {
		if got.code == ExitFine && (line[0] == "recover" || line[len(line)-1] == v.other) {
			t.Errorf("no file was made: %v", err)
		}
		return
	}
	checked := v.run(t, []string{"check", v.other})
	if checked.code != ExitFine && (got.code == ExitFine || line[0] == "recover") {
		t.Errorf("what was made is damaged: %s%s", checked.out, checked.err)
	}
}

// ladder makes a file with so many buckets x, each in the one before, and beside each of
// them a bucket y that has the same page.
func ladder(t *testing.T, rungs int) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := mapleaf.Open(file, fileMode, &mapleaf.Options{PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	same := map[uint32]int{} // by the root of each y: that of its x
	err = db.Update(func(tx *mapleaf.Tx) error {
		var path bucketPath
		for range rungs {
			for _, name := range []string{"y", "x"} {
				b, err := makeBucket(tx, append(slices.Clone(path), []byte(name)))
				if err != nil {
					return err
				}
				// With this, it gets a page of its own.
				if err := b.Put([]byte("key"), make([]byte, 2000)); err != nil {
					return err
				}
			}
			path = append(path, []byte("x"))
		}
		return nil
	})
	err = errors.Join(err, db.View(func(tx *mapleaf.Tx) error {
		for b := tx.Cursor().Bucket(); b.Bucket([]byte("x")) != nil; b = b.Bucket([]byte("x")) {
			same[uint32(b.Bucket([]byte("y")).Root())] = int(b.Bucket([]byte("x")).Root())
		}
		return tx.Err()
	}), db.Close())
	if err != nil || len(same) != rungs {
		t.Fatalf("%v, %d buckets have a page", err, len(same))
	}
	h := hostile.New(nil, damagePages(t, file, 4096))
	for _, at := range h.Refs {
		if root, ok := same[binary.LittleEndian.Uint32(h.Bytes[at:])]; ok {
			h.Point(at, root)
		}
	}
	hostile.Reseal(h.Bytes)
	return h.Bytes
}

// Buckets that share their pages have paths without number, though none is deep: no command
// follows them all.
func TestBucketsThatSharePages(t *testing.T) {
	v := newDamageVictim(t, nil, ladder(t, 40), new(damageTally))
	v.what = "buckets that share pages"
	if err := os.WriteFile(v.file, v.damaged, fileMode); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{
		{"check", v.file}, {"stats", v.file}, {"buckets", v.file},
		{"buckets", v.file, "--bucket", "x/x"}, {"recover", v.file, v.other},
		{"del", v.file, "--bucket", "x", "--whole-bucket"},
	} {
		if got := v.run(t, line); got.code != ExitProblem {
			t.Errorf("%q ends with exit code %d: %s", line, got.code, got.out)
		}
	}
}
