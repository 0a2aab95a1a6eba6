package mmapfile

import (
	"errors"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

func rename(from, to string) error {
	err := renamePosix(from, to, windows.FILE_RENAME_REPLACE_IF_EXISTS)
	if !lacksPosixRename(err) {
		return err
	}
	return moveFile(from, to, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
}

func renameNew(from, to string) error {
	return moveFile(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

// lacksPosixRename reports whether the system or the file system does not know
// the call, as Windows before 10 and FAT do not.
func lacksPosixRename(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_PARAMETER) ||
		errors.Is(err, windows.ERROR_NOT_SUPPORTED) ||
		errors.Is(err, windows.ERROR_INVALID_FUNCTION) ||
		errors.Is(err, windows.ERROR_INVALID_LEVEL)
}

// renamePosix renames over a file that is open, too, if those who have it open
// share its deletion; they keep the old file.
func renamePosix(from, to string, flags uint32) error {
	name, err := windows.UTF16PtrFromString(longPath(from))
	if err != nil {
		return err
	}
	full, err := filepath.Abs(to) // the call knows no current directory
	if err != nil {
		return err
	}
	target, err := windows.UTF16FromString(longPath(full))
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.DELETE|windows.SYNCHRONIZE, shareMask(ShareAll),
		nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return err
	}
	// FILE_RENAME_INFO, with the name behind it.
	type renameInfo struct {
		flags  uint32
		root   windows.Handle
		length uint32
		name   [1]uint16
	}
	header := unsafe.Offsetof(renameInfo{}.name)
	buf := make([]uint64, (header+uintptr(2*len(target))+7)/8)
	info := (*renameInfo)(unsafe.Pointer(&buf[0]))
	info.flags = flags | windows.FILE_RENAME_POSIX_SEMANTICS
	info.length = uint32(2 * (len(target) - 1)) // without the zero at its end
	copy(unsafe.Slice(&info.name[0], len(target)), target)
	err = windows.SetFileInformationByHandle(h, windows.FileRenameInfoEx,
		(*byte)(unsafe.Pointer(info)), uint32(8*len(buf)))
	return errors.Join(err, windows.CloseHandle(h))
}

func moveFile(from, to string, flags uint32) error {
	p, err := windows.UTF16PtrFromString(longPath(from))
	if err != nil {
		return err
	}
	q, err := windows.UTF16PtrFromString(longPath(to))
	if err != nil {
		return err
	}
	return windows.MoveFileEx(p, q, flags)
}
