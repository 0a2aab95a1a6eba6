package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserveSpace asks for room in one piece, then in any, behind what is there.
func reserveSpace(f *os.File, old, size int64) error {
	if size <= old {
		return nil
	}
	store := unix.Fstore_t{
		Flags:   unix.F_ALLOCATECONTIG | unix.F_ALLOCATEALL,
		Posmode: unix.F_PEOFPOSMODE,
		Length:  size - old,
	}
	err := unix.FcntlFstore(f.Fd(), unix.F_PREALLOCATE, &store)
	if err != nil {
		store.Flags = unix.F_ALLOCATEALL
		err = unix.FcntlFstore(f.Fd(), unix.F_PREALLOCATE, &store)
	}
	if err == unix.ENOTSUP || err == unix.EOPNOTSUPP || err == unix.EINVAL {
		return ErrUnsupported
	}
	if err != nil {
		return err
	}
	return f.Truncate(size)
}
