package mmapfile

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Protection is what the pages of a mapping may ever be used for: the
// protection argument of CreateFileMapping. SEC_IMAGE (a mapped program) and
// SEC_NOCACHE are not offered: the first has no meaning outside Windows, the
// second is for device drivers.
type Protection uint8

const (
	// ProtRead gives views that read, and private copies. The file needs Read.
	ProtRead Protection = iota
	// ProtReadWrite gives views that write, too. The file needs ReadWrite.
	ProtReadWrite
	// ProtWriteCopy is ProtRead by its older name: private copies are what it
	// is for. The file needs Read.
	ProtWriteCopy
	// ProtExecuteRead is ProtRead, and views may execute. The file needs Execute.
	ProtExecuteRead
	// ProtExecuteReadWrite is ProtReadWrite, and views may execute. The file
	// needs ReadWrite and Execute.
	ProtExecuteReadWrite
	// ProtExecuteWriteCopy is ProtWriteCopy, and views may execute. The file
	// needs Execute.
	ProtExecuteWriteCopy
)

// protections says what a file must be open for, by protection; it is also what
// views may ask for. Copy is always granted.
var protections = [...]Access{
	ProtRead:             Read,
	ProtReadWrite:        Read | Write,
	ProtWriteCopy:        Read,
	ProtExecuteRead:      Read | Execute,
	ProtExecuteReadWrite: Read | Write | Execute,
	ProtExecuteWriteCopy: Read | Execute,
}

// MapOptions are the arguments of File.Map.
type MapOptions struct {
	Protection Protection

	// Size is the size of the mapping in bytes; 0 means the size of the file as
	// it is now. If it is larger than the file and the protection allows
	// writing, the file grows first, and room on the drive is set aside for it.
	Size int64

	// Sparse lets the file grow without setting room aside. A full disk is then
	// a fault in a view, at some later time.
	Sparse bool

	// Reserve makes the mapping reach to Size without growing the file. The
	// bytes behind the end of the file become usable as the file grows, and
	// before that a touch is a fault. Truncate does not protect such a mapping.
	// On Windows, where this cannot be done, the mapping ends with the file:
	// see Mapping.Size. For MapMemory it is SEC_RESERVE: on Windows bytes become
	// usable by View.Commit, elsewhere they are usable at once.
	Reserve bool

	// Name makes the mapping known to other processes: see OpenNamed.
	Name string

	// LargePages asks for large pages (SEC_LARGE_PAGES), and fails if there are
	// none to be had. It is for MapMemory on Linux, and on Windows with the
	// privilege to lock memory. Size is rounded up to whole large pages.
	LargePages bool
}

// A Mapping is a file, or anonymous memory, that is ready to be viewed: what
// CreateFileMapping returns. Its methods may be called from several goroutines.
//
// Invariants:
//
//	M1 size only grows, and only under mu; a view is made under mu, so that it
//	   fits the section that it is made from.
//	M2 An open mapping without Reserve keeps the file from becoming shorter than
//	   size, so that a view that is about to be made cannot miss the file.
type Mapping struct {
	extent
	pin     pin
	file    *File // pinned if sectionHoldsFile; nil for memory of the system
	node    *inode
	path    string
	options MapOptions
	existed bool
	name    *nameHold // nil without a name

	size atomic.Int64
	mu   sync.RWMutex
	sec  section
}

// Map makes a mapping of the file. If o names it and a mapping of that name is
// alive, in whatever process, that one is returned: see OpenNamed.
//
// ErrAccess means that the file was not opened for what the protection needs;
// ErrRange, a size that is negative or larger than the file under a protection
// that does not write. A full disk is an error here. An empty file can be
// mapped: the mapping and its views have length 0.
func (f *File) Map(o MapOptions) (m *Mapping, err error) {
	if !f.pin.enter() {
		return nil, wrap("map", f.name, ErrClosed)
	}
	defer f.leave()
	switch {
	case int(o.Protection) >= len(protections):
		return nil, wrap("map", f.name, ErrInvalid)
	case o.Size < 0:
		return nil, wrap("map", f.name, ErrRange)
	case o.LargePages:
		return nil, wrap("map", f.name, ErrUnsupported)
	}
	if o.Name != "" {
		m, err := f.mapNamed(&o)
		return m, wrap("map", o.Name, err)
	}
	err = uninterrupted("map", f.name, func() (err error) {
		m, err = f.newMapping(&o)
		return err
	})
	return m, wrap("map", f.name, err)
}

func (f *File) newMapping(o *MapOptions) (*Mapping, error) {
	needs := protections[o.Protection]
	if f.access&needs != needs {
		return nil, ErrAccess
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	size, err := f.sizeFor(o, needs)
	if err != nil {
		return nil, err
	}
	m := &Mapping{file: f, node: f.node, path: f.name, options: *o}
	m.size.Store(size)
	if m.sec, err = newSection(f, o, size); err != nil {
		return nil, err
	}
	if sectionHoldsFile && !f.pin.enter() {
		return nil, errors.Join(ErrClosed, m.sec.close())
	}
	if !o.Reserve {
		m.end = size
		f.node.add(&m.extent)
	}
	f.node.retain()
	return m, nil
}

// sizeFor returns the size of a mapping after growing the file for it. The
// caller holds node.mu.
func (f *File) sizeFor(o *MapOptions, needs Access) (int64, error) {
	size, err := f.size()
	switch {
	case err != nil:
		return 0, err
	case o.Size == 0:
		return size, nil
	case o.Reserve && !canReserve:
		return min(size, o.Size), nil
	case o.Reserve || o.Size <= size:
		return o.Size, nil
	case needs&Write == 0:
		return 0, ErrRange
	case o.Sparse:
		return o.Size, f.os.Truncate(o.Size)
	}
	return o.Size, f.allocate(o.Size)
}

// Size returns the size of the mapping in bytes.
func (m *Mapping) Size() int64 { return m.size.Load() }

// Protection returns what the mapping was made with.
func (m *Mapping) Protection() Protection { return m.options.Protection }

// Existed reports whether the mapping was found by its name: it then has the
// size and the contents that it had. Windows rounds the size of memory without a
// file up to whole pages.
func (m *Mapping) Existed() bool { return m.existed }

// Grow makes the mapping larger, and the file with it as Map does; views that
// exist stay as they are, and View.Grow or new views reach the new bytes. A size
// that is not larger changes nothing. It is ErrAccess if the protection does not
// write, and ErrUnsupported for memory and for mappings with a name: others have
// them at the size that they had. On Windows, where a file under a mapping can
// grow but not its section, the File must still be open.
func (m *Mapping) Grow(size int64) error {
	if !m.pin.enter() {
		return wrap("grow", m.path, ErrClosed)
	}
	defer m.leave()
	return wrap("grow", m.path, m.grow(size))
}

func (m *Mapping) grow(size int64) error {
	if m.file == nil || m.options.Name != "" || m.path == "" {
		return ErrUnsupported
	}
	if !sectionHoldsFile {
		if !m.file.pin.enter() {
			return ErrClosed
		}
		defer m.file.leave()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node.mu.Lock()
	defer m.node.mu.Unlock()
	if size <= m.Size() {
		return nil
	}
	needs := protections[m.options.Protection]
	if needs&Write == 0 {
		return ErrAccess
	}
	o := m.options
	o.Size = size
	size, err := m.file.sizeFor(&o, needs)
	if err != nil {
		return err
	}
	sec, err := newSection(m.file, &o, size)
	if err != nil {
		return err
	}
	err = m.sec.close()
	m.sec = sec
	m.size.Store(size)
	if m.next != nil {
		m.end = size
	}
	return err
}

// Close ends the mapping. Views made from it stay as they are. A second Close,
// and every later call, is ErrClosed.
func (m *Mapping) Close() error {
	first, last := m.pin.close()
	if !first {
		return wrap("close", m.path, ErrClosed)
	}
	if last {
		return wrap("close", m.path, m.free())
	}
	return nil
}

func (m *Mapping) leave() {
	if m.pin.leave() {
		m.free()
	}
}

// free gives back what the mapping holds. The pin calls for it once.
func (m *Mapping) free() error {
	sec, name := m.sec.close(), m.name.drop()
	if m.node != nil {
		m.node.remove(&m.extent)
		m.node.release()
	}
	var file error
	if sectionHoldsFile && m.file != nil {
		file = m.file.leave()
	}
	return errors.Join(sec, name, file)
}
