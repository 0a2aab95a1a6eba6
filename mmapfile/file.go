package mmapfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// A File is an open file: what CreateFile returns. Its methods may be called
// from several goroutines at once, also while one of them calls Close.
//
// Invariants:
//
//	F1 The descriptor is open while a method runs on it and, where a mapping
//	   needs it to make views, while such a mapping lives.
//	F2 After Close no lock of this file is held, whatever still pins the
//	   descriptor.
type File struct {
	os     *os.File
	pin    pin
	name   string
	full   string // of DeleteOnClose: absolute, as the directory may change
	access Access
	flags  Flags
	node   *inode
	shared *shareHold // nil if it holds nothing
	locks  lockState
}

// Open opens or creates a file, as CreateFile does. The descriptor is closed
// when the process executes another program, unless Inherit says otherwise.
//
// A share mode that is violated is ErrSharing; an existing file under CreateNew
// is fs.ErrExist; a missing one is fs.ErrNotExist; a directory is an error.
func Open(path string, o Options) (*File, error) {
	if err := o.normalize(); err != nil {
		return nil, wrap("open", path, err)
	}
	f, err := open(path, &o)
	return f, wrap("open", path, err)
}

func open(path string, o *Options) (*File, error) {
	osf, created, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	f, err := newFile(osf, o.Access)
	if err != nil {
		return nil, err
	}
	f.flags = o.Flags
	if err := f.finish(path, o, created); err != nil {
		f.flags &^= DeleteOnClose
		if o.Disposition == CreateNew {
			err = errors.Join(err, removeOnClose(path, f.node.id))
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// finish takes the share mode and then does what must not happen before it is
// granted.
func (f *File) finish(path string, o *Options, created bool) (err error) {
	if o.Flags&DeleteOnClose != 0 {
		if f.full, err = filepath.Abs(path); err != nil {
			return err
		}
	}
	if f.shared, err = takeShare(f, o.Share.granted()); err != nil {
		return err
	}
	truncates := o.Disposition == CreateAlways || o.Disposition == TruncateExisting
	if truncates && !created {
		if err := f.truncate(0); err != nil {
			return err
		}
	}
	return applyFlags(f.os, o.Flags)
}

// FromOS makes a File of an os.File that was opened with the given access, and
// takes ownership of it: Close closes it, also when FromOS fails. It takes no
// part in share modes.
func FromOS(f *os.File, a Access) (*File, error) {
	if f == nil {
		return nil, wrap("open", "", ErrInvalid)
	}
	o := Options{Access: a}
	if err := o.normalize(); err != nil {
		return nil, wrap("open", f.Name(), errors.Join(err, f.Close()))
	}
	file, err := newFile(f, o.Access)
	return file, wrap("open", f.Name(), err)
}

// OpenOS is os.OpenFile for files, but that on Windows the file may be renamed,
// replaced and removed while it is open, as on Unix: the handle shares deletion.
// Flags are those of package os; O_APPEND is not among those it knows. What can
// be polled, a pipe say, has no deadlines.
func OpenOS(path string, flag int, mode fs.FileMode) (*os.File, error) {
	var f *os.File
	err := uninterrupted("open", path, func() (err error) {
		f, err = openOS(path, flag, mode)
		return err
	})
	return f, wrap("open", path, err)
}

// newFile closes osf if it fails.
func newFile(osf *os.File, a Access) (*File, error) {
	var id Identity
	var isDir bool
	err := uninterrupted("open", osf.Name(), func() (err error) {
		id, isDir, err = identify(osf)
		return err
	})
	if err == nil && isDir {
		err = errIsDir
	}
	if err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	return &File{os: osf, name: osf.Name(), access: a, node: inodeOf(id)}, nil
}

// Name returns the path that was given to Open.
func (f *File) Name() string { return f.name }

// Access returns what the file was opened for.
func (f *File) Access() Access { return f.access }

// Fd returns the descriptor or handle, for system calls that this package does
// not make. It is valid until Close; locks of the file belong to it.
func (f *File) Fd() uintptr { return f.os.Fd() }

// do runs fn while the descriptor is held open.
func (f *File) do(op string, fn func() error) error {
	if !f.pin.enter() {
		return wrap(op, f.name, ErrClosed)
	}
	defer f.leave()
	return wrap(op, f.name, uninterrupted(op, f.name, fn))
}

func (f *File) leave() error {
	if !f.pin.leave() {
		return nil
	}
	return f.free()
}

// free closes the descriptor. The pin calls for it once.
func (f *File) free() error {
	err := f.os.Close()
	f.node.release()
	return err
}

// Close closes the file and releases its locks. Mappings and views made from it
// stay as they are. Calls that are running end as if they had come before; the
// second Close, and every later call, is ErrClosed.
func (f *File) Close() error {
	if !f.pin.enter() {
		return wrap("close", f.name, ErrClosed)
	}
	if first, _ := f.pin.close(); !first {
		return wrap("close", f.name, errors.Join(ErrClosed, f.leave()))
	}
	var errs []error
	if f.flags&DeleteOnClose != 0 {
		errs = append(errs, removeOnClose(f.full, f.node.id))
	}
	// Closing alone would not do: a mapping may keep the descriptor, and so may,
	// for a moment, a child of this process that has not yet become its program.
	errs = append(errs, f.unlockAll())
	f.shared.drop(f)
	errs = append(errs, f.leave())
	return wrap("close", f.name, errors.Join(errs...))
}

// ReadAt reads len(p) bytes from off, as io.ReaderAt says.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if !f.pin.enter() {
		return 0, wrap("read", f.name, ErrClosed)
	}
	defer f.leave()
	err = uninterrupted("read", f.name, func() (err error) {
		n, err = f.os.ReadAt(p, off)
		return err
	})
	if err != nil && err != io.EOF {
		err = wrap("read", f.name, faultOf(err, p))
	}
	return n, err
}

// WriteAt writes p at off, as io.WriterAt says. If p lies in a view whose
// file has lost those bytes, the error is a *FaultError.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.do("write", func() (err error) {
		n, err = f.os.WriteAt(p, off)
		return faultOf(err, p)
	})
	return n, err
}

// WriteVec writes all buffers, one after the other, from off on. It uses as few
// system calls as it can, and takes up again what a call left unfinished. After
// an error any part may have been written.
func (f *File) WriteVec(bufs [][]byte, off int64) error {
	if off < 0 {
		return wrap("write", f.name, ErrRange)
	}
	return f.do("write", func() error { return faultOf(writeVec(f.os, bufs, off), bufs...) })
}

// WriteVecDurable is WriteVec that returns when the bytes are durable. Where
// the system can, it waits for those bytes alone (RWF_DSYNC on Linux) and not
// for whatever else of the file is dirty; elsewhere it is WriteVec and Sync.
func (f *File) WriteVecDurable(bufs [][]byte, off int64) error {
	if off < 0 {
		return wrap("write", f.name, ErrRange)
	}
	return f.do("write", func() error { return faultOf(writeVecDurable(f, bufs, off), bufs...) })
}

// WriteBack starts writing the dirty bytes of [off, off+n) to the drive and
// waits until they are on their way there, so that a later Sync finds little to
// do. It makes nothing durable by itself, and does nothing where the system has
// no such call (outside Linux).
func (f *File) WriteBack(off, n int64) error {
	if off < 0 || n < 0 {
		return wrap("write back", f.name, ErrRange)
	}
	return f.do("write back", func() error { return writeBack(f.os, off, n) })
}

// StartWriteBack starts writing the dirty bytes of [off, off+n) to the drive, and does
// not wait for that: many such pieces are on their way together, and WriteBack of a range
// around them waits for them all. It makes nothing durable by itself, and does nothing
// where the system has no such call (outside Linux).
func (f *File) StartWriteBack(off, n int64) error {
	if off < 0 || n < 0 {
		return wrap("write back", f.name, ErrRange)
	}
	return f.do("write back", func() error { return startWriteBack(f.os, off, n) })
}

// Size returns the number of bytes in the file.
func (f *File) Size() (size int64, err error) {
	err = f.do("stat", func() error { size, err = f.size(); return err })
	return size, err
}

func (f *File) size() (int64, error) { return fileSize(f.os) }

// Sync makes the contents and the size of the file durable: fdatasync on Linux,
// F_FULLFSYNC on macOS, FlushFileBuffers on Windows. What was written through a
// view counts too, on Windows only after View.Flush.
func (f *File) Sync() error {
	return f.do("sync", func() error { return syncFile(f.os) })
}

// Identity names a file whatever path leads to it. It is comparable. Another
// file may get the same identity once this one is removed and closed.
type Identity struct {
	Volume uint64 // the device, or the volume serial number
	Index  uint64 // the inode, or the file index
}

// Identity returns the identity of the open file.
func (f *File) Identity() (Identity, error) {
	if !f.pin.open() {
		return Identity{}, wrap("stat", f.name, ErrClosed)
	}
	return f.node.id, nil
}

// PathIdentity returns the identity of the file that path leads to.
func PathIdentity(path string) (id Identity, err error) {
	err = uninterrupted("stat", path, func() (err error) {
		id, err = pathIdentity(path)
		return err
	})
	return id, wrap("stat", path, err)
}

// inodes holds one inode for each file that this process has open or mapped
// through this package.
var inodes struct {
	sync.Mutex
	byID map[Identity]*inode
}

// An inode is what the handles, mappings and views of one file share.
//
// Invariants:
//
//	N1 Every live extent of a mapping or view that was not made with Reserve is
//	   in the list, so that the file does not become shorter beneath it.
//	N2 mu is held while extents are made and while the file is cut, so that
//	   neither slips in between the check and the deed of the other.
type inode struct {
	id   Identity
	refs atomic.Int64 // becomes 0 and leaves 0 under inodes only

	mu      sync.Mutex
	extents extent // ring; the head itself holds nothing
}

// An extent is the part of a file below end that must not go away.
type extent struct {
	end        int64
	prev, next *extent
}

// inodeOf returns the inode of a file with one more reference.
func inodeOf(id Identity) *inode {
	inodes.Lock()
	defer inodes.Unlock()
	n := inodes.byID[id]
	if n == nil {
		if inodes.byID == nil {
			inodes.byID = make(map[Identity]*inode)
		}
		n = &inode{id: id}
		n.extents.prev, n.extents.next = &n.extents, &n.extents
		inodes.byID[id] = n
	}
	n.refs.Add(1)
	return n
}

// retain is for those who have a reference already.
func (n *inode) retain() { n.refs.Add(1) }

func (n *inode) release() {
	for {
		refs := n.refs.Load()
		if refs > 1 && n.refs.CompareAndSwap(refs, refs-1) {
			return
		}
		if refs == 1 {
			break
		}
	}
	inodes.Lock()
	defer inodes.Unlock()
	if n.refs.Add(-1) == 0 {
		delete(inodes.byID, n.id)
	}
}

// add puts e into the list. The caller holds mu.
func (n *inode) add(e *extent) {
	e.prev, e.next = n.extents.prev, &n.extents
	e.prev.next, e.next.prev = e, e
}

// remove takes e out of the list, if it is in it.
func (n *inode) remove(e *extent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.next != nil {
		e.prev.next, e.next.prev = e.next, e.prev
		e.prev, e.next = nil, nil
	}
}

// mappedEnd returns the least size that no extent forbids. The caller holds mu.
func (n *inode) mappedEnd() (end int64) {
	for e := n.extents.next; e != &n.extents; e = e.next {
		end = max(end, e.end)
	}
	return end
}
