package main

import (
	"bytes"
	"math/rand/v2"
	"sort"
)

// This file measures scans of prefixes: all records whose keys begin as a random key
// does, for as many bytes as leave about prefixRecords of them. How near to that a
// prefix comes lies in the keys, whose bytes are whole. Of 1,000,000 records it has
//
//	random     15 (2 bytes; 1 byte would have 3,906)
//	ascending  256 (7 of 8 bytes)
//	paths      113 in the median, 58 to 268 for 9 of 10
//
// so the figure is per record, with the share of its seek.

// prefixRecords is how many records a prefix is to have.
const prefixRecords = 100

// prefixWorkloads are scans too; they have a file of their own for their prefixes.
var prefixWorkloads = []workload{
	{
		name:    "prefix",
		about:   "walk over all records with the prefix of a random key, about 100 of them",
		rows:    []row{{groupScan, "prefix scans, a record", nsPerOp}},
		fixture: true,
		run:     prefixMany,
	},
}

// prefixMany measures prefix scans.
func prefixMany(t *trial) (metrics, error) {
	n := t.scale.Records
	prefixes, want := prefixesOf(t.keys.sorted(n), max(100, n/50), t.keys.seed)
	return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		if err := warm(l); err != nil {
			return nil, err
		}
		return t.measureScans(want, func() (scanSum, error) { return l.prefix(prefixes) })
	})
}

// prefixesOf returns count prefixes of keys drawn from sorted, and the sum over the
// records below them.
func prefixesOf(sorted keyList, count int, seed uint64) (prefixes keyList, want scanSum) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range count {
		prefix, from, to := prefixAt(sorted, r.IntN(sorted.len()))
		prefixes.data = append(prefixes.data, prefix...)
		prefixes.ends = append(prefixes.ends, uint64(len(prefixes.data)))
		for j := from; j < to; j++ {
			want.add(valueSeed(sorted.at(j), 0))
		}
	}
	return prefixes, want
}

// prefixAt returns the prefix of key i that comes nearest to prefixRecords records, and
// the range of keys below it.
func prefixAt(sorted keyList, i int) (prefix []byte, from, to int) {
	key := sorted.at(i)
	low, high := 0, sorted.len()
	for size := 1; size <= len(key); size++ {
		p := key[:size]
		// Keys from low up to high begin with p[:size-1].
		low += sort.Search(i-low, func(j int) bool {
			return bytes.Compare(sorted.at(low+j), p) >= 0
		})
		high = i + sort.Search(high-i, func(j int) bool {
			return !bytes.HasPrefix(sorted.at(i+j), p)
		})
		if prefix == nil || distance(high-low) <= distance(to-from) {
			prefix, from, to = p, low, high
		}
		if high-low <= prefixRecords {
			break
		}
	}
	return prefix, from, to
}

// distance returns by which factor a number of records misses prefixRecords.
func distance(records int) float64 {
	factor := float64(records) / prefixRecords
	return max(factor, 1/factor)
}
