package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func networkName(f *os.File) (string, error) {
	var st unix.Statvfs_t
	if err := unix.Fstatvfs(int(f.Fd()), &st); err != nil {
		return "", err
	}
	if st.Flag&unix.MNT_LOCAL != 0 {
		return "", nil
	}
	return unix.ByteSliceToString(st.Fstypename[:]), nil
}
