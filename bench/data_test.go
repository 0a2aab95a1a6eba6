package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// allKinds lists every kind of keys.
var allKinds = []keyKind{keysRandom, keysAscending, keysPaths}

func TestKeysDiffer(t *testing.T) {
	const n = 200_000
	for _, kind := range allKinds {
		set := keySet{kind: kind, seed: 7}
		seen := make(map[string]uint64, n)
		for i := range uint64(n) {
			key := string(set.appendKey(nil, i))
			if other, ok := seen[key]; ok {
				t.Fatalf("%s: keys %d and %d are both %q", kind, other, i, key)
			}
			seen[key] = i
		}
	}
}

func TestKeysFollowFromSeed(t *testing.T) {
	for _, kind := range []keyKind{keysRandom, keysPaths} {
		one := keySet{kind: kind, seed: 1}.list(500, func(j int) uint64 { return uint64(j) })
		again := keySet{kind: kind, seed: 1}.list(500, func(j int) uint64 { return uint64(j) })
		other := keySet{kind: kind, seed: 99}.list(500, func(j int) uint64 { return uint64(j) })
		if !bytes.Equal(one.data, again.data) || !slices.Equal(one.ends, again.ends) {
			t.Errorf("%s: two lists of one seed differ", kind)
		}
		if bytes.Equal(one.data, other.data) {
			t.Errorf("%s: lists of two seeds are the same", kind)
		}
	}
}

func TestKeyShapes(t *testing.T) {
	for i := range uint64(3000) {
		if key := (keySet{kind: keysRandom, seed: 3}).appendKey(nil, i); len(key) != 16 {
			t.Fatalf("random key %d has %d bytes, want 16", i, len(key))
		}
		key := keySet{kind: keysAscending}.appendKey(nil, i)
		if len(key) != 8 || binary.BigEndian.Uint64(key) != i {
			t.Fatalf("ascending key %d is %x", i, key)
		}
		path := keySet{kind: keysPaths, seed: 3}.appendKey(nil, i)
		if !bytes.HasPrefix(path, []byte("usr/")) || len(path) < 20 || len(path) > 120 {
			t.Fatalf("path %d is %q", i, path)
		}
	}
}

func TestPathsShareLongPrefixes(t *testing.T) {
	keys := keySet{kind: keysPaths, seed: 1}.sorted(20_000)
	shared, total := 0, 0
	for j := 1; j < keys.len(); j++ {
		a, b := keys.at(j-1), keys.at(j)
		for shared0 := 0; shared0 < min(len(a), len(b)) && a[shared0] == b[shared0]; shared0++ {
			shared++
		}
		total += len(b)
	}
	if share := float64(shared) / float64(total); share < 0.5 {
		t.Errorf("neighbours share %.0f%% of their bytes, want half at least", share*100)
	}
}

func TestKeyListSlices(t *testing.T) {
	set := keySet{kind: keysPaths, seed: 5}
	keys := set.list(50, func(j int) uint64 { return uint64(j) })
	part := keys.slice(10, 30).slice(5, 20)
	if part.len() != 15 {
		t.Fatalf("slice has %d keys, want 15", part.len())
	}
	for j := range part.len() {
		if want := set.appendKey(nil, uint64(15+j)); !bytes.Equal(part.at(j), want) {
			t.Errorf("key %d of the slice is %q, want %q", j, part.at(j), want)
		}
	}
}

func TestOrders(t *testing.T) {
	const n = 5000
	for _, kind := range allKinds {
		set := keySet{kind: kind, seed: 11}
		sorted, shuffled := set.sorted(n), set.shuffled(n)
		if sorted.len() != n || shuffled.len() != n {
			t.Fatalf("%s: %d sorted and %d shuffled keys, want %d",
				kind, sorted.len(), shuffled.len(), n)
		}
		ascents := 0
		for j := 1; j < n; j++ {
			if bytes.Compare(sorted.at(j-1), sorted.at(j)) >= 0 {
				t.Fatalf("%s: sorted keys %d and %d do not ascend", kind, j-1, j)
			}
			if bytes.Compare(shuffled.at(j-1), shuffled.at(j)) < 0 {
				ascents++
			}
		}
		if ascents < n*4/10 || ascents > n*6/10 {
			t.Errorf("%s: %d of %d shuffled neighbours ascend, want about half", kind, ascents, n)
		}
		if sumOf(sorted) != sumOf(shuffled) {
			t.Errorf("%s: the two orders hold different keys", kind)
		}
	}
}

func TestPicksStayInRange(t *testing.T) {
	set := keySet{kind: keysAscending, seed: 2}
	one, two := set.picks(1000, 500, 100, 0), set.picks(1000, 500, 100, 1)
	for j := range one.len() {
		if i := binary.BigEndian.Uint64(one.at(j)); i < 500 || i >= 600 {
			t.Fatalf("pick %d is key %d, want 500 to 599", j, i)
		}
	}
	if bytes.Equal(one.data, two.data) {
		t.Error("two streams draw the same keys")
	}
}

func TestValuesRoundTrip(t *testing.T) {
	for _, kind := range allKinds {
		set := keySet{kind: kind, seed: 4}
		for _, size := range []int{8, 9, 15, 100, 1000, 1024} {
			for i := range uint64(50) {
				key := set.appendKey(nil, i)
				value := make([]byte, size)
				fillValue(value, key, 3)
				if err := checkValue(key, value, size, 3); err != nil {
					t.Fatalf("%s, %d bytes: %v", kind, size, err)
				}
				checkRefused(t, key, value)
			}
		}
	}
}

// checkRefused expects every kind of wrong value to be refused.
func checkRefused(t *testing.T, key, value []byte) {
	t.Helper()
	size := len(value)
	if err := checkValue(key, value, size, 2); !errors.Is(err, errWrongValue) {
		t.Errorf("value of another version: %v", err)
	}
	if err := checkValue(key, value[:size-1], size, 3); !errors.Is(err, errWrongValue) {
		t.Errorf("value cut short: %v", err)
	}
	if err := checkValue(key, nil, size, 3); !errors.Is(err, errMissing) {
		t.Errorf("no value: %v", err)
	}
	if err := checkValue(append([]byte("x"), key...), value, size, 3); err == nil {
		t.Error("value of another key is taken")
	}
	for at := range value {
		value[at] ^= 0x10
		if err := checkValue(key, value, size, 3); !errors.Is(err, errWrongValue) {
			t.Errorf("flipped bit in byte %d of %d: %v", at, size, err)
		}
		value[at] ^= 0x10
	}
}

func TestEndsOfValues(t *testing.T) {
	key := []byte("some key of a record")
	for _, size := range []int{8, 12, 100, 1024} {
		value := make([]byte, size)
		fillValue(value, key, 0)
		if _, err := checkEnds(key, value, size); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		for _, at := range []int{0, 7, size/8*8 - 8, size/8*8 - 1} {
			value[at] ^= 1
			if _, err := checkEnds(key, value, size); err == nil {
				t.Errorf("%d bytes: flipped bit in byte %d is not seen", size, at)
			}
			value[at] ^= 1
		}
	}
}

func TestValuesDoNotCompress(t *testing.T) {
	for _, kind := range allKinds {
		keys := keySet{kind: kind, seed: 8}.sorted(2000)
		var plain, packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		value := make([]byte, 100)
		for j := range keys.len() {
			fillValue(value, keys.at(j), 0)
			plain.Write(value)
		}
		if _, err := w.Write(plain.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if packed.Len() < plain.Len()*97/100 {
			t.Errorf("%s: values compress to %d of %d bytes", kind, packed.Len(), plain.Len())
		}
	}
}

func TestScanSumSeesEveryKey(t *testing.T) {
	set := keySet{kind: keysRandom, seed: 6}
	whole := sumOf(set.sorted(100))
	if err := sumOf(set.shuffled(100)).check(whole); err != nil {
		t.Errorf("the same keys in another order: %v", err)
	}
	twice := set.list(100, func(j int) uint64 { return uint64(max(1, j)) })
	if err := sumOf(twice).check(whole); err == nil {
		t.Error("one key twice and one not at all is taken")
	}
	if err := sumOf(set.sorted(99)).check(whole); err == nil {
		t.Error("a missing key is not seen")
	}
}
