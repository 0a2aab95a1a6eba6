//go:build unix

package mmapfile

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canReserve: a view may reach behind the end of the file.
const canReserve = true

// A section is the descriptor that views are made from. The mapping keeps it.
type section struct {
	file *File
	page int64 // of large pages; 0 for those of the system
}

func newSection(f *File, _ *MapOptions, _ int64) (section, error) {
	return section{file: f}, nil
}

func (s section) close() error { return nil }

// granularity is what the offset of a view in the file must be a multiple of.
func (s section) granularity() int64 { return max(s.page, int64(osPage)) }

// memoryLength rounds the length of a view up to what munmap wants: whole large
// pages. For those of the system it rounds by itself.
func (s section) memoryLength(n int64) int64 {
	if s.page != 0 {
		n = (n + s.page - 1) / s.page * s.page
	}
	return n
}

// view maps length bytes from off on, which is a multiple of the granularity.
func (s section) view(a Access, off int64, length uintptr) (unsafe.Pointer, error) {
	flags := unix.MAP_SHARED
	if a&Copy != 0 {
		flags = unix.MAP_PRIVATE
	}
	p, err := unix.MmapPtr(int(s.file.os.Fd()), off, nil, length, memoryProt(a), flags)
	if err == unix.ENOMEM || err == unix.EOVERFLOW {
		return nil, &classified{ErrTooLarge, err}
	}
	return p, err
}

// memoryProt returns the bits of mmap and mprotect.
func memoryProt(a Access) int {
	prot := unix.PROT_READ
	if a&(Write|Copy) != 0 {
		prot |= unix.PROT_WRITE
	}
	if a&Execute != 0 {
		prot |= unix.PROT_EXEC
	}
	return prot
}

func unmapMemory(base, length uintptr) error {
	return unix.MunmapPtr(pointerTo(base), length)
}

// isFault reports whether a system call could not reach the caller's memory.
func isFault(err error) bool { return errors.Is(err, unix.EFAULT) }
