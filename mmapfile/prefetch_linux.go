package mmapfile

import "golang.org/x/sys/unix"

// prefetchMemory maps the pages where the kernel can; an older one reads them
// ahead. A page that cannot be read is EFAULT, as for any system call.
func prefetchMemory(base, length uintptr) error {
	err := unix.Madvise(memoryAt(base, length), unix.MADV_POPULATE_READ)
	if err == unix.EINVAL || err == unix.ENOSYS {
		err = unix.Madvise(memoryAt(base, length), unix.MADV_WILLNEED)
	}
	return faultOf(err, memoryAt(base, length))
}
