package mmapfile

import "golang.org/x/sys/unix"

func renameNew(from, to string) error {
	err := unix.RenamexNp(from, to, unix.RENAME_EXCL)
	if err == unix.ENOTSUP || err == unix.EINVAL || err == unix.ENOSYS {
		return linkNew(from, to)
	}
	return err
}
