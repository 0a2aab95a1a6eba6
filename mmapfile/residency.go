package mmapfile

import "os"

// Advice tells the system how a view will be used.
type Advice uint8

const (
	// Normal takes back Random and Sequential.
	Normal Advice = iota
	// WillNeed asks for the bytes to be read in, without waiting.
	WillNeed
	// Random says that reading ahead is useless.
	Random
	// Sequential says that reading ahead far is useful.
	Sequential
	// DontNeed lets the system take the memory back; the bytes are read again
	// when they are touched. Copy views ignore it, since their changes are in
	// no file, and so do locked views.
	DontNeed
)

// osPage is the size of the pages that protections and residency apply to.
var osPage = uintptr(os.Getpagesize())

// onPages calls fn with the pages that hold bytes off to off+n of the view; n =
// 0 means up to its end.
func (v *View) onPages(op string, off, n int, fn func(base, length uintptr) error) error {
	return v.do(op, func(data []byte) error {
		if off < 0 || n < 0 || off > len(data) || n > len(data)-off {
			return ErrRange
		}
		if n == 0 {
			n = len(data) - off
		}
		if n == 0 {
			return nil
		}
		first := v.base + v.pad + uintptr(off)
		base := first &^ (osPage - 1)
		return fn(base, first-base+uintptr(n))
	})
}

// Flush writes what was changed in n bytes from off on to the file and waits;
// n = 0 means up to the end of the view. It is durable after File.Sync. Views
// without Write have nothing to flush.
func (v *View) Flush(off, n int) error {
	return v.onPages("flush", off, n, func(base, length uintptr) error {
		if v.access&Write == 0 {
			return nil
		}
		return flushMemory(base, length, true)
	})
}

// FlushAsync is Flush that does not wait.
func (v *View) FlushAsync(off, n int) error {
	return v.onPages("flush", off, n, func(base, length uintptr) error {
		if v.access&Write == 0 {
			return nil
		}
		return flushMemory(base, length, false)
	})
}

// Protect changes what the pages that hold n bytes from off on may be used for;
// n = 0 means up to the end of the view. It may take away what the view was made
// for, except Read, and give it back: anything else is ErrAccess. Touching a page
// against its protection is a fault, in WriteAt a *FaultError.
func (v *View) Protect(a Access, off, n int) error {
	a |= Read
	return v.onPages("protect", off, n, func(base, length uintptr) error {
		if a&^v.access != 0 {
			return ErrAccess
		}
		return protectMemory(base, length, a)
	})
}

// Lock keeps the pages that hold n bytes from off on in memory until Unlock or
// Close; n = 0 means up to the end of the view. Systems limit how much may be
// locked.
func (v *View) Lock(off, n int) error {
	return v.onPages("lock pages", off, n, func(base, length uintptr) error {
		err := lockMemory(base, length)
		if err == nil {
			v.locked.Store(true)
		}
		return err
	})
}

// Unlock ends Lock. Locks do not nest.
func (v *View) Unlock(off, n int) error {
	return v.onPages("unlock pages", off, n, unlockMemory)
}

// Advise tells how n bytes from off on will be used; n = 0 means up to the end
// of the view. What the system has no call for is ignored.
func (v *View) Advise(a Advice, off, n int) error {
	if a > DontNeed {
		return wrap("advise", v.path, ErrInvalid)
	}
	return v.onPages("advise", off, n, func(base, length uintptr) error {
		if a == DontNeed && (v.access&Copy != 0 || v.locked.Load()) {
			return nil
		}
		return adviseMemory(base, length, a)
	})
}

// Prefetch reads n bytes from off on into memory and, where the system can wait
// for it (Linux from 5.14 on), maps them, so that touching them is no fault; n =
// 0 means up to the end of the view. If a byte cannot be read, that is an error.
func (v *View) Prefetch(off, n int) error {
	return v.onPages("prefetch", off, n, prefetchMemory)
}
