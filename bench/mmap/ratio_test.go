package mmap

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"

	edsrzf "github.com/edsrzf/mmap-go"
	"github.com/mapleafdb/mapleaf/mmapfile"
)

// A side does one thing n times, in its own way.
type side func(n int) error

// A way makes a side of a reader of a file of size bytes.
type way func(r *reader, size int, seed uint64) side

// compare runs both sides in turns, n times each, so short that what else the
// machine does meets both alike, and reports the median time of each and the
// median of the quotients: below 1 is ours faster.
func compare(b *testing.B, n int, ours, theirs side) {
	b.Helper()
	var mine, other, quotient []float64
	for i := 0; b.Loop(); i++ {
		var t [2]time.Duration
		for turn := range 2 {
			which := (turn + i) % 2
			began := time.Now()
			if err := [2]side{ours, theirs}[which](n); err != nil {
				b.Fatal(err)
			}
			t[which] = time.Since(began)
		}
		mine = append(mine, float64(t[0].Nanoseconds())/float64(n))
		other = append(other, float64(t[1].Nanoseconds())/float64(n))
		quotient = append(quotient, float64(t[0])/float64(t[1]))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(mine), "ours-ns")
	b.ReportMetric(median(other), "theirs-ns")
	b.ReportMetric(median(quotient), "ratio")
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// The sizes of a turn: about a millisecond.
const (
	turnReads  = 10_000
	turnPieces = 50
	turnOpens  = 50
)

// readRandom reads 8 bytes by ReadAt, at places that depend on the seed.
func readRandom(r *reader, size int, x uint64) side {
	words, buf := uint64(size/word), make([]byte, word)
	return func(n int) error {
		for range n {
			x = x*6364136223846793005 + 1442695040888963407
			if _, err := r.at.ReadAt(buf, int64((x>>20)%words*word)); err != nil {
				return err
			}
		}
		return nil
	}
}

// touchRandom adds up 8 bytes of the slice, at places that depend on the seed.
func touchRandom(r *reader, _ int, x uint64) side {
	return func(n int) error {
		x = sumRandom(r.bytes, n, x)
		return nil
	}
}

// guardRandom is touchRandom under one guard for each turn, which makes a fault
// an error.
func guardRandom(r *reader, _ int, x uint64) side {
	return func(n int) error {
		return mmapfile.Guard(func() error {
			x = sumRandom(r.bytes, n, x)
			return nil
		})
	}
}

// guardReadAt is readRandom through bytes.Reader over the slice, under one guard for
// each turn: the ReadAt of a view without what it does for each call.
func guardReadAt(r *reader, size int, x uint64) side {
	read := readRandom(&reader{at: bytes.NewReader(r.bytes)}, size, x)
	return func(n int) error {
		return mmapfile.Guard(func() error { return read(n) })
	}
}

// sumRandom adds up n words and returns the next seed. It is the same code for
// all, as the place of a loop in memory matters here.
//
//go:noinline
func sumRandom(b []byte, n int, x uint64) uint64 {
	words, sum := uint64(len(b)/word), uint64(0)
	for range n {
		x = x*6364136223846793005 + 1442695040888963407
		sum += binary.LittleEndian.Uint64(b[(x>>20)%words*word:])
	}
	keep(sum)
	return x
}

// readPieces reads the file from front to back by ReadAt, again and again.
func readPieces(r *reader, size int, _ uint64) side {
	off, buf := 0, make([]byte, piece)
	return func(n int) error {
		for range n {
			if _, err := r.at.ReadAt(buf, int64(off)); err != nil {
				return err
			}
			off = (off + piece) % size
		}
		return nil
	}
}

// touchPieces adds up the slice from front to back, again and again.
func touchPieces(r *reader, size int, _ uint64) side {
	off := 0
	return func(n int) error {
		for range n {
			keep(sumWords(r.bytes[off : off+piece]))
			off = (off + piece) % size
		}
		return nil
	}
}

// BenchmarkRatio measures the same work in turns: see compare.
func BenchmarkRatio(b *testing.B) {
	size := *sizeMiB << 20
	path, _ := makeFile(b, size)
	var readers [len(openers)]*reader
	for i, open := range openers {
		r, err := open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer r.close()
		readers[i] = r
		if r.bytes != nil { // so that nobody pays for the first touch
			keep(r.sumBySlice())
		} else if _, err := r.sumByCalls(size); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		turn   int
		rivals []*reader
		ours   way
		theirs way
	}{
		{"random-ReadAt", turnReads, readers[2:], readRandom, readRandom},
		{"random-guarded-ReadAt", turnReads, readers[2:3], guardReadAt, readRandom},
		{"random-slice", turnReads, readers[1:2], touchRandom, touchRandom},
		{"random-guarded-slice", turnReads, readers[1:2], guardRandom, touchRandom},
		{"random-guarded-slice", turnReads, readers[2:3], guardRandom, readRandom},
		{"sequential-ReadAt", turnPieces, readers[2:], readPieces, readPieces},
		{"sequential-slice", turnPieces, readers[1:2], touchPieces, touchPieces},
	} {
		for _, rival := range c.rivals {
			b.Run(c.name+"/"+rival.name, func(b *testing.B) {
				// Other places, since what one has read is quicker for the next.
				ours, theirs := c.ours(readers[0], size, seed), c.theirs(rival, size, seed+1)
				compare(b, c.turn, ours, theirs)
			})
		}
	}
}

// opening opens, maps, unmaps and closes the file.
func opening(open func(string) (*reader, error), path string) side {
	return func(n int) error {
		for range n {
			r, err := open(path)
			if err != nil {
				return err
			}
			if err := r.close(); err != nil {
				return err
			}
		}
		return nil
	}
}

// openWithoutShare opens as the rivals do, which know no share modes.
func openWithoutShare(path string) (*reader, error) {
	osf, err := mmapfile.OpenOS(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	f, err := mmapfile.FromOS(osf, mmapfile.Read)
	if err != nil {
		return nil, err
	}
	return viewWhole(f)
}

// BenchmarkRatioOpen measures mapping in turns: see compare.
func BenchmarkRatioOpen(b *testing.B) {
	path, _ := makeFile(b, piece)
	for i, rival := range []string{"mmap-go", "exp-mmap"} {
		theirs := opening(openers[i+1], path)
		b.Run("open-map-unmap-close/"+rival, func(b *testing.B) {
			compare(b, turnOpens, opening(openMmapfile, path), theirs)
		})
		b.Run("without-share-mode/"+rival, func(b *testing.B) {
			compare(b, turnOpens, opening(openWithoutShare, path), theirs)
		})
	}
	f, err := mmapfile.Open(path, mmapfile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	osf, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer osf.Close()
	b.Run("map-unmap/mmap-go", func(b *testing.B) {
		compare(b, turnOpens, mapping(f), mappingEdsrzf(osf))
	})
	m, err := f.Map(mmapfile.MapOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.Run("view-unmap/mmap-go", func(b *testing.B) {
		compare(b, turnOpens, viewing(m), mappingEdsrzf(osf))
	})
}

// mapping maps and views an open file, touches a byte, and closes both.
func mapping(f *mmapfile.File) side {
	return func(n int) error {
		for range n {
			m, err := f.Map(mmapfile.MapOptions{})
			if err != nil {
				return err
			}
			if err := viewOnce(m); err != nil {
				return err
			}
			if err := m.Close(); err != nil {
				return err
			}
		}
		return nil
	}
}

// viewing views what is mapped once.
func viewing(m *mmapfile.Mapping) side {
	return func(n int) error {
		for range n {
			if err := viewOnce(m); err != nil {
				return err
			}
		}
		return nil
	}
}

func viewOnce(m *mmapfile.Mapping) error {
	v, err := m.View(mmapfile.Read, 0, 0)
	if err != nil {
		return err
	}
	keep(uint64(v.Bytes()[0]))
	return v.Close()
}

func mappingEdsrzf(f *os.File) side {
	return func(n int) error {
		for range n {
			m, err := edsrzf.Map(f, edsrzf.RDONLY, 0)
			if err != nil {
				return err
			}
			keep(uint64(m[0]))
			if err := m.Unmap(); err != nil {
				return err
			}
		}
		return nil
	}
}
