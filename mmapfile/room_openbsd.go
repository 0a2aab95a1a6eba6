package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// freeRoom returns how many bytes the file system of f has left.
func freeRoom(f *os.File) (room uint64, known bool) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, false
	}
	return st.F_bfree * uint64(st.F_bsize), true
}
