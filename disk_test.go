package mapleaf

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// A simulated disk: it notes what all descriptors of one file do, and makes the
// contents that the file may have after a loss of power at any moment.
//
// The fault model:
//
//	D1 What a sync covers is there: all that had returned when a sync began which has
//	   returned since, and a durable write once it has returned.
//	D2 Every sector of 512 bytes that was written otherwise holds what it held before,
//	   or one of the things written since, or zeros, or noise, each for itself: so
//	   writes come apart and pass each other.
//	D3 A change of the size that was not synced has happened or not. What was written
//	   beyond the size is there, with the size, or not.
type disk struct {
	mu     sync.Mutex
	clock  int // goes up whenever a call begins or returns
	events []diskEvent
}

// A diskEvent is one call, or a note of the workload.
type diskEvent struct {
	kind       opKind
	off, size  int64
	data       []byte
	note       uint64
	begin, end int // by the clock; end 0: the call has not returned
}

const (
	opOpen    opKind = "open"    // a descriptor
	opStarted opKind = "started" // a note: transaction number note is running
)

// begin notes a call, and returns its number.
func (d *disk) begin(e diskEvent) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock++
	e.begin = d.clock
	d.events = append(d.events, e)
	return len(d.events) - 1
}

func (d *disk) end(i int, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock++
	if err == nil {
		d.events[i].end = d.clock
	}
	return err
}

// say notes something that happens at once.
func (d *disk) say(kind opKind, note uint64) {
	_ = d.end(d.begin(diskEvent{kind: kind, note: note}), nil)
}

// last returns the largest note of a kind before the moment at.
func (d *disk) last(kind opKind, at int) (n uint64) {
	for _, e := range d.events {
		if e.kind == kind && e.end > 0 && e.end < at {
			n = max(n, e.note)
		}
	}
	return n
}

// returned reports when call number n of a kind, from 1 on, had returned.
func (d *disk) returned(kind opKind, n int) int {
	for _, e := range d.events {
		if e.kind == kind {
			if n--; n == 0 {
				return e.end
			}
		}
	}
	return d.clock + 1
}

// wrap returns Options.wrapFile for one more descriptor.
func (d *disk) wrap(f file) file {
	d.say(opOpen, 0)
	return &diskFile{file: f, disk: d}
}

// A diskFile is a descriptor. What it makes durable is so on the simulated disk only.
type diskFile struct {
	file
	disk    *disk
	syncing atomic.Bool
}

func (f *diskFile) WriteVec(bufs [][]byte, off int64) error {
	i := f.disk.begin(diskEvent{kind: opWrite, off: off, data: slices.Concat(bufs...)})
	return f.disk.end(i, f.file.WriteVec(bufs, off))
}

func (f *diskFile) WriteVecDurable(bufs [][]byte, off int64) error {
	i := f.disk.begin(diskEvent{kind: opDurable, off: off, data: slices.Concat(bufs...)})
	return f.disk.end(i, f.file.WriteVec(bufs, off))
}

func (f *diskFile) Allocate(size int64) error {
	i := f.disk.begin(diskEvent{kind: opAllocate, size: size})
	return f.disk.end(i, f.file.Allocate(size))
}

func (f *diskFile) Truncate(size int64) error {
	i := f.disk.begin(diskEvent{kind: opTruncate, size: size})
	return f.disk.end(i, f.file.Truncate(size))
}

// Sync fails if another one runs on the descriptor: of two, one only would be told of an
// error of the drive (R2).
func (f *diskFile) Sync() error {
	if !f.syncing.CompareAndSwap(false, true) {
		return errors.New("two syncs at once on one descriptor")
	}
	defer f.syncing.Store(false)
	i := f.disk.begin(diskEvent{kind: opSync})
	runtime.Gosched() // let another one come
	return f.disk.end(i, nil)
}

func (f *diskFile) WriteBack(int64, int64) error { return nil }

func (f *diskFile) StartWriteBack(int64, int64) error { return nil }

func (f *diskFile) Drive() (mmapfile.DriveReader, error) { return cacheReader{f}, nil }

// A fate draws what becomes of the sectors and sizes that were not synced.
type fate struct {
	r                 *rand.Rand
	keep, zero, noise float64 // parts of the sectors; the rest stays as it was
	sizes             float64 // part of the changes of the size
	clip              bool    // what was written beyond the size is lost
}

// newFate draws how good the disk is.
func newFate(r *rand.Rand) *fate {
	f := &fate{r: r, sizes: []float64{0, 0.5, 1}[r.IntN(3)], clip: r.IntN(2) == 0}
	f.keep = []float64{0, 1, 0.5, 15.0 / 16, 1.0 / 16}[r.IntN(5)]
	switch r.IntN(4) {
	case 0:
		f.zero = (1 - f.keep) * r.Float64()
	case 1:
		f.noise = (1 - f.keep) * r.Float64()
	case 2:
		f.zero, f.noise = (1-f.keep)/2, (1-f.keep)/4
	}
	return f
}

// sector returns what stands where piece was to be written, nil for what stood there.
func (f *fate) sector(piece []byte) []byte {
	switch p := f.r.Float64(); {
	case p < f.keep:
		return piece
	case p < f.keep+f.zero:
		return make([]byte, len(piece))
	case p < f.keep+f.zero+f.noise:
		noise := make([]byte, len(piece))
		for i := range noise {
			noise[i] = byte(f.r.Uint32())
		}
		return noise
	}
	return nil
}

// image returns what the file holds after a loss of power at the moment at. skip tells
// which syncs, and durable writes, shall count for nothing.
func (d *disk) image(base []byte, at int, f *fate, skip func(i int) bool) []byte {
	synced := 0
	for i, e := range d.events {
		if e.kind == opSync && e.end > 0 && e.end < at && !(skip != nil && skip(i)) {
			synced = max(synced, e.begin)
		}
	}
	img := &memFile{slices.Clone(base)}
	for i, e := range d.events {
		if e.begin >= at {
			break
		}
		safe := e.end > 0 && e.end < synced
		switch e.kind {
		case opAllocate:
			if safe || f.r.Float64() < f.sizes {
				img.Allocate(e.size)
			}
		case opTruncate:
			if safe || f.r.Float64() < f.sizes {
				img.Truncate(e.size)
			}
		case opDurable:
			safe = safe || e.end > 0 && e.end < at && !(skip != nil && skip(i))
			fallthrough
		case opWrite:
			img.settle(e, f, safe)
		}
	}
	return img.b
}

// settle writes what becomes of a write.
func (m *memFile) settle(e diskEvent, f *fate, safe bool) {
	if safe {
		m.WriteVec([][]byte{e.data}, e.off)
		return
	}
	for n := 0; n < len(e.data); {
		end := min(len(e.data), n+sector-int((e.off+int64(n))%sector))
		piece, off := f.sector(e.data[n:end]), e.off+int64(n)
		if beyond := off+int64(end-n) > int64(len(m.b)); piece != nil && !(beyond && f.clip) {
			m.WriteVec([][]byte{piece}, off)
		}
		n = end
	}
}
