package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// networkNames are the network file systems by their magic numbers. FUSE is not
// among them: what lies behind it may be local.
var networkNames = map[uint32]string{
	unix.NFS_SUPER_MAGIC:  "nfs",
	unix.SMB_SUPER_MAGIC:  "smb",
	unix.SMB2_SUPER_MAGIC: "smb2",
	unix.CIFS_SUPER_MAGIC: "cifs",
	unix.CODA_SUPER_MAGIC: "coda",
	unix.AFS_SUPER_MAGIC:  "afs",
	unix.AFS_FS_MAGIC:     "afs",
	unix.NCP_SUPER_MAGIC:  "ncp",
	unix.CEPH_SUPER_MAGIC: "ceph",
	unix.V9FS_MAGIC:       "9p",
	0x0bd00bd0:            "lustre",
	0x47504653:            "gpfs",
	0x19830326:            "beegfs",
	0x786f4256:            "vboxsf",
}

func networkName(f *os.File) (string, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return "", err
	}
	return networkNames[uint32(st.Type)], nil
}
