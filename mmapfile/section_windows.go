package mmapfile

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// canReserve: a section ends with its file.
const canReserve = false

// A section is the handle of a file mapping; 0 for an empty file, which the
// system does not map.
type section struct {
	handle windows.Handle
	page   int64 // of large pages; 0 for those of the system
}

var pageProtections = [...]uint32{
	ProtRead:             windows.PAGE_READONLY,
	ProtReadWrite:        windows.PAGE_READWRITE,
	ProtWriteCopy:        windows.PAGE_WRITECOPY,
	ProtExecuteRead:      windows.PAGE_EXECUTE_READ,
	ProtExecuteReadWrite: windows.PAGE_EXECUTE_READWRITE,
	ProtExecuteWriteCopy: windows.PAGE_EXECUTE_WRITECOPY,
}

// Constants that x/sys lacks.
const (
	secReserve        = 0x4000000
	secCommit         = 0x8000000
	secLargePages     = 0x80000000
	fileMapLargePages = 0x20000000
)

func newSection(f *File, o *MapOptions, size int64) (section, error) {
	if size == 0 {
		return section{}, nil
	}
	h, err := createSection(windows.Handle(f.os.Fd()), pageProtections[o.Protection], size, "")
	return section{handle: h}, err
}

// createSection returns ERROR_ALREADY_EXISTS together with the handle of a
// section that has the name.
func createSection(file windows.Handle, prot uint32, size int64, name string) (
	windows.Handle, error) {
	var p *uint16
	if name != "" {
		var err error
		if p, err = windows.UTF16PtrFromString(name); err != nil {
			return 0, err
		}
	}
	h, err := windows.CreateFileMapping(file, nil, prot, uint32(size>>32), uint32(size), p)
	if err == windows.ERROR_NOT_ENOUGH_MEMORY {
		err = &classified{ErrTooLarge, err}
	}
	return h, err
}

// granularity is what the offset of a view in the file must be a multiple of.
func (s section) granularity() int64 { return max(64<<10, s.page) }

func (s section) memoryLength(n int64) int64 { return n }

func (s section) close() error {
	if s.handle == 0 {
		return nil
	}
	return windows.CloseHandle(s.handle)
}

// view maps length bytes from off on, which is a multiple of the granularity.
func (s section) view(a Access, off int64, length uintptr) (unsafe.Pointer, error) {
	access := uint32(windows.FILE_MAP_READ)
	switch {
	case a&Copy != 0:
		access = windows.FILE_MAP_COPY
	case a&Write != 0:
		access = windows.FILE_MAP_WRITE
	}
	if a&Execute != 0 {
		access |= windows.FILE_MAP_EXECUTE
	}
	if s.page != 0 {
		access |= fileMapLargePages
	}
	p, err := windows.MapViewOfFile(s.handle, access, uint32(off>>32), uint32(off), length)
	if err == windows.ERROR_NOT_ENOUGH_MEMORY {
		err = &classified{ErrTooLarge, err}
	}
	return pointerTo(p), err
}

func unmapMemory(base, _ uintptr) error { return windows.UnmapViewOfFile(base) }

// isFault reports whether a system call could not reach the caller's memory.
func isFault(err error) bool {
	return errors.Is(err, windows.ERROR_NOACCESS) || errors.Is(err, windows.ERROR_SWAPERROR) ||
		errors.Is(err, windows.ERROR_INVALID_USER_BUFFER)
}

// extend fails: the system does not make a view longer.
func (s section) extend(*View, uintptr) error { return ErrNoRoom }
