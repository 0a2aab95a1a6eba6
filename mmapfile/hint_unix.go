//go:build unix && !linux && !darwin

package mmapfile

import "os"

func hintAccess(*os.File, Flags) {}
