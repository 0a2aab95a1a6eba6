//go:build !windows

package mmapfile

// shareAccess says which accesses of the share mode a handle makes use of.
func shareAccess(a Access, flags Flags) (s Share) {
	if a&(Read|Execute) != 0 {
		s |= ShareRead
	}
	if a&Write != 0 {
		s |= ShareWrite
	}
	if flags&DeleteOnClose != 0 {
		s |= ShareDelete
	}
	return s
}
