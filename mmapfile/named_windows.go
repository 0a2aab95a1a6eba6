package mmapfile

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	ntdll              = windows.NewLazySystemDLL("ntdll.dll")
	procNtQuerySection = ntdll.NewProc("NtQuerySection")
	procOpenFileMap    = kernel32.NewProc("OpenFileMappingW")
)

// A nameHold is nothing here: the handle keeps the name.
type nameHold struct{}

func (*nameHold) drop() error { return nil }

// mapNamed does the work of Map for an option with a name.
func (f *File) mapNamed(o *MapOptions) (*Mapping, error) {
	if _, _, err := splitName(o.Name); err != nil {
		return nil, err
	}
	m, err := openNamed(o.Name, protections[o.Protection])
	if err == nil || errors.Is(err, ErrAccess) {
		return m, err
	}
	unnamed := *o
	unnamed.Name = ""
	m, err = f.newMapping(&unnamed)
	if err != nil {
		return nil, err
	}
	if m.Size() == 0 {
		return nil, errors.Join(ErrRange, m.Close())
	}
	h, err := createSection(windows.Handle(f.os.Fd()), pageProtections[o.Protection],
		m.Size(), o.Name)
	if err == windows.ERROR_ALREADY_EXISTS {
		found, err := existing(h, o)
		return found, errors.Join(err, m.Close())
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	err = m.sec.close()
	m.sec.handle, m.path, m.options.Name = h, o.Name, o.Name
	return m, err
}

func namedMemory(o *MapOptions) (*Mapping, error) {
	if _, _, err := splitName(o.Name); err != nil {
		return nil, err
	}
	return newMemory(o)
}

// newMemory makes a section of the page file.
func newMemory(o *MapOptions) (*Mapping, error) {
	prot, size := pageProtections[o.Protection], o.Size
	page := int64(0)
	switch {
	case o.Reserve:
		prot |= secReserve
	case o.LargePages:
		page = int64(windows.GetLargePageMinimum())
		if page == 0 {
			return nil, ErrUnsupported
		}
		size = (size + page - 1) / page * page
		prot |= secCommit | secLargePages
	}
	h, err := createSection(windows.InvalidHandle, prot, size, o.Name)
	if err == windows.ERROR_ALREADY_EXISTS {
		return existing(h, o)
	}
	if err != nil {
		return nil, err
	}
	m := &Mapping{path: o.Name, options: *o, sec: section{handle: h, page: page}}
	m.size.Store(size)
	return m, nil
}

func openNamed(name string, a Access) (*Mapping, error) {
	if _, _, err := splitName(name); err != nil {
		return nil, err
	}
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	const sectionQuery = 1
	access := uint32(windows.FILE_MAP_READ | sectionQuery)
	if a&Write != 0 {
		access |= windows.FILE_MAP_WRITE
	}
	if a&Execute != 0 {
		access |= windows.FILE_MAP_EXECUTE
	}
	h, _, err := procOpenFileMap.Call(uintptr(access), 0, uintptr(unsafe.Pointer(p)))
	if h == 0 {
		return nil, err
	}
	o := MapOptions{Protection: protectionFor(a), Name: name}
	return existing(windows.Handle(h), &o)
}

// existing makes a mapping of a section that was found by its name, and closes
// the handle if it fails. The system gives handles for more than the protection
// of the section grants, and refuses the views; so a view is tried.
func existing(h windows.Handle, o *MapOptions) (*Mapping, error) {
	m := &Mapping{path: o.Name, options: *o, existed: true, sec: section{handle: h}}
	p, err := m.sec.view(protections[o.Protection], 0, 1)
	if err == windows.ERROR_ACCESS_DENIED || err == windows.ERROR_INVALID_PARAMETER {
		err = &classified{ErrAccess, err}
	}
	if err == nil {
		err = unmapMemory(uintptr(p), 1)
	}
	if err != nil {
		return nil, errors.Join(err, m.sec.close())
	}
	m.size.Store(sectionSize(h))
	return m, nil
}

// sectionSize asks the system, which knows; views that are too long for a size
// of 0 are refused.
func sectionSize(h windows.Handle) int64 {
	var basic struct {
		base       uintptr
		attributes uint32
		size       int64
	}
	const sectionBasicInformation = 0
	status, _, _ := procNtQuerySection.Call(uintptr(h), sectionBasicInformation,
		uintptr(unsafe.Pointer(&basic)), unsafe.Sizeof(basic), 0)
	if status != 0 {
		return 0
	}
	return basic.size
}
