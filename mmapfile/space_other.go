//go:build !linux && !darwin && !windows

package mmapfile

import "os"

func reserveSpace(*os.File, int64, int64) error { return ErrUnsupported }
