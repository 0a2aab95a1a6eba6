//go:build !unix && !windows

package mmapfile

import (
	"io/fs"
	"os"
)

func openOS(path string, flag int, mode fs.FileMode) (*os.File, error) {
	if flag&os.O_APPEND != 0 {
		return nil, ErrInvalid
	}
	return os.OpenFile(path, flag, mode)
}
