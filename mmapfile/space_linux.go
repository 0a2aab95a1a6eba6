package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func reserveSpace(f *os.File, _, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch err {
		case unix.EINTR:
			continue
		case unix.EOPNOTSUPP, unix.ENOSYS:
			return ErrUnsupported
		}
		return err
	}
}
