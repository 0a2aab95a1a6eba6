package mmapfile

import (
	"errors"
	"io/fs"
	"os"
)

// A sentinel is a comparable error that also answers to an error of the
// standard library, so that errors.Is works with either.
type sentinel struct {
	text string
	std  error
}

func (s *sentinel) Error() string { return "mmapfile: " + s.text }

func (s *sentinel) Is(target error) bool { return s.std != nil && target == s.std }

// The errors of this package. Every error that it returns is an *Error or one
// of these, and errors.Is finds the sentinel, the errno beneath it, and the
// error of the standard library that is named here.
var (
	// ErrClosed means use after Close, or that Close ended a call that waited. It
	// is fs.ErrClosed too.
	ErrClosed error = &sentinel{"already closed", fs.ErrClosed}

	// ErrMapped means that the file cannot become shorter than a live mapping
	// or view of this process (on Windows, of any process).
	ErrMapped error = &sentinel{"file is mapped", nil}

	// ErrTooLarge means a size, offset or length that this system or its address
	// space cannot hold. What never fits is told before any system call; what
	// finds no gap among other views, by the call.
	ErrTooLarge error = &sentinel{"too large for this system", nil}

	// ErrRange means a negative size or offset, or a range that passes the end
	// of the mapping or view. It is fs.ErrInvalid too.
	ErrRange error = &sentinel{"out of range", fs.ErrInvalid}

	// ErrInvalid means options that contradict each other. It is fs.ErrInvalid too.
	ErrInvalid error = &sentinel{"invalid argument", fs.ErrInvalid}

	// ErrAccess means that the access of the file does not allow the mapping's
	// protection, or the protection not the view; on Unix also that what lies in
	// the place of a name's file is a link, no regular file, or one that others
	// may open. It is fs.ErrPermission too.
	ErrAccess error = &sentinel{"access not granted", fs.ErrPermission}

	// ErrUnsupported means that this system has no such thing. It is
	// errors.ErrUnsupported too.
	ErrUnsupported error = &sentinel{"not supported on this system", errors.ErrUnsupported}

	// ErrNoRoom means that a view cannot grow where it lies: make another.
	ErrNoRoom error = &sentinel{"no room behind the view", nil}

	// ErrSharing means that the share mode of an open handle forbids this
	// access, or that this share mode forbids an open handle.
	ErrSharing error = &sentinel{"sharing violation", nil}

	// ErrLocked means that somebody else holds a lock on the range.
	ErrLocked error = &sentinel{"locked by another holder", nil}

	// ErrNotLocked means an unlock of what is not locked.
	ErrNotLocked error = &sentinel{"not locked", fs.ErrInvalid}

	// ErrAbandoned means that the lock was taken, but its last holder ended
	// without releasing it: what it protects may be half changed.
	ErrAbandoned error = &sentinel{"last holder died with the lock", nil}
)

// An Error tells which operation failed, on what, and why.
type Error struct {
	Op   string // what was tried: "open", "map", "lock", ...
	Path string // the file or the name; empty for anonymous memory
	Err  error  // a sentinel of this package, an errno, or both joined
}

// Error returns "mmapfile: op path: cause".
func (e *Error) Error() string {
	text := e.Err.Error()
	if len(text) > 10 && text[:10] == "mmapfile: " {
		text = text[10:]
	}
	if e.Path == "" {
		return "mmapfile: " + e.Op + ": " + text
	}
	return "mmapfile: " + e.Op + " " + e.Path + ": " + text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// wrap returns nil for nil, and else err as an *Error of this operation. The
// layers that os puts around an errno are taken off, so that a text names the
// path once.
func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	for {
		switch e := err.(type) {
		case *Error:
			return err
		case *FaultError:
			return err
		case *fs.PathError:
			err = e.Err
			continue
		case *os.LinkError:
			err = e.Err
			continue
		case *os.SyscallError:
			err = e.Err
			continue
		}
		if err == fs.ErrClosed || err == os.ErrClosed {
			err = ErrClosed
		}
		return &Error{Op: op, Path: path, Err: classify(err)}
	}
}

// A classified error is a sentinel together with the errno that it stands for.
type classified struct{ sentinel, errno error }

func (c *classified) Error() string   { return c.sentinel.Error() + " (" + c.errno.Error() + ")" }
func (c *classified) Unwrap() []error { return []error{c.sentinel, c.errno} }
