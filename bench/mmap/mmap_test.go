package mmap

import (
	"encoding/binary"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	edsrzf "github.com/edsrzf/mmap-go"
	"github.com/mapleafdb/mapleaf/mmapfile"
	expmmap "golang.org/x/exp/mmap"
)

var sizeMiB = flag.Int("mib", 256, "size of the file in MiB")

const (
	piece = 64 << 10
	word  = 8
	seed  = 42
)

// A reader is one way to read a file.
type reader struct {
	name  string
	bytes []byte // nil if there is no slice
	at    io.ReaderAt
	close func() error
}

// openers open the file in each way. The benchmark's own comes first.
var openers = [...]func(path string) (*reader, error){
	openMmapfile, openEdsrzf, openExp, openOS,
}

func openMmapfile(path string) (*reader, error) {
	f, err := mmapfile.Open(path, mmapfile.Options{})
	if err != nil {
		return nil, err
	}
	return viewWhole(f)
}

// viewWhole makes a reader of the file and closes it.
func viewWhole(f *mmapfile.File) (*reader, error) {
	defer f.Close()
	m, err := f.Map(mmapfile.MapOptions{})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	v, err := m.View(mmapfile.Read, 0, 0)
	if err != nil {
		return nil, err
	}
	return &reader{"mmapfile", v.Bytes(), v, v.Close}, nil
}

func openEdsrzf(path string) (*reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := edsrzf.Map(f, edsrzf.RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return &reader{"mmap-go", m, nil, m.Unmap}, nil
}

func openExp(path string) (*reader, error) {
	r, err := expmmap.Open(path)
	if err != nil {
		return nil, err
	}
	return &reader{"exp-mmap", nil, r, r.Close}, nil
}

func openOS(path string) (*reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &reader{"os.File", nil, f, f.Close}, nil
}

// makeFile writes the file and returns its path and the sum of its words.
func makeFile(tb testing.TB, size int) (path string, sum uint64) {
	tb.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, size)
	for i := 0; i < size; i += word {
		n := r.Uint64()
		binary.LittleEndian.PutUint64(data[i:], n)
		sum += n
	}
	path = filepath.Join(tb.TempDir(), "data")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path, sum
}

func sumWords(b []byte) (sum uint64) {
	for ; len(b) >= word; b = b[word:] {
		sum += binary.LittleEndian.Uint64(b)
	}
	return sum
}

// sumBySlice adds up the file by the slice.
func (r *reader) sumBySlice() (sum uint64) {
	for b := r.bytes; len(b) > 0; b = b[piece:] {
		sum += sumWords(b[:piece])
	}
	return sum
}

// sumByCalls adds up the file by ReadAt.
func (r *reader) sumByCalls(size int) (sum uint64, err error) {
	buf := make([]byte, piece)
	for off := 0; off < size; off += piece {
		if _, err := r.at.ReadAt(buf, int64(off)); err != nil {
			return 0, err
		}
		sum += sumWords(buf)
	}
	return sum, nil
}

// each runs fn for every reader of one file.
func each(b *testing.B, fn func(b *testing.B, r *reader, size int, sum uint64)) {
	size := *sizeMiB << 20
	path, sum := makeFile(b, size)
	for _, open := range openers {
		r, err := open(path)
		if err != nil {
			b.Fatal(err)
		}
		fn(b, r, size, sum)
		if err := r.close(); err != nil {
			b.Fatal(err)
		}
	}
}

// slicer reads from the slice as ReadAt would.
type slicer []byte

func (s slicer) ReadAt(p []byte, off int64) (int, error) { return copy(p, s[off:]), nil }

func BenchmarkSequential(b *testing.B) {
	each(b, func(b *testing.B, r *reader, size int, sum uint64) {
		if r.bytes != nil {
			copier := &reader{at: slicer(r.bytes)}
			b.Run("copy/"+r.name, func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if got, err := copier.sumByCalls(size); got != sum || err != nil {
						b.Fatalf("sum %x, %v, want %x", got, err, sum)
					}
				}
			})
			b.Run("slice/"+r.name, func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if got := r.sumBySlice(); got != sum {
						b.Fatalf("sum %x, want %x", got, sum)
					}
				}
			})
		}
		if r.at != nil {
			b.Run("ReadAt/"+r.name, func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if got, err := r.sumByCalls(size); got != sum || err != nil {
						b.Fatalf("sum %x, %v, want %x", got, err, sum)
					}
				}
			})
		}
	})
}

func BenchmarkRandom(b *testing.B) {
	each(b, func(b *testing.B, r *reader, size int, sum uint64) {
		words := uint64(size / word)
		if r.bytes != nil {
			b.Run("copy/"+r.name, func(b *testing.B) {
				x, sink, buf := uint64(seed), uint64(0), make([]byte, word)
				for b.Loop() {
					x = x*6364136223846793005 + 1442695040888963407
					copy(buf, r.bytes[(x>>20)%words*word:])
					sink += binary.LittleEndian.Uint64(buf)
				}
				keep(sink)
			})
			b.Run("slice/"+r.name, func(b *testing.B) {
				x, sink := uint64(seed), uint64(0)
				for b.Loop() {
					x = x*6364136223846793005 + 1442695040888963407
					i := (x >> 20) % words * word
					sink += binary.LittleEndian.Uint64(r.bytes[i:])
				}
				keep(sink)
			})
		}
		if r.at != nil {
			b.Run("ReadAt/"+r.name, func(b *testing.B) {
				x, sink, buf := uint64(seed), uint64(0), make([]byte, word)
				for b.Loop() {
					x = x*6364136223846793005 + 1442695040888963407
					if _, err := r.at.ReadAt(buf, int64((x>>20)%words*word)); err != nil {
						b.Fatal(err)
					}
					sink += binary.LittleEndian.Uint64(buf)
				}
				keep(sink)
			})
		}
	})
}

var kept uint64

// keep makes the compiler compute x.
func keep(x uint64) { kept += x }

// BenchmarkMapUnmap maps an open file, touches a byte and unmaps it; with the
// file opened and closed, too, where a package does not separate that.
func BenchmarkMapUnmap(b *testing.B) {
	for _, size := range []int{64 << 10, *sizeMiB << 20} {
		path, _ := makeFile(b, size)
		name := map[bool]string{true: "small/", false: "large/"}[size == 64<<10]
		b.Run(name+"mmapfile", func(b *testing.B) { mapMmapfile(b, path) })
		b.Run(name+"mmapfile-view", func(b *testing.B) { viewMmapfile(b, path) })
		b.Run(name+"mmap-go", func(b *testing.B) { mapEdsrzf(b, path) })
		for _, open := range []func(string) (*reader, error){openMmapfile, openEdsrzf, openExp} {
			r, err := open(path)
			if err != nil {
				b.Fatal(err)
			}
			r.close()
			b.Run(name+"open+"+r.name, func(b *testing.B) {
				for b.Loop() {
					r, err := open(path)
					if err != nil {
						b.Fatal(err)
					}
					if err := r.close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// mapMmapfile maps and views.
func mapMmapfile(b *testing.B, path string) {
	f, err := mmapfile.Open(path, mmapfile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		m, err := f.Map(mmapfile.MapOptions{})
		if err != nil {
			b.Fatal(err)
		}
		v, err := m.View(mmapfile.Read, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		keep(uint64(v.Bytes()[0]))
		if v.Close() != nil || m.Close() != nil {
			b.Fatal("close failed")
		}
	}
}

// viewMmapfile views what is mapped once.
func viewMmapfile(b *testing.B, path string) {
	f, err := mmapfile.Open(path, mmapfile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	m, err := f.Map(mmapfile.MapOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for b.Loop() {
		v, err := m.View(mmapfile.Read, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		keep(uint64(v.Bytes()[0]))
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func mapEdsrzf(b *testing.B, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		m, err := edsrzf.Map(f, edsrzf.RDONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		keep(uint64(m[0]))
		if err := m.Unmap(); err != nil {
			b.Fatal(err)
		}
	}
}

// Every reader finds the same.
func TestReadersAgree(t *testing.T) {
	const size = 1 << 20
	path, sum := makeFile(t, size)
	for _, open := range openers {
		r, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		if r.bytes != nil && r.sumBySlice() != sum {
			t.Errorf("%s: wrong sum by slice", r.name)
		}
		if r.at != nil {
			if got, err := r.sumByCalls(size); got != sum || err != nil {
				t.Errorf("%s: wrong sum by calls: %v", r.name, err)
			}
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}
}
