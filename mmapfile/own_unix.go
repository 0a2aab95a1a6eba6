//go:build unix

package mmapfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The files of names lie in a folder into which everybody may write. Who else writes
// there can put links, pipes and folders at the names of these files, and hard links to
// other files of this user.

// notOwn is what openOwn returns for a file that is not its user's alone.
func notOwn(what string) error { return &classified{ErrAccess, errors.New(what)} }

// openOwn opens a file that this user has made for itself (A3), and makes it if create
// says so.
func openOwn(path string, create bool) (*File, error) {
	for {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) && create {
			f, err := createOwn(path)
			if errors.Is(err, fs.ErrExist) {
				continue // somebody was faster
			}
			return f, err
		}
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, notOwn("no regular file")
		}
		osf, err := openAtOnce(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) && create {
			continue // it was just removed
		}
		if err != nil {
			return nil, err
		}
		return ownFile(osf)
	}
}

// createOwn makes a file for this user alone; there must be nothing of that name.
func createOwn(path string) (*File, error) {
	osf, err := openAtOnce(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return ownFile(osf)
}

// openAtOnce is openPlain of a regular file; it waits for no other end of a pipe, and
// for no drive behind a device.
func openAtOnce(path string, flag int, mode fs.FileMode) (*os.File, error) {
	osf, err := openPlain(path, flag|unix.O_NONBLOCK, mode)
	if err != nil {
		return nil, err
	}
	info, err := osf.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notOwn("no regular file")
	}
	if err == nil {
		err = unix.SetNonblock(int(osf.Fd()), false)
	}
	if err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	return osf, nil
}

// ownFile checks that the file is this user's, that nobody else may open it, and that it
// has no other name, by which it might be any file of this user. It closes what is not.
func ownFile(osf *os.File) (*File, error) {
	info, err := osf.Stat()
	if err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(st.Uid) != os.Geteuid():
		err = notOwn("somebody else's file")
	case info.Mode().Perm()&0o077 != 0:
		err = notOwn(fmt.Sprintf("a file of mode %v", info.Mode().Perm()))
	case st.Nlink > 1:
		err = notOwn("a file with other names")
	}
	if err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	return newFile(osf, ReadWrite)
}
