//go:build !windows && !linux && !solaris

package mmapfile

import (
	"slices"
	"sync"
)

// shareTable holds the share modes of all handles of this process, by file.
var shareTable = struct {
	sync.Mutex
	holds map[*inode][]*shareHold
}{holds: make(map[*inode][]*shareHold)}

// A shareHold is the share mode that a handle keeps among the handles of this
// process.
type shareHold struct {
	file           *File
	access, denied Share
	kernel         bool // a lock on the file keeps out restrictive handles of others
}

// takeShare makes the share mode of f hold, or fails with ErrSharing.
func takeShare(f *File, granted Share) (*shareHold, error) {
	h := &shareHold{
		file: f, access: shareAccess(f.access, f.flags), denied: ShareAll &^ granted,
	}
	shareTable.Lock()
	defer shareTable.Unlock()
	held := false
	for _, other := range shareTable.holds[f.node] {
		if h.access&other.denied != 0 || h.denied&other.access != 0 {
			return nil, ErrSharing
		}
		held = held || other.kernel
	}
	if h.denied != 0 && !held {
		kernel, err := f.shareLock()
		if err != nil {
			return nil, err
		}
		h.kernel = kernel
	}
	shareTable.holds[f.node] = append(shareTable.holds[f.node], h)
	return h, nil
}

// drop ends the share mode. If it held the kernel's lock and other restrictive
// handles of this process are left, one of them takes it over.
func (h *shareHold) drop(f *File) {
	if h == nil {
		return
	}
	shareTable.Lock()
	defer shareTable.Unlock()
	rest := slices.DeleteFunc(shareTable.holds[f.node], func(o *shareHold) bool { return o == h })
	if len(rest) == 0 {
		delete(shareTable.holds, f.node)
	} else {
		shareTable.holds[f.node] = rest
	}
	if !h.kernel {
		return
	}
	f.shareUnlock()
	for _, other := range rest {
		if other.denied != 0 {
			other.kernel, _ = other.file.shareLock()
			return
		}
	}
}
