package mmapfile

import "golang.org/x/sys/unix"

// extend makes the memory of v longer in place.
func (s section) extend(v *View, length uintptr) error {
	old := (v.length + osPage - 1) &^ (osPage - 1)
	if length <= old {
		return nil
	}
	_, err := unix.MremapPtr(pointerTo(v.base), old, nil, length, 0)
	if err == unix.ENOMEM || err == unix.EFAULT || err == unix.EINVAL {
		return ErrNoRoom
	}
	return err
}
