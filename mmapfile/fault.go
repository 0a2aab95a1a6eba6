package mmapfile

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"
)

// A FaultError is a touch of mapped memory that the system could not serve: the
// file was cut below the view, the disk is full under a sparse file, or reading
// or writing the page failed.
type FaultError struct {
	Path   string  // the file, or the name of the mapping
	Offset int64   // in the mapping
	Addr   uintptr // the address that was touched, or near it
	Cause  error   // the runtime's error, or the errno of a system call
}

// Error returns "mmapfile: fault in path at offset: cause".
func (e *FaultError) Error() string {
	path := e.Path
	if path == "" {
		path = "anonymous memory"
	}
	if _, ok := e.Cause.(runtime.Error); ok {
		return fmt.Sprintf("mmapfile: fault in %s at offset %d: memory cannot be reached",
			path, e.Offset)
	}
	return fmt.Sprintf("mmapfile: fault in %s at offset %d: %v", path, e.Offset, e.Cause)
}

// Unwrap returns the cause.
func (e *FaultError) Unwrap() error { return e.Cause }

// Guard calls fn and returns its result. A fault in a live view of this package
// that happens on this goroutine ends fn, after its deferred calls, and is
// returned as a *FaultError. Every other panic, and runtime.Goexit, goes on as
// if Guard were not there. Guards may be nested.
//
// Goroutines that fn starts are not guarded, nor is the body of an iterator that
// iter.Pull runs: guard inside those.
func Guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			fault := AsFault(r)
			if fault == nil {
				panic(r)
			}
			err = fault
		}
	}()
	return fn()
}

// AsFault returns what a recovered panic value says about a live view: nil
// unless the value is a memory fault whose address lies in one. It is for those
// who call debug.SetPanicOnFault and recover by themselves. It takes no lock.
func AsFault(recovered any) *FaultError {
	fault, ok := recovered.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		return nil
	}
	return faultAt(fault.Addr(), fault)
}

// faultAt describes the address if it lies in a live view.
func faultAt(addr uintptr, cause error) *FaultError {
	v := findView(addr)
	if v == nil {
		return nil
	}
	off := v.off - int64(v.pad) + int64(addr-v.base)
	return &FaultError{Path: v.path, Offset: off, Addr: addr, Cause: cause}
}

// faultOf turns the error of a system call that could not reach one of bufs
// into a *FaultError if a buffer lies in a live view. The call does not say
// which byte it was, so the offset is that of the first such buffer.
func faultOf(err error, bufs ...[]byte) error {
	if err == nil || !isFault(err) {
		return err
	}
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if f := faultAt(uintptr(unsafe.Pointer(&b[0])), innermost(err)); f != nil {
			return f
		}
	}
	return err
}

// innermost returns the errno under the layers of os.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
