package mmapfile

import "github.com/mapleafdb/mapleaf/internal/inject"

// Rename gives the file at from the name to, in one step: whoever opens to
// finds the old file or the new one. Both must lie on one volume. It is durable
// after SyncDir of the directory (of both, if they differ).
//
// A file at to that is open is replaced, too, and stays as it is for those who
// have it open. On Windows that takes Windows 10, NTFS, and handles that share
// deletion, as those of Open and OpenOS do; else it is fs.ErrPermission or ErrSharing.
func Rename(from, to string) error {
	if err := inject.Fail("rename", from); err != nil {
		return wrap("rename", from, err)
	}
	return wrap("rename", from, rename(from, to))
}

// RenameNew is Rename that fails with fs.ErrExist, and changes nothing, if to
// exists. Where neither the system nor the file system can do that in one step,
// the file gets its second name first and then loses the old one; a crash in
// between leaves both.
func RenameNew(from, to string) error {
	if err := inject.Fail("rename", from); err != nil {
		return wrap("rename", from, err)
	}
	return wrap("rename", from, renameNew(from, to))
}

// SyncDir makes durable which names the directory dir holds. It does nothing
// where the system keeps directories durable by itself (Windows), or cannot.
func SyncDir(dir string) error {
	if err := inject.Fail("sync", dir); err != nil {
		return wrap("sync", dir, err)
	}
	return wrap("sync", dir, syncDir(dir))
}
