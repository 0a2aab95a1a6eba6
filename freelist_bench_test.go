package mapleaf

import (
	"math/rand/v2"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// The benchmarks of the free space work on a set of 100,000 extents of 1 to 8 pages, none
// next to another: a file of 6 GB in small pieces.

const benchExtents = 100_000

// benchFree returns the set.
func benchFree() *freelist {
	f := &freelist{}
	f.reset(benchExtents * 16)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range benchExtents {
		f.give(extent{tx.PageID(i * 16), uint32(1 + r.IntN(8))})
	}
	return f
}

// benchTake takes extents and gives each back after some others were taken.
func benchTake(b *testing.B, take func(f *freelist) (extent, bool)) {
	const taken = 1000
	f := benchFree()
	ring := make([]extent, taken)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%taken == 0 {
			f.settle()
		}
		e, ok := take(f)
		if !ok {
			b.Fatal("there is no free page")
		}
		f.give(ring[i%taken])
		ring[i%taken] = e
	}
	if f.top() != benchExtents*16 {
		b.Fatal("the file has grown")
	}
}

// BenchmarkFreelistTake takes the best fit for an extent and gives one back.
func BenchmarkFreelistTake(b *testing.B) {
	for _, c := range []struct {
		name  string
		count uint32
	}{{"1 page", 1}, {"5 pages", 5}} {
		b.Run(c.name, func(b *testing.B) {
			benchTake(b, func(f *freelist) (extent, bool) { return f.take(c.count) })
		})
	}
}

// BenchmarkFreelistRun takes the run from which a transaction cuts single pages, and
// gives one back.
func BenchmarkFreelistRun(b *testing.B) {
	benchTake(b, func(f *freelist) (extent, bool) { return f.takeRun(64) })
}

// BenchmarkFreelistRelease frees the page that a transaction has replaced, with nobody
// who reads it, and with a reader that holds it until the next one.
func BenchmarkFreelistRelease(b *testing.B) {
	for _, c := range []struct {
		name    string
		readers tx.TxID // 1 if a reader of the state before holds the page
	}{{"unread", 0}, {"held by a reader", 1}} {
		b.Run(c.name, func(b *testing.B) {
			f := benchFree()
			freed := make([]freedExtent, 1)
			live := make([]tx.TxID, c.readers)
			b.ReportAllocs()
			for now := tx.TxID(10); b.Loop(); now++ {
				e, ok := f.take(1)
				if !ok {
					b.Fatal("there is no free page")
				}
				for i := range live {
					live[i] = now - 1
				}
				freed[0] = freedExtent{e, now - 5, now}
				f.release(freed, live)
				f.settle()
			}
			if f.holds() != (c.readers > 0) {
				b.Fatal("readers hold something else")
			}
		})
	}
}
