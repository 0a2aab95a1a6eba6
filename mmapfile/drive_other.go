//go:build !linux

package mmapfile

import "os"

func openDrive(*os.File) (DriveReader, error) { return nil, ErrUnsupported }
