//go:build unix || js || wasip1

package mmapfile

import (
	"io/fs"
	"syscall"
)

func identityOf(info fs.FileInfo) (Identity, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Identity{}, ErrUnsupported
	}
	return Identity{Volume: uint64(st.Dev), Index: uint64(st.Ino)}, nil
}
