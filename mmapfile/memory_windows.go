package mmapfile

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// kernel32 has the calls that x/sys lacks. It is loaded from the system
// directory only.
var (
	kernel32                  = windows.NewLazySystemDLL("kernel32.dll")
	procPrefetchVirtualMemory = kernel32.NewProc("PrefetchVirtualMemory")
)

// flushMemory starts the writing; FlushFileBuffers is what waits for the drive.
func flushMemory(base, length uintptr, _ bool) error {
	return windows.FlushViewOfFile(base, length)
}

func protectMemory(base, length uintptr, a Access) error {
	var old uint32
	return windows.VirtualProtect(base, length, pageProtection(a), &old)
}

// pageProtection returns the protection of pages in a view with that access.
func pageProtection(a Access) uint32 {
	switch {
	case a&Copy != 0 && a&Execute != 0:
		return windows.PAGE_EXECUTE_WRITECOPY
	case a&Copy != 0:
		return windows.PAGE_WRITECOPY
	case a&Write != 0 && a&Execute != 0:
		return windows.PAGE_EXECUTE_READWRITE
	case a&Write != 0:
		return windows.PAGE_READWRITE
	case a&Execute != 0:
		return windows.PAGE_EXECUTE_READ
	}
	return windows.PAGE_READONLY
}

// commitMemory does nothing where the pages are committed already.
func commitMemory(base, length uintptr, a Access) error {
	_, err := windows.VirtualAlloc(base, length, windows.MEM_COMMIT, pageProtection(a))
	return err
}

func lockMemory(base, length uintptr) error { return windows.VirtualLock(base, length) }

func unlockMemory(base, length uintptr) error { return windows.VirtualUnlock(base, length) }

// adviseMemory knows two of the advices. Unlocking pages that are not locked
// takes them out of the working set, and reports just that.
func adviseMemory(base, length uintptr, a Advice) error {
	switch a {
	case WillNeed:
		return prefetchMemory(base, length)
	case DontNeed:
		err := windows.VirtualUnlock(base, length)
		if errors.Is(err, windows.ERROR_NOT_LOCKED) {
			return nil
		}
		return err
	}
	return nil
}

// prefetchMemory does nothing before Windows 8.
func prefetchMemory(base, length uintptr) error {
	if procPrefetchVirtualMemory.Find() != nil {
		return nil
	}
	memoryRange := struct{ base, length uintptr }{base, length}
	ok, _, err := procPrefetchVirtualMemory.Call(uintptr(windows.CurrentProcess()), 1,
		uintptr(unsafe.Pointer(&memoryRange)), 0)
	if ok == 0 {
		return err
	}
	return nil
}
