package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// newMemory uses memfd. Small pages are not set aside: that would touch them all.
func newMemory(o *MapOptions) (*Mapping, error) {
	flags := unix.MFD_CLOEXEC
	if o.LargePages {
		flags |= unix.MFD_HUGETLB
	}
	fd, err := unix.MemfdCreate("mmapfile", flags)
	if err != nil {
		return nil, err
	}
	f, err := newFile(os.NewFile(uintptr(fd), ""), ReadWrite)
	if err != nil {
		return nil, err
	}
	sized, page := *o, int64(0)
	sized.Sparse = !o.LargePages
	if o.LargePages {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			f.Close()
			return nil, err
		}
		page = int64(st.Blksize)
	}
	return f.memory(&sized, page)
}
