//go:build unix

package mmapfile

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func openOS(path string, flag int, mode fs.FileMode) (*os.File, error) {
	if flag&os.O_APPEND != 0 {
		return nil, ErrInvalid
	}
	return openPlain(path, flag, mode)
}

// openPlain is os.OpenFile of what cannot be polled: files and folders. That
// makes up to five more calls to find out whether it can.
func openPlain(path string, flag int, mode fs.FileMode) (*os.File, error) {
	for {
		fd, err := unix.Open(path, flag|unix.O_CLOEXEC, uint32(mode.Perm()))
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if err != unix.EINTR {
			return nil, err
		}
	}
}
