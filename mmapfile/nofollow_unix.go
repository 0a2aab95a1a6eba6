//go:build unix

package mmapfile

import "golang.org/x/sys/unix"

// NoFollow is a flag for os.OpenFile and OpenOS: opening fails if the path ends in
// a symbolic link. It is 0, and has no effect, on systems without it.
const NoFollow = unix.O_NOFOLLOW
