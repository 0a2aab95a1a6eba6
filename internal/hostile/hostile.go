// Package hostile makes hostile files for tests: somebody who knows the format changes what
// pages say, and makes the checksums right again. Such a file can hold any data, so what it
// gives cannot be compared; but whatever is called with it returns, with data or with an
// error, and without a panic, a hang, or memory beyond a bound.
//
// The package knows the format from its tables, and shares no code with the store: it must
// be able to write what the store never would. It knows it for pages of 4096 bytes only.
package hostile

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"
)

const (
	pageShift = 12
	pageSize  = 1 << pageShift
	firstPage = 8     // behind the metas
	metaGap   = 16384 // from the one meta to the other

	metaRoot     = 40 // id and stamp
	metaLogs     = 104
	metaLogSize  = 24
	metaChecksum = 168

	logPages = 4
	logSalt  = 8

	recordLength = 8
	recordHead   = 48

	headerID    = 8
	headerCount = 12
	headerBirth = 16
	headerSize  = 32
)

var le = binary.LittleEndian

// A File is a file that becomes hostile.
type File struct {
	// Bytes are the file's own, to be changed at will before Reseal.
	Bytes []byte

	// Refs are the offsets of references: the id of a page that exists, and its stamp, of
	// four bytes each.
	Refs []int

	r *rand.Rand
}

// New returns a copy of the content of a whole file, in which the references are found. What
// is random in its changes is drawn from r.
func New(r *rand.Rand, content []byte) *File {
	f := &File{Bytes: bytes.Clone(content), r: r}
	for at := firstPage<<pageShift + headerSize; at+8 <= len(f.Bytes); at += 2 {
		id := int(le.Uint32(f.Bytes[at:])) // negative where an int has 32 bits
		in := at & (pageSize - 1)
		if id < firstPage || id >= f.pages() || in < headerSize || in > pageSize-8 {
			continue
		}
		if p := f.Bytes[id<<pageShift:]; le.Uint32(p[headerID:]) == uint32(id) &&
			le.Uint32(p[headerBirth:]) == le.Uint32(f.Bytes[at+4:]) && le.Uint32(p[headerBirth:]) != 0 {
			f.Refs = append(f.Refs, at)
		}
	}
	return f
}

// Point makes the reference at an offset lead to a page, with the stamp that is right there.
func (f *File) Point(at, id int) {
	le.PutUint32(f.Bytes[at:], uint32(id))
	le.PutUint32(f.Bytes[at+4:], le.Uint32(f.Bytes[id<<pageShift+headerBirth:]))
}

func (f *File) pages() int { return len(f.Bytes) >> pageShift }

// ref chooses a reference, and page a page that is no meta.
func (f *File) ref() int  { return f.Refs[f.r.IntN(len(f.Refs))] }
func (f *File) page() int { return firstPage + f.r.IntN(f.pages()-firstPage) }

// word puts a value of which bounds are often checked badly.
func (f *File) word(at int) {
	words := []uint32{0, 1, 2, 7, 8, 0xffff, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	switch f.r.IntN(3) {
	case 0:
		le.PutUint16(f.Bytes[at:], uint16(words[f.r.IntN(len(words))]))
	case 1:
		le.PutUint32(f.Bytes[at:], words[f.r.IntN(len(words))])
	default:
		f.Bytes[at] += byte(f.r.IntN(5)) - 2
	}
}

// records returns where the records of the log begin that the metas name.
func (f *File) records() (all []int) {
	for _, slot := range []int{0, metaGap} {
		for _, at := range []int{slot + metaLogs, slot + metaLogs + metaLogSize} {
			first := int(le.Uint32(f.Bytes[at:]))
			end := first + int(le.Uint32(f.Bytes[at+logPages:]))
			for id := first; id < end && id+1 <= f.pages(); id++ {
				if le.Uint32(f.Bytes[id<<pageShift+recordLength:]) >= recordHead {
					all = append(all, id<<pageShift)
				}
			}
		}
	}
	return all
}

// A Way changes a file.
type Way struct {
	// Name tells it from the others.
	Name string

	apply func(f *File)
}

// Make returns a copy of the content of a whole file, changed in this way, with checksums
// that are right. Only r decides what is changed.
func (w Way) Make(r *rand.Rand, content []byte) []byte {
	f := New(r, content)
	w.apply(f)
	Reseal(f.Bytes)
	return f.Bytes
}

// Ways are all of them, in a fixed order.
var Ways = []Way{
	{"cycle", func(f *File) { // a page that leads to itself
		at := f.ref()
		f.Point(at, at>>pageShift)
	}},
	{"shared page", func(f *File) { // two references to one page
		from := f.ref()
		copy(f.Bytes[f.ref():], f.Bytes[from:from+8])
	}},
	{"other kind", func(f *File) { f.Point(f.ref(), f.page()) }},
	{"root", func(f *File) { // of everything: another page of the file
		id := f.page()
		for _, slot := range []int{0, metaGap} {
			f.Point(slot+metaRoot, id)
		}
	}},
	{"extent length", func(f *File) { f.word(f.page()<<pageShift + headerCount) }},
	{"page header", func(f *File) { f.word(f.page()<<pageShift + headerID + f.r.IntN(16)) }},
	{"node header", func(f *File) { f.word(f.page()<<pageShift + headerSize + f.r.IntN(12)) }},
	{"cells", func(f *File) {
		for page := f.page(); f.r.IntN(4) > 0; {
			f.word(page<<pageShift + 44 + f.r.IntN(100)) // heads, offsets, children
			f.word(page<<pageShift + 44 + f.r.IntN(4000))
		}
	}},
	{"meta", func(f *File) {
		at := f.r.IntN(160)
		f.word(at)
		copy(f.Bytes[metaGap:], f.Bytes[:metaChecksum])
	}},
	{"log", func(f *File) {
		if records := f.records(); len(records) > 0 {
			for range 1 + f.r.IntN(3) {
				f.word(records[f.r.IntN(len(records))] + recordLength + f.r.IntN(150))
			}
		}
	}},
	{"count below", func(f *File) { // the number of records below a child
		at := f.ref()
		le.PutUint64(f.Bytes[at+8:], f.r.Uint64()>>f.r.IntN(64))
	}},
}

// Reseal makes the checksums of both metas, of all pages and of the records of the log right
// for what they hold. The file may be of any bytes, and of any length.
func Reseal(file []byte) {
	for _, at := range []int{0, metaGap} {
		if at+pageSize <= len(file) {
			le.PutUint64(file[at+metaChecksum:], xxhash.Sum64(file[at:at+metaChecksum]))
			resealLog(file, file[at:at+pageSize])
		}
	}
	for at := firstPage << pageShift; at+pageSize <= len(file); at += pageSize {
		count := uint64(le.Uint32(file[at+headerCount:]))
		end := uint64(at) + pageSize*count
		if count == 0 || end > uint64(len(file)) {
			continue
		}
		le.PutUint64(file[at:], sumOf(uint64(at>>pageShift), file[at+8:end]))
	}
}

// resealLog makes the checksums of the records right that the meta names.
func resealLog(file, meta []byte) {
	for i := range 2 {
		log := meta[metaLogs+i*metaLogSize:][:metaLogSize]
		first, count := le.Uint32(log), le.Uint32(log[logPages:])
		at, end := uint64(first)<<pageShift, uint64(first+count)<<pageShift
		for ; at+pageSize <= min(end, uint64(len(file))); at += pageSize {
			size := uint64(le.Uint32(file[at+recordLength:]))
			if size < recordHead || at+size > uint64(len(file)) {
				continue
			}
			le.PutUint64(file[at:], sumOf(le.Uint64(log[logSalt:]), file[at+8:at+size]))
		}
	}
}

// sumOf returns the checksum of b with a seed.
func sumOf(seed uint64, b []byte) uint64 {
	sum := xxhash.NewWithSeed(seed)
	_, _ = sum.Write(b)
	return sum.Sum64()
}
