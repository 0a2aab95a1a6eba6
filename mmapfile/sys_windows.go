package mmapfile

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

const errIsDir = windows.ERROR_DIRECTORY

// sectionHoldsFile: a section of the system lives without the file handle.
const sectionHoldsFile = false

func classify(err error) error {
	switch err {
	case windows.ERROR_SHARING_VIOLATION:
		return &classified{ErrSharing, err}
	case windows.ERROR_LOCK_VIOLATION:
		return &classified{ErrLocked, err}
	case windows.ERROR_USER_MAPPED_FILE:
		return &classified{ErrMapped, err}
	case windows.ERROR_NOT_LOCKED:
		return &classified{ErrNotLocked, err}
	case windows.ERROR_NOT_SUPPORTED, windows.ERROR_CALL_NOT_IMPLEMENTED:
		return &classified{ErrUnsupported, err}
	}
	return err
}

// The arguments of CreateFile, by those of Open.
var (
	dispositions = [...]uint32{
		OpenExisting:     windows.OPEN_EXISTING,
		OpenAlways:       windows.OPEN_ALWAYS,
		CreateNew:        windows.CREATE_NEW,
		CreateAlways:     windows.CREATE_ALWAYS,
		TruncateExisting: windows.TRUNCATE_EXISTING,
	}
	flagBits = [...]struct {
		flag Flags
		bits uint32
	}{
		{DeleteOnClose, windows.FILE_FLAG_DELETE_ON_CLOSE},
		{Temporary, windows.FILE_ATTRIBUTE_TEMPORARY},
		{WriteThrough, windows.FILE_FLAG_WRITE_THROUGH},
		{NoBuffering, windows.FILE_FLAG_NO_BUFFERING},
		{RandomAccess, windows.FILE_FLAG_RANDOM_ACCESS},
		{SequentialScan, windows.FILE_FLAG_SEQUENTIAL_SCAN},
		{Hidden, windows.FILE_ATTRIBUTE_HIDDEN},
	}
)

// openFile opens path with share mode, disposition and all: created is always
// true, since nothing is left to truncate.
func openFile(path string, o *Options) (f *os.File, created bool, err error) {
	name, err := windows.UTF16PtrFromString(longPath(path))
	if err != nil {
		return nil, false, err
	}
	sa, err := securityAttributes(o.Security, o.Flags&Inherit != 0)
	if err != nil {
		return nil, false, err
	}
	attrs := uint32(0)
	for _, b := range flagBits {
		if o.Flags&b.flag != 0 {
			attrs |= b.bits
		}
	}
	if o.Mode&0o222 == 0 {
		attrs |= windows.FILE_ATTRIBUTE_READONLY
	}
	h, err := windows.CreateFile(name, accessMask(o), shareMask(o.Share.granted()), sa,
		dispositions[o.Disposition], attrs, 0)
	if err != nil {
		return nil, false, err
	}
	return os.NewFile(uintptr(h), path), true, nil
}

func accessMask(o *Options) (mask uint32) {
	if o.Access&Read != 0 {
		mask |= windows.GENERIC_READ
	}
	if o.Access&Write != 0 {
		mask |= windows.GENERIC_WRITE
	}
	if o.Access&Execute != 0 {
		mask |= windows.GENERIC_EXECUTE
	}
	if o.Flags&DeleteOnClose != 0 {
		mask |= windows.DELETE
	}
	return mask
}

func shareMask(s Share) (mask uint32) {
	if s&ShareRead != 0 {
		mask |= windows.FILE_SHARE_READ
	}
	if s&ShareWrite != 0 {
		mask |= windows.FILE_SHARE_WRITE
	}
	if s&ShareDelete != 0 {
		mask |= windows.FILE_SHARE_DELETE
	}
	return mask
}

// securityAttributes returns nil if the defaults will do.
func securityAttributes(sddl string, inherit bool) (*windows.SecurityAttributes, error) {
	if sddl == "" && !inherit {
		return nil, nil
	}
	sa := &windows.SecurityAttributes{}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	if inherit {
		sa.InheritHandle = 1
	}
	if sddl != "" {
		sd, err := windows.SecurityDescriptorFromString(sddl)
		if err != nil {
			return nil, err
		}
		sa.SecurityDescriptor = sd
	}
	return sa, nil
}

func applyFlags(*os.File, Flags) error { return nil }

// IsReadOnly reports whether err comes from a file system that cannot be written to.
func IsReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// removeOnClose has nothing to do: the system removes the file.
func removeOnClose(string, Identity) error { return nil }

// A shareHold is nothing here: the system keeps the share mode.
type shareHold struct{}

func takeShare(*File, Share) (*shareHold, error) { return nil, nil }

func (*shareHold) drop(*File) {}

// identify also tells whether the file is a folder.
func identify(f *os.File) (id Identity, isDir bool, err error) {
	return identifyHandle(windows.Handle(f.Fd()))
}

func identifyHandle(h windows.Handle) (id Identity, isDir bool, err error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return Identity{}, false, err
	}
	id = Identity{
		Volume: uint64(info.VolumeSerialNumber),
		Index:  uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow),
	}
	return id, info.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0, nil
}

// pathIdentity opens the file for nothing, which no share mode forbids.
func pathIdentity(path string) (Identity, error) {
	name, err := windows.UTF16PtrFromString(longPath(path))
	if err != nil {
		return Identity{}, err
	}
	all := shareMask(ShareAll)
	h, err := windows.CreateFile(name, 0, all, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return Identity{}, err
	}
	id, _, err := identifyHandle(h)
	return id, errors.Join(err, windows.CloseHandle(h))
}

func syncDir(string) error { return nil }

// reserveSpace sets the end of the file, for which NTFS sets clusters aside.
func reserveSpace(f *os.File, old, size int64) error {
	if size <= old {
		return nil
	}
	return f.Truncate(size)
}

// fillSpace is not needed: reserveSpace knows every file system.
func fillSpace(*os.File, int64, int64) error { return ErrUnsupported }
