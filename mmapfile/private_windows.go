package mmapfile

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func allocatePrivate(size int) ([]byte, error) {
	at, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_COMMIT|windows.MEM_RESERVE,
		windows.PAGE_READWRITE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(pointerTo(at)), size), nil
}

func allocateSparse(size int) ([]byte, error) { return allocatePrivate(size) }

func freePrivate(b []byte) error {
	return windows.VirtualFree(uintptr(unsafe.Pointer(unsafe.SliceData(b))), 0,
		windows.MEM_RELEASE)
}
