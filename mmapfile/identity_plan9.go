package mmapfile

import (
	"io/fs"
	"syscall"
)

func identityOf(info fs.FileInfo) (Identity, error) {
	d, ok := info.Sys().(*syscall.Dir)
	if !ok {
		return Identity{}, ErrUnsupported
	}
	return Identity{Volume: uint64(d.Type)<<32 | uint64(d.Dev), Index: d.Qid.Path}, nil
}
