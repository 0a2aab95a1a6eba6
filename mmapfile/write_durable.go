//go:build !linux

package mmapfile

import "os"

func writeVecDurable(f *File, bufs [][]byte, off int64) error {
	if err := writeVec(f.os, bufs, off); err != nil {
		return err
	}
	return syncFile(f.os)
}

func writeBack(*os.File, int64, int64) error { return nil }

func startWriteBack(*os.File, int64, int64) error { return nil }
