package main

import (
	"bytes"
	"testing"
)

// TestPrefixes holds prefixes and their sums against a plain look at every key.
func TestPrefixes(t *testing.T) {
	for _, kind := range allKinds {
		sorted := keySet{kind: kind, seed: 12}.sorted(3000)
		prefixes, want := prefixesOf(sorted, 50, 1)
		if prefixes.len() != 50 {
			t.Fatalf("%s: %d prefixes, want 50", kind, prefixes.len())
		}
		var sum scanSum
		for j := range prefixes.len() {
			for i := range sorted.len() {
				if bytes.HasPrefix(sorted.at(i), prefixes.at(j)) {
					sum.add(valueSeed(sorted.at(i), 0))
				}
			}
		}
		if sum != want {
			t.Errorf("%s: the records below the prefixes are %+v, want %+v", kind, sum, want)
		}
	}
}

// TestPrefixSizes expects the prefix that is nearest to the number of records.
func TestPrefixSizes(t *testing.T) {
	for _, kind := range allKinds {
		sorted := keySet{kind: kind, seed: 12}.sorted(3000)
		for i := 0; i < sorted.len(); i += 37 {
			key := sorted.at(i)
			prefix, from, to := prefixAt(sorted, i)
			if from > i || to <= i || !bytes.HasPrefix(key, prefix) {
				t.Fatalf("%s: prefix %q of key %d has keys %d to %d", kind, prefix, i, from, to)
			}
			for size := 1; size <= len(key); size++ {
				records := 0
				for j := range sorted.len() {
					if bytes.HasPrefix(sorted.at(j), key[:size]) {
						records++
					}
				}
				if size == len(prefix) && records != to-from {
					t.Errorf("%s: %d keys begin with %q, want %d", kind, records, prefix, to-from)
				}
				if distance(records) < distance(to-from) {
					t.Errorf("%s: prefix %q has %d keys, %q has %d",
						kind, prefix, to-from, key[:size], records)
				}
			}
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for prefix, want := range map[string]string{
		"a": "b", "ab\xff": "ac", "\xff\xff": "", "": "", "a\xff\xff": "b",
	} {
		if got := appendPrefixEnd(nil, []byte(prefix)); string(got) != want {
			t.Errorf("the end of prefix %q is %q, want %q", prefix, got, want)
		}
	}
}
