package main

import (
	"errors"
	"testing"
)

// TestPeers runs every loop over every peer in this binary, also where it must
// fail: a loop that takes a wrong value would make a wrong store look fast.
func TestPeers(t *testing.T) {
	for _, p := range allPeers() {
		t.Run(p.name, func(t *testing.T) {
			dir := t.TempDir()
			o := openOptions{ValueSize: 100}
			set := keySet{kind: keysPaths, seed: 9}
			keys := set.shuffled(2000)
			s, err := p.open(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			l := loopsOf(s, o)
			if err := l.load(keys, 300, 0); err != nil {
				t.Fatal(err)
			}
			checkReads(t, s, l, set, keys)
			checkFailures(t, l, set, keys)
			if err := l.remove(keys.slice(0, 1000), 300); err != nil {
				t.Fatal(err)
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			s, err = p.open(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			l = loopsOf(s, o)
			kept := keys.slice(1000, 2000)
			if sum, err := l.scan(false); err != nil || sum != sumOf(kept) {
				t.Errorf("scan after deletes: %+v, %v", sum, err)
			}
			if err := l.miss(keys.slice(0, 1000)); err != nil {
				t.Errorf("deleted keys: %v", err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkReads expects all loops that read to succeed.
func checkReads(t *testing.T, s store, l loops, set keySet, keys keyList) {
	t.Helper()
	if err := l.getAll(keys); err != nil {
		t.Errorf("getAll: %v", err)
	}
	if err := l.getEach(keys); err != nil {
		t.Errorf("getEach: %v", err)
	}
	if err := l.miss(set.picks(500, 2000, 1000, 0)); err != nil {
		t.Errorf("miss: %v", err)
	}
	for _, reverse := range []bool{false, true} {
		if sum, err := l.scan(reverse); err != nil || sum != sumOf(keys) {
			t.Errorf("scan, reverse %v: %+v, %v; want %+v", reverse, sum, err, sumOf(keys))
		}
	}
	sorted := set.sorted(2000)
	// The last key has nothing behind it, the one at 1900 has 99.
	seen, err := l.seek(sorted.slice(1999, 2000), 100)
	if err != nil || seen != 1 {
		t.Errorf("seek to the last key: %d records, %v; want 1", seen, err)
	}
	if seen, err = l.seek(sorted.slice(1900, 1901), 100); err != nil || seen != 100 {
		t.Errorf("seek near the end: %d records, %v; want 100", seen, err)
	}
	if seen, err = l.seek(sorted.slice(0, 3), 100); err != nil || seen != 303 {
		t.Errorf("three seeks: %d records, %v; want 303", seen, err)
	}
	prefixes, want := prefixesOf(sorted, 200, 3)
	if sum, err := l.prefix(prefixes); err != nil || sum != want {
		t.Errorf("prefixes: %+v, %v; want %+v", sum, err, want)
	}
	if n, err := s.count(); err != nil || n != 2000 {
		t.Errorf("count is %d, %v; want 2000", n, err)
	}
}

// checkFailures expects the loops to find what is wrong.
func checkFailures(t *testing.T, l loops, set keySet, keys keyList) {
	t.Helper()
	absent := set.picks(10, 5000, 1000, 0)
	if err := l.getAll(absent); !errors.Is(err, errMissing) {
		t.Errorf("getAll of absent keys: %v", err)
	}
	if err := l.getEach(absent); !errors.Is(err, errMissing) {
		t.Errorf("getEach of absent keys: %v", err)
	}
	if err := l.miss(keys.slice(0, 1)); !errors.Is(err, errFound) {
		t.Errorf("miss of a key that is there: %v", err)
	}
	if _, err := l.seek(absent, 1); !errors.Is(err, errMissing) {
		t.Errorf("seek to absent keys: %v", err)
	}
	one := keys.slice(7, 8)
	if err := l.load(one, 1, 5); err != nil {
		t.Fatal(err)
	}
	if err := l.getAll(one); !errors.Is(err, errWrongValue) {
		t.Errorf("getAll of another version: %v", err)
	}
	if err := l.getEach(one); !errors.Is(err, errWrongValue) {
		t.Errorf("getEach of another version: %v", err)
	}
	if _, err := l.scan(false); !errors.Is(err, errWrongValue) {
		t.Errorf("scan over another version: %v", err)
	}
	if _, err := l.seek(one, 0); !errors.Is(err, errWrongValue) {
		t.Errorf("seek to another version: %v", err)
	}
	if _, err := l.prefix(one); !errors.Is(err, errWrongValue) {
		t.Errorf("prefix of another version: %v", err)
	}
	if err := l.load(one, 1, 0); err != nil {
		t.Fatal(err)
	}
}

// TestPeersScanPrefixes asks every peer for each first byte, with and without records
// below it, which together see every record once.
func TestPeersScanPrefixes(t *testing.T) {
	for _, p := range allPeers() {
		o := openOptions{ValueSize: 8}
		keys := keySet{kind: keysRandom, seed: 5}.shuffled(600)
		s, err := p.open(t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		l := loopsOf(s, o)
		if err := l.load(keys, 100, 0); err != nil {
			t.Fatal(err)
		}
		var bytes keyList
		for b := range 256 {
			bytes.data = append(bytes.data, byte(b))
			bytes.ends = append(bytes.ends, uint64(len(bytes.data)))
		}
		if sum, err := l.prefix(bytes); err != nil || sum != sumOf(keys) {
			t.Errorf("%s: first bytes: %+v, %v; want %+v", p.name, sum, err, sumOf(keys))
		}
		last := keyList{data: []byte{255, 255, 255, 255}, ends: []uint64{4}}
		if sum, err := l.prefix(last); err != nil || sum.records > 0 {
			t.Errorf("%s: a prefix without records: %+v, %v", p.name, sum, err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPickNames(t *testing.T) {
	all, err := pickPeers("")
	if err != nil || len(all) != len(allPeers()) {
		t.Errorf("all peers: %d, %v", len(all), err)
	}
	two, err := pickPeers("pebble, bbolt")
	if err != nil || len(two) != 2 || two[0].name != "pebble" || two[1].name != "bbolt" {
		t.Errorf("two peers: %+v, %v", two, err)
	}
	if _, err := pickPeers("bbolt,nobody"); !errors.Is(err, errUsage) {
		t.Errorf("unknown peer: %v", err)
	}
	if _, err := pickWorkloads("scan,nothing"); !errors.Is(err, errUsage) {
		t.Errorf("unknown workload: %v", err)
	}
	if some, err := pickWorkloads("scan,count"); err != nil || len(some) != 2 {
		t.Errorf("two workloads: %d, %v", len(some), err)
	}
	batch, err := findPeer("bbolt-batch")
	if err != nil || batch.runs("scan") || !batch.runs("put-64") {
		t.Errorf("bbolt-batch takes part in the wrong workloads: %v", err)
	}
	if base, err := batch.fixture(); err != nil || base.name != "bbolt" {
		t.Errorf("bbolt-batch uses the database of %q, %v", base.name, err)
	}
}

func TestWorkloadsAreSound(t *testing.T) {
	known := map[string]bool{}
	for _, group := range groups {
		known[group] = true
	}
	names := map[string]bool{}
	for _, w := range workloads {
		if names[w.name] || len(w.rows) == 0 || w.about == "" || w.run == nil {
			t.Errorf("workload %q is twice there or lacks something", w.name)
		}
		names[w.name] = true
		if w.writes && !w.fixture {
			t.Errorf("workload %q has no database to copy", w.name)
		}
		for _, line := range w.rows {
			if !known[line.group] {
				t.Errorf("row %q is in no group of the report: %q", line.title, line.group)
			}
		}
	}
}
