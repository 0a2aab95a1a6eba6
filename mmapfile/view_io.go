package mmapfile

import (
	"io"
	"runtime/debug"
)

// Reading and writing a view by calls.
//
// A pin costs two atomic additions, and those keep the processor from looking
// for the bytes of one read while it still waits for those of the read before;
// they also make goroutines fight for one cache line. So where loads become
// visible in program order, ReadAt goes without, as readers of a sequence lock:
//
//	IO1 ReadAt copies first and then looks whether the view is closed. If it
//	    is not, it was not while the bytes were loaded either, since Close says
//	    so before it unmaps. If it is, the bytes may have been anybody's, and are
//	    not reported as read.
//	IO2 A fault meanwhile, of the file or of memory that is gone, only makes
//	    ReadAt begin again with the pin, which tells which of the two it was.

// ReadAt copies from the view, as io.ReaderAt says. A fault is a *FaultError. A
// Close that comes meanwhile may make it ErrClosed. Both cost some 20 ns a call:
// many small reads are faster by bytes.NewReader(v.Bytes()) inside one Guard.
func (v *View) ReadAt(p []byte, off int64) (n int, err error) {
	data := v.bytes.Load()
	if !loadsInOrder || data == nil || uint64(off) >= uint64(len(*data)) {
		return v.readPinned(p, off)
	}
	n = min(len(p), len(*data)-int(off))
	if !tryCopy(p[:n], (*data)[off:]) || v.bytes.Load() == nil {
		return v.readPinned(p, off)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// tryCopy is copy that reports whether it came to its end: not so after a fault.
func tryCopy(to, from []byte) (done bool) {
	armed := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(armed)
		if !done {
			recover()
		}
	}()
	copy(to, from)
	done = true
	return done
}

// readPinned is ReadAt of a view that stays mapped meanwhile.
func (v *View) readPinned(p []byte, off int64) (n int, err error) {
	if !v.pin.enter() {
		return 0, wrap("read", v.path, ErrClosed)
	}
	data := v.bytes.Load()
	switch {
	case data == nil:
		err = ErrClosed
	case off < 0:
		err = ErrRange
	case off >= int64(len(*data)):
		err = io.EOF
	default:
		if n, err = copyGuarded(p, (*data)[off:]); n < len(p) && err == nil {
			err = io.EOF
		}
	}
	v.leave()
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, wrap("read", v.path, err)
}

// WriteAt copies into the view, as io.WriterAt says. It does not grow the view:
// what passes its end is ErrRange, and then nothing is written. A view without
// Write or Copy access is ErrAccess; a fault is a *FaultError.
func (v *View) WriteAt(p []byte, off int64) (n int, err error) {
	if !v.pin.enter() {
		return 0, wrap("write", v.path, ErrClosed)
	}
	data := v.bytes.Load()
	switch {
	case data == nil:
		err = ErrClosed
	case off < 0 || off > int64(len(*data)) || len(p) > len(*data)-int(off):
		err = ErrRange
	case v.access&(Write|Copy) == 0:
		err = ErrAccess
	default:
		n, err = copyGuarded((*data)[off:], p)
	}
	v.leave()
	if err == nil {
		return n, nil
	}
	return n, wrap("write", v.path, err)
}

// copyGuarded is copy that returns a fault as an error.
func copyGuarded(to, from []byte) (n int, err error) {
	armed := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(armed)
		if n < 0 {
			err = faultOr(recover())
			n = 0
		}
	}()
	n = -1
	n = copy(to, from)
	return n, nil
}

// faultOr returns the fault that was recovered, and goes on with any other panic.
func faultOr(recovered any) error {
	if fault := AsFault(recovered); fault != nil {
		return fault
	}
	panic(recovered)
}
