package mmapfile

import (
	"io/fs"
	"os"
)

func openOS(path string, flag int, mode fs.FileMode) (*os.File, error) {
	o := Options{Access: Read, Mode: mode}
	switch flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) {
	case os.O_WRONLY:
		o.Access = Write
	case os.O_RDWR:
		o.Access = ReadWrite
	}
	if flag&os.O_SYNC != 0 {
		o.Flags |= WriteThrough
	}
	switch {
	case flag&os.O_APPEND != 0:
		return nil, ErrInvalid
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		o.Disposition = CreateNew
	case flag&(os.O_CREATE|os.O_TRUNC) == os.O_CREATE|os.O_TRUNC:
		o.Disposition = CreateAlways
	case flag&os.O_CREATE != 0:
		o.Disposition = OpenAlways
	case flag&os.O_TRUNC != 0:
		o.Disposition = TruncateExisting
	}
	f, _, err := openFile(path, &o)
	return f, err
}
