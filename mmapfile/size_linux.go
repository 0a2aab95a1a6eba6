package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// fileSize asks for the size and for nothing else. Whoever has seen the times of a file, as
// by fstat, has the kernel give the next write a time of its own (from Linux 6.13 on): each
// write then changes the inode, and what is to be durable waits for its journal, which takes
// a third longer.
func fileSize(f *os.File) (int64, error) {
	for {
		var stx unix.Statx_t
		err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_SIZE, &stx)
		switch err {
		case nil:
			return int64(stx.Size), nil
		case unix.EINTR:
			continue
		case unix.ENOSYS, unix.EPERM: // an old kernel, or a sandbox that does not know it
			var st unix.Stat_t
			err = stat(f, &st)
			return st.Size, err
		}
		return 0, err
	}
}
