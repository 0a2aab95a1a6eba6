package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// This file makes the keys. All of it follows from the seed, so that the
// process that reads a database needs nothing from the one that wrote it.
//
// Invariants:
//
//	D1 Keys of one set with different indexes differ. Those below the number of
//	   records are stored; those from there on are the misses.
//	D2 A key list is made before the clock starts and is read front to back.

// keyKind names how keys look.
type keyKind string

// The kinds of keys.
const (
	keysRandom    keyKind = "random"    // 16 random bytes
	keysAscending keyKind = "ascending" // the index, 8 bytes big-endian
	keysPaths     keyKind = "paths"     // file paths with long shared prefixes, real or alike
)

// validate returns an error for a kind that does not exist.
func (k keyKind) validate() error {
	switch k {
	case keysRandom, keysAscending, keysPaths:
		return nil
	}
	return fmt.Errorf("%w: no kind of keys %q (there are %s, %s, %s)",
		errUsage, k, keysRandom, keysAscending, keysPaths)
}

// A keySet is an endless list of different keys.
type keySet struct {
	kind  keyKind
	seed  uint64
	paths *pathList // where keysPaths come from; nil for paths that are made
}

const (
	weyl  = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, odd
	odd64 = 0xd1342543de82ef95 // an odd multiplier with well spread bits
)

// mix is a bijection that scatters its argument over all 64 bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>32) * odd64
	x = (x ^ x>>29) * weyl
	return x ^ x>>32
}

// appendKey appends key number i to dst.
func (s keySet) appendKey(dst []byte, i uint64) []byte {
	switch s.kind {
	case keysAscending:
		return binary.BigEndian.AppendUint64(dst, i)
	case keysPaths:
		if s.paths != nil {
			return s.paths.append(dst, i, s.seed)
		}
		return s.appendPath(dst, i)
	}
	first := mix(i + s.seed)
	dst = binary.LittleEndian.AppendUint64(dst, first)
	return binary.LittleEndian.AppendUint64(dst, mix(first^weyl))
}

// Pieces of the paths, in the manner of a Linux distribution's file index.
var (
	pathStems = []string{
		"acl", "apt", "boost", "cairo", "curl", "dbus", "emacs", "ffmpeg", "font", "gtk",
		"gnome", "gst", "haskell", "icu", "java", "kde", "linux", "lua", "mesa", "net",
		"node", "ocaml", "perl", "php", "python", "qt", "ruby", "rust", "ssl", "tex", "vim", "xml",
	}
	pathPlaces = []string{
		"usr/share/doc/%s/", "usr/share/doc/%s/examples/", "usr/share/doc/%s/html/api/",
		"usr/lib/x86_64-linux-gnu/%s/", "usr/lib/python3/dist-packages/%s/",
		"usr/lib/python3/dist-packages/%s/tests/", "usr/include/%s/detail/",
		"usr/share/%s/icons/hicolor/48x48/apps/", "usr/share/%s/locale/de/LC_MESSAGES/",
		"usr/src/linux-headers-6.18.0-1-common/include/%s/",
	}
	pathNames = []string{
		"changelog.Debian", "copyright", "README", "index", "module", "types", "config", "util",
		"main", "render", "parser", "stream", "test_basic", "version", "iterator", "handler",
	}
	pathEnds = []string{".gz", ".html", ".py", ".h", ".hpp", ".so", ".png", ".mo", ".js", ".txt"}
)

// pathsPerPackage is how many consecutive indexes belong to one package.
const pathsPerPackage = 40

// appendPath appends path number i: a package for each run of indexes, spread
// over the places where packages put files. The number in the name and the
// package keep paths different (D1).
func (s keySet) appendPath(dst []byte, i uint64) []byte {
	pack, file := i/pathsPerPackage, i%pathsPerPackage
	h := mix(pack + s.seed)
	name := "lib" + pathStems[h%32] + pathStems[h>>8%32] + strconv.FormatUint(pack, 10)
	if h>>16%3 == 0 {
		name += "-dev"
	}
	g := mix(h ^ file)
	place := pathPlaces[g%uint64(len(pathPlaces))]
	before, after, _ := strings.Cut(place, "%s")
	dst = append(dst, before...)
	dst = append(dst, name...)
	dst = append(dst, after...)
	dst = append(dst, pathNames[g>>8%16]...)
	dst = append(dst, '_')
	dst = strconv.AppendUint(dst, file, 10)
	return append(dst, pathEnds[g>>16%uint64(len(pathEnds))]...)
}

// A keyList is a list of keys in one piece of memory, so that walking over it
// costs no cache misses and C can read it too.
type keyList struct {
	data []byte
	ends []uint64 // ends[j] is where key j ends in data
	from uint64   // where the first key begins
}

// len returns the number of keys.
func (l keyList) len() int { return len(l.ends) }

// at returns key j.
func (l keyList) at(j int) []byte {
	start := l.from
	if j > 0 {
		start = l.ends[j-1]
	}
	return l.data[start:l.ends[j]:l.ends[j]]
}

// slice returns the keys from i up to j.
func (l keyList) slice(i, j int) keyList {
	start := l.from
	if i > 0 {
		start = l.ends[i-1]
	}
	return keyList{data: l.data, ends: l.ends[i:j], from: start}
}

// list returns count keys; index(j) says which.
func (s keySet) list(count int, index func(j int) uint64) keyList {
	return s.refill(keyList{}, count, index)
}

// refill is list in the memory of a list that nobody needs any more.
func (s keySet) refill(l keyList, count int, index func(j int) uint64) keyList {
	if cap(l.ends) < count {
		l.ends = make([]uint64, 0, count)
		l.data = make([]byte, 0, count*len(s.appendKey(nil, 0)))
	}
	l.data, l.ends, l.from = l.data[:0], l.ends[:0], 0
	for j := range count {
		l.data = s.appendKey(l.data, index(j))
		l.ends = append(l.ends, uint64(len(l.data)))
	}
	return l
}

// sorted returns the first count keys in ascending order.
func (s keySet) sorted(count int) keyList {
	plain := s.list(count, func(j int) uint64 { return uint64(j) })
	order := make([]uint32, count)
	for j := range order {
		order[j] = uint32(j)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return bytes.Compare(plain.at(int(a)), plain.at(int(b)))
	})
	return s.list(count, func(j int) uint64 { return uint64(order[j]) })
}

// shuffled returns the first count keys, each once, in random order.
func (s keySet) shuffled(count int) keyList {
	order := permutation(count, s.seed)
	return s.list(count, func(j int) uint64 { return uint64(order[j]) })
}

// picks returns count keys drawn at random, with repetition, from those with
// indexes in [from, from+span). stream keeps the draws of several users apart.
func (s keySet) picks(count int, from, span, stream uint64) keyList {
	return s.repick(keyList{}, count, from, span, stream)
}

// repick is picks in the memory of a list that nobody needs any more.
func (s keySet) repick(l keyList, count int, from, span, stream uint64) keyList {
	r := rand.New(rand.NewPCG(s.seed, stream+1))
	return s.refill(l, count, func(int) uint64 { return from + r.Uint64N(span) })
}

// permutation returns the numbers below count in an order that follows from
// the seed.
func permutation(count int, seed uint64) []uint32 {
	order := make([]uint32, count)
	for j := range order {
		order[j] = uint32(j)
	}
	r := rand.New(rand.NewPCG(seed, weyl))
	r.Shuffle(count, func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}
