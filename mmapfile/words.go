package mmapfile

import (
	"sync/atomic"
	"unsafe"
)

// Uint32 returns the 4 bytes at off as an atomic variable that all processes
// with a view of them share. It is nil if off is not a multiple of 4 in the
// mapping, if the 4 bytes do not lie in the view, or if the view is closed. It
// is valid until Close; storing needs a view with Write or Copy access. The
// bytes are in the order of the machine.
func (v *View) Uint32(off int) *atomic.Uint32 {
	return (*atomic.Uint32)(v.word(off, 4))
}

// Uint64 is Uint32 for 8 bytes at a multiple of 8. It is nil, too, where the
// processor has no such atomics and Go makes them of locks, which other
// processes do not see: on 32-bit MIPS, and on ARM before version 7.
func (v *View) Uint64(off int) *atomic.Uint64 {
	if !native64 {
		return nil
	}
	return (*atomic.Uint64)(v.word(off, 8))
}

// word returns the address of size bytes at off, if they are there and aligned.
func (v *View) word(off, size int) unsafe.Pointer {
	data := v.Bytes()
	if off < 0 || off > len(data)-size || (v.off+int64(off))%int64(size) != 0 {
		return nil
	}
	return unsafe.Pointer(&data[off])
}

// Uint32s returns memory, that of PrivateMemory for one, as atomic variables. It begins
// at a multiple of 4, and what is left over at its end is not among them.
func Uint32s(b []byte) []atomic.Uint32 {
	return unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// Uint64s is Uint32s for 8 bytes each, at multiples of 8.
func Uint64s(b []byte) []atomic.Uint64 {
	return unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
}
