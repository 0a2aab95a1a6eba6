package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func pwritev(f *os.File, bufs [][]byte, off int64) (int, error) {
	return unix.Pwritev(int(f.Fd()), bufs, off)
}

// writeVecDurable falls back to a sync where the kernel or the file system does
// not know RWF_DSYNC.
func writeVecDurable(f *File, bufs [][]byte, off int64) error {
	fd := int(f.os.Fd())
	err := writeChunks(bufs, off, func(b [][]byte, off int64) (int, error) {
		return unix.Pwritev2(fd, b, off, unix.RWF_DSYNC)
	})
	if err != unix.EOPNOTSUPP && err != unix.ENOSYS && err != unix.EINVAL {
		return err
	}
	if err := writeVec(f.os, bufs, off); err != nil {
		return err
	}
	return syncFile(f.os)
}

// writeBack waits for writes in flight, starts new ones, and waits for those:
// less would leave a page that is changed while it is written.
func writeBack(f *os.File, off, n int64) error {
	return syncRange(f, off, n, unix.SYNC_FILE_RANGE_WAIT_BEFORE|
		unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}

func startWriteBack(f *os.File, off, n int64) error {
	return syncRange(f, off, n, unix.SYNC_FILE_RANGE_WRITE)
}

func syncRange(f *os.File, off, n int64, flags int) error {
	err := unix.SyncFileRange(int(f.Fd()), off, n, flags)
	switch err {
	case unix.ENOSYS, unix.EOPNOTSUPP, unix.ESPIPE:
		return nil
	}
	return err
}
