package mmapfile

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages. Where there are none, small ones do as well.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// mapSparse sets no room aside for a private mapping.
const mapSparse = unix.MAP_NORESERVE
