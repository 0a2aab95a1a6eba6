//go:build !unix && !windows

package mmapfile

import (
	"errors"
	"io/fs"
	"os"
)

// The errors of the system that this package finds out by itself.
var (
	errIsDir   = errors.New("is a directory")
	errNoSpace = errors.New("no space left on device")
)

const sectionHoldsFile = true

func classify(err error) error { return err }

func openFile(path string, o *Options) (f *os.File, created bool, err error) {
	if o.Security != "" || o.Flags&Inherit != 0 {
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
		flag |= os.O_SYNC
	}
	switch o.Disposition {
	case OpenAlways, CreateAlways:
		flag |= os.O_CREATE
	case CreateNew:
		flag |= os.O_CREATE | os.O_EXCL
		created = true
	}
	f, err = os.OpenFile(path, flag, o.Mode)
	return f, created, err
}

func applyFlags(*os.File, Flags) error { return nil }

// IsReadOnly reports whether err comes from a file system that cannot be written to.
func IsReadOnly(error) bool { return false }

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

func syncDir(string) error { return nil }

func rename(from, to string) error { return os.Rename(from, to) }

// renameNew is not one step: no such call is at hand.
func renameNew(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}
