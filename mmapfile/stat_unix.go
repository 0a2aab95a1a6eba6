//go:build unix

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// stat is File.Stat without the rest.
func stat(f *os.File, st *unix.Stat_t) error {
	for {
		err := unix.Fstat(int(f.Fd()), st)
		if err != unix.EINTR {
			return err
		}
	}
}

// identify also tells whether the file is a folder.
func identify(f *os.File) (id Identity, isDir bool, err error) {
	var st unix.Stat_t
	if err := stat(f, &st); err != nil {
		return Identity{}, false, err
	}
	id = Identity{Volume: uint64(st.Dev), Index: uint64(st.Ino)}
	return id, uint32(st.Mode)&unix.S_IFMT == unix.S_IFDIR, nil
}
