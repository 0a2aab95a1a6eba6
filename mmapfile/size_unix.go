//go:build unix

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// fileSize is Stat without the rest.
func fileSize(f *os.File) (int64, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(int(f.Fd()), &st)
		if err != unix.EINTR {
			return st.Size, err
		}
	}
}
