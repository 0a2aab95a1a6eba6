//go:build unix

package mmapfile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// The errors of the system that this package finds out by itself.
const (
	errIsDir   = unix.EISDIR
	errNoSpace = unix.ENOSPC
)

// sectionHoldsFile: views are made from the descriptor, so a mapping keeps it.
const sectionHoldsFile = true

func classify(err error) error {
	if err == unix.ENOSYS || err == unix.EOPNOTSUPP || err == unix.ENOTSUP {
		return &classified{ErrUnsupported, err}
	}
	return err
}

// IsReadOnly reports whether err comes from a file system that cannot be written to.
func IsReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// openFile opens path and reports whether it surely did not exist before.
// Nothing is truncated yet: the share mode comes first.
func openFile(path string, o *Options) (f *os.File, created bool, err error) {
	if o.Security != "" {
		return nil, false, ErrUnsupported
	}
	flag := os.O_RDONLY
	switch {
	case o.Access&ReadWrite == ReadWrite:
		flag = os.O_RDWR
	case o.Access&Write != 0:
		flag = os.O_WRONLY
	}
	if o.Flags&WriteThrough != 0 {
		flag |= writeThroughFlag
	}
	if o.Flags&NoBuffering != 0 {
		flag |= noBufferingFlag
	}
	switch o.Disposition {
	case OpenAlways, CreateAlways:
		flag |= os.O_CREATE
	case CreateNew:
		flag |= os.O_CREATE | os.O_EXCL
		created = true
	}
	f, err = openPlain(path, flag, o.Mode)
	return f, created, err
}

// applyFlags does what open(2) has no flag for.
func applyFlags(f *os.File, flags Flags) error {
	if flags&Inherit != 0 {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	hintAccess(f, flags)
	return nil
}

// removeOnClose unlinks path if it still leads to the file.
func removeOnClose(path string, id Identity) error {
	now, err := pathIdentity(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now != id {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	// Some file systems cannot sync a directory, and need not.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

func rename(from, to string) error { return os.Rename(from, to) }

// linkNew gives the file a second name, which fails if there is one, and takes
// away the first.
func linkNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}
