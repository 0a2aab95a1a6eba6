package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func hintAccess(f *os.File, flags Flags) {
	switch {
	case flags&RandomAccess != 0:
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)
	case flags&SequentialScan != 0:
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
	}
}
