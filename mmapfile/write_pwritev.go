//go:build darwin || openbsd

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func pwritev(f *os.File, bufs [][]byte, off int64) (int, error) {
	return unix.Pwritev(int(f.Fd()), bufs, off)
}
