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
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// The damage campaign: files of several kinds are damaged in every way, at random
// places of every kind of page, and everything is called. Each trial ends with the
// right data, or with an error of a type that tells of damage; and Check finds whatever
// is wrong with a page that the newest state reaches.
//
//	go test -run TestDamageCampaign . -v -args -damage 10000 -seed 7

var damageTrials = flag.Int("damage", 168, "trials of the damage campaign")

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

// A tally counts how the trials of one way, or at one kind of page, have ended.
type tally struct{ trials, refused, damage, right int }

const (
	trialTimeMax   = fuzzTimeMax * 2 / 3 // before useFile ends the process, which knows no seed
	trialAllocMax  = 64 << 20            // bytes that one trial may take from the heap, in all
	campaignRAMMax = 512 << 20           // bytes that the process may have in memory more than before
)

func TestDamageCampaign(t *testing.T) {
	r := dbtest.Rand(t, 20)
	var specimens []*specimen
	kinds := map[string]bool{}
	for _, name := range campaignNames {
		s := newSpecimen(t, name, 0)
		s.other = newSpecimen(t, name, 1<<20).content
		specimens = append(specimens, s)
		for kind := range s.pagesOf() {
			kinds[kind] = true
		}
	}
	every := []string{"branch", "extent", "free", "freelist", "leaf", "log", "manifest", "meta"}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, every) {
		t.Fatalf("the files have pages of the kinds %v, not of %v", got, every)
	}
	path := filepath.Join(t.TempDir(), "db")
	ways, pages := map[string]*tally{}, map[string]*tally{}
	peak, most := residentPeak(), uint64(0)
	for trial := range *damageTrials {
		s := specimens[trial%len(specimens)]
		way := campaignWays[trial/len(specimens)%len(campaignWays)]
		page := s.anyPage(r)
		file := way.apply(s, r, bytes.Clone(s.content), page)
		must(t, os.WriteFile(path, file, 0o600))
		v := &victim{t: t, d: &s.damageable, path: path}
		v.what = fmt.Sprintf("trial %d of seed %d: %s, %s at page %d (%s)", trial, dbtest.Seed(),
			s.name, way.name, page, s.kinds[page])
		most = max(most, bounded(t, v.what, func() { v.trial(s, file, r.IntN(3) == 0) }))
		count(ways, way.name, v)
		count(pages, s.kinds[page], v)
		if t.Failed() {
			kept := filepath.Join(os.TempDir(), "mapleaf-damaged.db")
			must(t, os.WriteFile(kept, file, 0o600))
			t.Fatalf("the file is kept at %s", kept)
		}
	}
	grown := residentPeak() - peak
	if grown > campaignRAMMax {
		t.Errorf("the process has come to take %d bytes more", grown)
	}
	t.Logf("a trial allocated %d bytes at most, the process grew by %d", most, grown)
	logTallies(t, ways)
	logTallies(t, pages)
}

// anyPage chooses a kind of page, and then a page of that kind.
func (s *specimen) anyPage(r *rand.Rand) int {
	pages := s.pagesOf()
	kinds := slices.Sorted(maps.Keys(pages))
	of := pages[kinds[r.IntN(len(kinds))]]
	return of[r.IntN(len(of))]
}

// timed runs fn, and ends the process, with what it was at, if that takes too long.
func timed(what string, fn func()) {
	defer time.AfterFunc(trialTimeMax, func() {
		debug.SetTraceback("all")
		panic(what + " hangs")
	}).Stop()
	fn()
}

// bounded is timed, and fails the test if fn takes too much memory. It returns how many
// bytes were allocated.
func bounded(t *testing.T, what string, fn func()) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	timed(what, fn)
	runtime.ReadMemStats(&after)
	got := after.TotalAlloc - before.TotalAlloc
	if got > trialAllocMax {
		t.Errorf("%s: %d bytes were allocated", what, got)
	}
	return got
}

// residentPeak returns the most memory that the process has ever had, in bytes; 0 where
// the system does not tell.
func residentPeak() int {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int
	_, _ = fmt.Sscan(after, &kilobytes)
	return kilobytes << 10
}

// trial reads the file, and perhaps writes to it.
func (v *victim) trial(s *specimen, file []byte, write bool) {
	v.t.Helper()
	v.read()
	if !v.refused && !v.hurt && !v.found {
		if id, ok := s.touched(file); ok {
			v.t.Errorf("%s: page %d (%s) is in use and was changed, and nothing tells", v.what, id,
				s.kinds[id])
		}
	}
	if write {
		must(v.t, os.WriteFile(v.path, file, 0o600))
		(&victim{t: v.t, d: v.d, path: v.path, what: v.what}).write()
	}
}

// count notes how a trial has ended.
func count(tallies map[string]*tally, name string, v *victim) {
	n := tallies[name]
	if n == nil {
		n = &tally{}
		tallies[name] = n
	}
	n.trials++
	switch {
	case v.refused:
		n.refused++
	case v.hurt, v.found:
		n.damage++
	default:
		n.right++
	}
}

// touched returns a page in use that the file does not have as it was. Of the log, those
// bytes are in use without which the data would not be right.
func (s *specimen) touched(file []byte) (int, bool) {
	for id, used := range s.used {
		if end := (id + 1) * s.pageSize; used && end <= len(s.content) &&
			(end > len(file) || !bytes.Equal(s.at(file, id), s.at(s.content, id))) {
			return id, true
		}
	}
	for _, x := range s.log {
		if x[1] > len(file) || !bytes.Equal(file[x[0]:x[1]], s.content[x[0]:x[1]]) {
			return x[0] / s.pageSize, true
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
