package mmapfile

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openDrive opens the inode, whatever its path is by now: OFD locks stay as they are.
func openDrive(f *os.File, name string) (DriveReader, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	osf, err := os.OpenFile(path, unix.O_DIRECT|os.O_RDONLY, 0)
	if err != nil { // no /proc, or a file system without direct reads
		return nil, ErrUnsupported
	}
	buf := make([]byte, driveChunk+DriveBlock)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(buf)))) & (DriveBlock - 1)
	return &driveReader{osf, name, buf[skip:][:driveChunk]}, nil
}

// driveChunk is how much is read at a time.
const driveChunk = 1 << 20

// A driveReader reads through a buffer that is aligned as the system wants it.
type driveReader struct {
	os   *os.File
	name string // of the file that was opened before
	buf  []byte
}

func (d *driveReader) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var got int
		err = uninterrupted("read", d.name, func() (err error) {
			got, err = d.os.ReadAt(d.buf[:min(len(p)-n, len(d.buf))], off+int64(n))
			return err
		})
		n += copy(p[n:], d.buf[:got])
	}
	if err != nil && err != io.EOF {
		err = wrap("read", d.name, err)
	}
	return n, err
}

func (d *driveReader) Close() error { return wrap("close", d.name, d.os.Close()) }
