//go:build !unix && !windows

package mmapfile

import "os"

// identify also tells whether the file is a folder.
func identify(f *os.File) (id Identity, isDir bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return Identity{}, false, err
	}
	id, err = identityOf(info)
	return id, info.IsDir(), err
}
