//go:build unix || windows

package mmapfile

import "unsafe"

// pointerTo makes a pointer of the address of mapped memory, which lies outside
// the Go heap and does not move.
func pointerTo(addr uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&addr))
}
