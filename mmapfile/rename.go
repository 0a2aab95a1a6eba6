package mmapfile

// Rename gives the file at from the name to, in one step: whoever opens to
// finds the old file or the new one. Both must lie on one volume. It is durable
// after SyncDir of the directory (of both, if they differ).
//
// A file at to that is open is replaced, too, and stays as it is for those who
// have it open. On Windows that takes Windows 10, NTFS, and handles that share
// deletion, as those of Open and OpenOS do; else it is fs.ErrPermission or ErrSharing.
func Rename(from, to string) error {
	err := uninterrupted("rename", from, func() error { return rename(from, to) })
	return wrap("rename", from, err)
}

// RenameNew is Rename that fails with fs.ErrExist, and changes nothing, if to
// exists. Where neither the system nor the file system can do that in one step,
// the file gets its second name first and then loses the old one; a crash in
// between leaves both.
func RenameNew(from, to string) error {
	err := uninterrupted("rename", from, func() error { return renameNew(from, to) })
	return wrap("rename", from, err)
}

// SyncDir makes durable which names the directory dir holds. It does nothing
// where the system keeps directories durable by itself (Windows), or cannot.
func SyncDir(dir string) error {
	return wrap("sync", dir, uninterrupted("sync", dir, func() error { return syncDir(dir) }))
}
