//go:build unix && !linux

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func fileSize(f *os.File) (int64, error) {
	var st unix.Stat_t
	err := stat(f, &st)
	return st.Size, err
}
