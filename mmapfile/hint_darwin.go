package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func hintAccess(f *os.File, flags Flags) {
	if flags&NoBuffering != 0 {
		unix.FcntlInt(f.Fd(), unix.F_NOCACHE, 1)
	}
	if flags&RandomAccess != 0 {
		unix.FcntlInt(f.Fd(), unix.F_RDAHEAD, 0)
	}
}
