//go:build linux || solaris || aix

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func syncFile(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}
