//go:build unix && !aix && !solaris && !illumos

package mmapfile

import "golang.org/x/sys/unix"

// hugePage is the usual size of a huge page, in bytes.
const hugePage = 2 << 20

func allocatePrivate(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil && size >= hugePage {
		adviseHuge(b)
	}
	return b, err
}

func allocateSparse(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|mapSparse)
}

func freePrivate(b []byte) error { return unix.Munmap(b) }
