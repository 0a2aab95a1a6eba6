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
	var name []byte
	for _, c := range st.Basetype {
		name = append(name, byte(c))
	}
	switch s := unix.ByteSliceToString(name); s {
	case "nfs", "nfs3", "nfs4", "smbfs", "autofs":
		return s, nil
	}
	return "", nil
}
