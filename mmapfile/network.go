package mmapfile

// Network returns the name of the network file system that the file lies on, and
// the empty string if it lies on a local one, or the system does not tell. On a
// network file system another machine's writes do not show in views, and locks
// may exclude nobody.
func (f *File) Network() (name string, err error) {
	err = f.do("stat", func() (err error) { name, err = networkName(f.os); return err })
	return name, err
}
