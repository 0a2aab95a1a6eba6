//go:build unix && !linux

package mmapfile

import "golang.org/x/sys/unix"

// extend asks for the pages behind v by their address, which the system is free
// to ignore, and gives back what it gets elsewhere.
func (s section) extend(v *View, length uintptr) error {
	old := (v.length + osPage - 1) &^ (osPage - 1)
	if length <= old {
		return nil
	}
	flags := unix.MAP_SHARED
	if v.access&Copy != 0 {
		flags = unix.MAP_PRIVATE
	}
	want := pointerTo(v.base + old)
	off := v.off - int64(v.pad) + int64(old)
	got, err := unix.MmapPtr(int(s.file.os.Fd()), off, want, length-old, memoryProt(v.access), flags)
	if err != nil {
		return err
	}
	if got == want {
		return nil
	}
	if err := unix.MunmapPtr(got, length-old); err != nil {
		return err
	}
	return ErrNoRoom
}
