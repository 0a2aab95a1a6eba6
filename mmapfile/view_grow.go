package mmapfile

import "unsafe"

// Grow makes the view length bytes long where it lies, so that slices of its
// bytes stay valid; 0 means up to the end of the mapping, which must be open and
// may have grown itself. A length that is not larger changes nothing.
//
// ErrNoRoom means that something else lies behind the view in memory (on
// Windows always, where views cannot grow): make another view of the mapping
// beside this one then, and close this one when nobody uses its bytes.
func (v *View) Grow(length int) error {
	return v.do("grow", func([]byte) error {
		v.grow.Lock()
		defer v.grow.Unlock()
		return v.growTo(length)
	})
}

func (v *View) growTo(length int) error {
	m := v.mapping
	if !m.pin.enter() {
		return ErrClosed
	}
	defer m.leave()
	m.mu.RLock()
	defer m.mu.RUnlock()
	size := m.Size()
	if length < 0 || int64(length) > size-v.off {
		return ErrRange
	}
	n := int64(length)
	if length == 0 {
		n = size - v.off
	}
	data := v.bytes.Load()
	switch {
	case data == nil:
		return ErrClosed
	case n <= int64(len(*data)):
		return nil
	case len(*data) == 0:
		return ErrNoRoom
	case n > int64(maxView)-int64(v.pad):
		return ErrTooLarge
	}
	want := uintptr(m.sec.memoryLength(int64(v.pad) + n))
	if err := m.sec.extend(v, want); err != nil {
		return err
	}
	reregister(v, want)
	v.length = want
	if v.node != nil {
		v.node.mu.Lock()
		if v.next != nil {
			v.end = v.off + n
		}
		v.node.mu.Unlock()
	}
	longer := unsafe.Slice(unsafe.SliceData(*data), int(n))
	v.bytes.CompareAndSwap(data, &longer) // Close may have come in between
	return nil
}

// Commit makes n bytes from off on usable in a view of memory that was made with
// Reserve; 0 means up to the end of the view. On Windows bytes that were not
// committed are a fault; on other systems there is nothing to do.
func (v *View) Commit(off, n int) error {
	return v.onPages("commit", off, n, func(base, length uintptr) error {
		return commitMemory(base, length, v.access)
	})
}
