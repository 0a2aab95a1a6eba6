package mmapfile

import "errors"

// Truncate sets the size of the file. What is new reads as zeros, and may have
// no room on the drive yet: Allocate sees to that.
//
// Cutting the file below a live mapping or view of this process is ErrMapped;
// on Windows so is cutting it below those of any process, and on Unix the
// kernel does not know of others. Mappings made with Reserve, and their views,
// do not count on Unix: whoever made them knows which bytes are in use.
func (f *File) Truncate(size int64) error {
	if size < 0 {
		return wrap("truncate", f.name, ErrRange)
	}
	return f.do("truncate", func() error { return f.truncate(size) })
}

func (f *File) truncate(size int64) error {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if size < f.node.mappedEnd() {
		old, err := f.size()
		if err != nil {
			return err
		}
		if size < old {
			return ErrMapped
		}
	}
	return f.os.Truncate(size)
}

// Allocate makes the file at least size bytes long and has room for all of them
// set aside, so that a full disk is an error here and not a fault or a failed
// write later. Where the system or the file system cannot set room aside, zeros
// are written to what is new, where nobody may write meanwhile. After an error
// the size is as it was.
func (f *File) Allocate(size int64) error {
	if size < 0 {
		return wrap("allocate", f.name, ErrRange)
	}
	return f.do("allocate", func() error {
		f.node.mu.Lock()
		defer f.node.mu.Unlock()
		return f.allocate(size)
	})
}

// allocate does the work of Allocate. The caller holds node.mu.
func (f *File) allocate(size int64) error {
	old, err := f.size()
	if err != nil || size == 0 {
		return err
	}
	err = reserveSpace(f.os, old, size)
	if errors.Is(err, ErrUnsupported) {
		err = fillSpace(f.os, old, size)
	}
	if err != nil {
		return errors.Join(err, f.restoreSize(old))
	}
	return nil
}

// restoreSize cuts off what a failed attempt has added.
func (f *File) restoreSize(old int64) error {
	now, err := f.size()
	if err != nil || now <= old {
		return err
	}
	return f.os.Truncate(old)
}
