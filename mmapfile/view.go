package mmapfile

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// maxInt is the largest length of a slice, and maxView of a view: 2 GiB - 1 on
// 32-bit systems, and 128 TiB - 1, which is all that a process can address, on
// the others.
const (
	maxInt  = int(^uint(0) >> 1)
	maxView = maxInt >> (16 * (^uint(0) >> 63))
)

// A View is a part of a mapping that lies in memory: what MapViewOfFile
// returns. Its methods may be called from several goroutines, also while
// another one calls Close; the slice that Bytes returned must not be used then.
//
// Views of one file see each other's writes at once, in all processes, and what
// ReadAt and WriteAt of a File do (except on OpenBSD). Copy views see them until
// they have written to the page themselves.
//
// A View is never unmapped by the garbage collector, since slices of it may
// live longer than it does: Close it.
//
// Invariants:
//
//	V1 bytes is nil from Close on, before the memory goes: nothing of this
//	   package leads to memory that may by then serve something else.
//	V2 The memory is in the registry from before it is handed out until just
//	   before it is unmapped.
//	V3 Who writes to the memory, or calls the system with it, holds the pin.
//	   Reading may do without: see ReadAt.
type View struct {
	extent
	pin    pin
	bytes  atomic.Pointer[[]byte]
	base   uintptr // where the mapped memory begins
	pad    uintptr // how much of it lies in front of the bytes
	length uintptr // of the mapped memory
	off    int64   // of the bytes in the mapping
	access Access
	locked atomic.Bool // pages were locked at some time
	path   string
	node   *inode

	grow    sync.Mutex // held by Grow
	mapping *Mapping   // what the view was made from, perhaps closed

	first []byte    // what bytes leads to, until Grow
	known treapNode // the node that the view enters the registry with
}

// View maps length bytes from off on; 0 means up to the end of the mapping. Any
// offset will do. A zero access means Read, and Write implies it.
//
// ErrAccess means that the protection of the mapping does not grant a;
// ErrRange, a range that leaves the mapping; ErrTooLarge, that it cannot fit in
// the address space: view the file in windows then.
func (m *Mapping) View(a Access, off int64, length int) (v *View, err error) {
	if !m.pin.enter() {
		return nil, wrap("view", m.path, ErrClosed)
	}
	defer m.leave()
	err = uninterrupted("view", m.path, func() (err error) {
		v, err = m.view(a, off, length)
		return err
	})
	return v, wrap("view", m.path, err)
}

func (m *Mapping) view(a Access, off int64, length int) (*View, error) {
	a, err := viewAccess(a, m.options.Protection)
	if err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	size := m.Size()
	if off < 0 || length < 0 || off > size || int64(length) > size-off {
		return nil, ErrRange
	}
	n := int64(length)
	if length == 0 {
		n = size - off
	}
	pad := off % m.sec.granularity()
	if n > int64(maxView)-pad {
		return nil, ErrTooLarge
	}
	v := &View{off: off, access: a, path: m.path, node: m.node, mapping: m}
	if n == 0 {
		v.bytes.Store(&[]byte{})
	} else if err := v.place(m, pad, n); err != nil {
		return nil, err
	}
	if v.node != nil {
		v.node.retain()
		if !m.options.Reserve {
			v.end = off + n
			v.node.mu.Lock()
			v.node.add(&v.extent)
			v.node.mu.Unlock()
		}
	}
	return v, nil
}

// place maps the memory: pad bytes in front, so that it begins where the system
// can begin a view, and then n.
func (v *View) place(m *Mapping, pad, n int64) error {
	length := uintptr(m.sec.memoryLength(pad + n))
	p, err := m.sec.view(v.access, v.off-pad, length)
	if err != nil {
		return err
	}
	v.base, v.pad, v.length = uintptr(p), uintptr(pad), length
	v.first = unsafe.Slice((*byte)(unsafe.Add(p, pad)), int(n))
	v.bytes.Store(&v.first)
	register(v)
	return nil
}

// viewAccess checks a against the protection and completes it.
func viewAccess(a Access, p Protection) (Access, error) {
	if a&^(Read|Write|Execute|Copy) != 0 || a&(Write|Copy) == Write|Copy {
		return 0, ErrInvalid
	}
	if a&^(protections[p]|Copy) != 0 {
		return 0, ErrAccess
	}
	return a | Read, nil
}

// Bytes returns the memory of the view. It is valid until Close; after that
// Bytes returns nil. Writing to it without Write or Copy access is a fault, and
// so is reading what the file has lost: see Guard.
func (v *View) Bytes() []byte {
	p := v.bytes.Load()
	if p == nil {
		return nil
	}
	return *p
}

// Len returns the number of bytes in the view, 0 after Close.
func (v *View) Len() int { return len(v.Bytes()) }

// Offset returns where in the mapping the view begins.
func (v *View) Offset() int64 { return v.off }

// Access returns what the view was made for.
func (v *View) Access() Access { return v.access }

// Close unmaps the view, as soon as no method runs on it. Slices of Bytes must
// not be used any more. A second Close, and every later call, is ErrClosed.
func (v *View) Close() error {
	first, last := v.pin.close()
	if !first {
		return wrap("close", v.path, ErrClosed)
	}
	v.bytes.Store(nil)
	if last {
		return wrap("close", v.path, v.free())
	}
	return nil
}

// do runs fn on the memory of the view, which stays mapped meanwhile.
func (v *View) do(op string, fn func(data []byte) error) error {
	if !v.pin.enter() {
		return wrap(op, v.path, ErrClosed)
	}
	defer v.leave()
	data := v.bytes.Load()
	if data == nil {
		return wrap(op, v.path, ErrClosed)
	}
	return wrap(op, v.path, fn(*data))
}

func (v *View) leave() {
	if v.pin.leave() {
		v.free()
	}
}

// free unmaps the memory. The pin calls for it once.
func (v *View) free() error {
	var err error
	if v.length != 0 {
		unregister(v)
		err = unmapMemory(v.base, v.length)
	}
	if v.node != nil {
		v.node.remove(&v.extent)
		v.node.release()
	}
	return err
}
