//go:build unix && !aix && !solaris && !illumos

package mmapfile

import "golang.org/x/sys/unix"

func allocatePrivate(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func freePrivate(b []byte) error { return unix.Munmap(b) }
