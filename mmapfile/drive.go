package mmapfile

import "io"

// A DriveReader reads a file past the system's cache. Its ReadAt is that of
// io.ReaderAt for offsets and lengths that are multiples of DriveBlock.
type DriveReader interface {
	io.ReaderAt
	io.Closer
}

// DriveBlock is what offsets and lengths of a DriveReader are multiples of, in
// bytes.
const DriveBlock = 4096

// Drive opens the file once more, for reads that bypass the system's cache: after
// a Sync they tell what is on the drive, where the cache may still show what a
// failed sync has left in it. Where the system or the file system has no such
// reads (outside Linux), the error is ErrUnsupported. The caller closes it.
func (f *File) Drive() (r DriveReader, err error) {
	err = f.do("open", func() error { r, err = openDrive(f.os, f.name); return err })
	return r, err
}
