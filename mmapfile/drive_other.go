//go:build !linux

package mmapfile

import "os"

func openDrive(*os.File, string) (DriveReader, error) { return nil, ErrUnsupported }
