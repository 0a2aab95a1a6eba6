//go:build unix && !linux && !darwin && !netbsd && !openbsd && !solaris && !aix

package mmapfile

import "golang.org/x/sys/unix"

const writeThroughFlag = unix.O_SYNC
