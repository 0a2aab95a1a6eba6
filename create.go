package mapleaf

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// How a file is opened, and how it comes into being.
//
// Invariants:
//
//	N1 A database appears under its name whole and durable or not at all: it is
//	   made under another name in the same folder, synced, and renamed. Nobody's
//	   file is replaced by that, except an empty one under its exclusive lock,
//	   which a crash may remove where it cannot be replaced in one step.
//	N2 After every open and lock the path must still name the open inode; if
//	   not, somebody has replaced it meanwhile, and the opening begins again.
//	N3 What is neither an empty file nor a Mapleaf database is not touched.
//	N4 A creation that fails leaves nothing behind.

// file is what the page manager asks of the file beneath it. Tests put a layer
// of their own in between.
type file interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteVec(bufs [][]byte, off int64) error
	WriteVecDurable(bufs [][]byte, off int64) error
	WriteBack(off, n int64) error
	StartWriteBack(off, n int64) error
	Allocate(size int64) error
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
	Drive() (mmapfile.DriveReader, error)
}

// An openFile is an open and locked data file.
type openFile struct {
	file
	mf       *mmapfile.File
	mode     fs.FileMode // of the data file, for those beside it
	attached attachment
	locks    *mmapfile.LockSet
	mayLock  bool           // exclusively
	holder   *mmapfile.File // of the locks, if that is not mf
	lockPath string
	lf       *lockFile // nil if there is none, or none that can be used
	lfErr    error     // why, if others have it
}

// openAttempts bounds how often an opening begins again.
const openAttempts = 100

// openData opens the file at path and locks it; it creates the database if there
// is none.
func openData(path string, mode fs.FileMode, o *Options, wait *lockWait) (*openFile, error) {
	path, err := followLinks(path)
	if err != nil {
		return nil, err
	}
	for range openAttempts {
		of, err := openLocked(path, mode, o, wait)
		if errors.Is(err, errAgain) {
			if wait.ctx.Err() != nil {
				return nil, wait.ctx.Err()
			}
			continue
		}
		return of, err
	}
	return nil, fmt.Errorf("mapleaf: open %s: the file is replaced again and again", path)
}

// linkLimit bounds a chain of symbolic links, as systems do.
const linkLimit = 40

// followLinks returns the path that a symbolic link leads to in the end, also if
// there is nothing yet; a path that is no link comes back as it is.
func followLinks(path string) (string, error) {
	for range linkLimit {
		info, err := os.Lstat(path)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return path, nil // opening it tells what is wrong
		}
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("mapleaf: open %s: too many symbolic links", path)
}

// errAgain means that the path named another file a moment ago.
var errAgain = errors.New("mapleaf: file was replaced")

func openLocked(path string, mode fs.FileMode, o *Options, wait *lockWait) (
	_ *openFile, err error) {
	of, err := o.openExisting(path)
	if errors.Is(err, fs.ErrNotExist) && !o.ReadOnly {
		if err := create(path, mode, o, mmapfile.RenameNew); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return nil, errAgain
			}
			return nil, err
		}
		of, err = o.openExisting(path)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && !o.ReadOnly {
			return nil, errAgain
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, of.release())
		}
	}()
	if err := of.openLocks(path, o); err != nil {
		return nil, err
	}
	if err := of.attach(wait, o); err != nil {
		return nil, err
	}
	if err := sameFile(of.mf, path); err != nil {
		return nil, err
	}
	size, err := of.Size()
	if err != nil {
		return nil, err
	}
	if size == 0 && !o.ReadOnly {
		if of.attached != attachedAlone {
			return nil, errAgain // somebody is about to find out, too
		}
		return nil, replaceEmpty(path, o)
	}
	return of, nil
}

// sameFile returns errAgain unless path still names the open file.
func sameFile(mf *mmapfile.File, path string) error {
	mine, err := mf.Identity()
	if err != nil {
		return err
	}
	its, err := mmapfile.PathIdentity(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && its != mine {
		return errAgain
	}
	return err
}

// openExisting opens path as the options say.
func (o *Options) openExisting(path string) (*openFile, error) {
	flag, access := os.O_RDWR, mmapfile.ReadWrite
	if o.ReadOnly {
		flag, access = os.O_RDONLY, mmapfile.Read
	}
	return o.open(path, flag, 0, access)
}

func (o *Options) open(path string, flag int, mode fs.FileMode, access mmapfile.Access) (
	*openFile, error) {
	// A pipe keeps who opens it waiting, and neither it nor a device is to be replaced.
	if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeType&^fs.ModeDir) != 0 {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrInvalid, path)
	}
	osf, err := o.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	info, err := osf.Stat() // the path may lead to another file by now
	if err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	mf, err := mmapfile.FromOS(osf, access)
	if err != nil {
		return nil, err
	}
	if err := o.refuseNetwork(mf); err != nil {
		return nil, errors.Join(err, mf.Close())
	}
	of := &openFile{file: mf, mf: mf, mode: info.Mode().Perm()}
	if o.wrapFile != nil {
		of.file = o.wrapFile(mf)
	}
	return of, nil
}

// refuseNetwork returns ErrNetwork for a file on a network file system. A system that
// does not tell is taken at its word.
func (o *Options) refuseNetwork(mf *mmapfile.File) error {
	if o.AllowNetwork {
		return nil
	}
	name, err := o.network(mf)
	if err != nil || name == "" {
		return err
	}
	return fmt.Errorf("%w: %s", ErrNetwork, name)
}

// openBulk opens the file once more, so that checkpoints have a descriptor of their
// own. It reports false if the path names another file by now.
func (s *store) openBulk() bool {
	if s.bulk != nil {
		return true
	}
	mine, err := s.mf.Identity()
	if err != nil {
		return false
	}
	of, err := s.opts.openExisting(s.path)
	if err != nil {
		return false
	}
	if its, err := of.mf.Identity(); err != nil || its != mine {
		_ = of.mf.Close() // it is not ours
		return false
	}
	s.bulk = of
	return true
}

// replaceEmpty puts a new database in the place of an empty file, whose
// exclusive lock the caller holds.
func replaceEmpty(path string, o *Options) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	err = create(path, info.Mode().Perm(), o, replaceOpen)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return errAgain
	}
	return err
}

// replaceOpen is mmapfile.Rename over an empty file that this process has open.
// File systems that Windows has beside NTFS do not replace what is open, but let
// it be renamed: there the file goes aside first.
func replaceOpen(from, to string) error {
	err := mmapfile.Rename(from, to)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, mmapfile.ErrSharing) {
		return replaceAside(from, to)
	}
	return err
}

// replaceAside gives the file at to another name, puts the one at from in its
// place, and removes it. A crash in between leaves nothing at to, or two files.
// If that cannot be done, the file at to gets its name back, unless there is a
// new one: then the error is fs.ErrExist.
func replaceAside(from, to string) error {
	aside := from + ".old"
	if err := mmapfile.RenameNew(to, aside); err != nil {
		return err
	}
	err := mmapfile.RenameNew(from, to)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return errors.Join(err, mmapfile.RenameNew(aside, to))
	}
	return errors.Join(err, os.Remove(aside))
}

// makeFile makes a file, which must not be there, by a function like os.OpenFile.
func makeFile(open func(string, int, os.FileMode) (*os.File, error), path string,
	mode fs.FileMode) (*mmapfile.File, error) {
	osf, err := open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	return mmapfile.FromOS(osf, mmapfile.ReadWrite)
}

// create makes a new database and gives it its name by rename.
func create(path string, mode fs.FileMode, o *Options, rename func(from, to string) error) (
	err error) {
	var random [8]byte
	rand.Read(random[:])
	temp := path + ".new-" + hex.EncodeToString(random[:])
	defer func() {
		if err != nil {
			os.Remove(temp) // it may be gone already; err says what matters
		}
	}()
	of, err := o.open(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode, mmapfile.ReadWrite)
	if err != nil {
		return err
	}
	id, err := of.mf.Identity()
	if err == nil {
		err = writeNew(of, o.PageSize)
	}
	if err := errors.Join(err, of.mf.Close()); err != nil {
		return fmt.Errorf("mapleaf: create database: %w", err)
	}
	if err := rename(temp, path); err != nil {
		return fmt.Errorf("mapleaf: create database: %w", err)
	}
	if err := mmapfile.SyncDir(filepath.Dir(path)); err != nil {
		return errors.Join(fmt.Errorf("mapleaf: create database: %w", err), uncreate(path, id, o))
	}
	return nil
}

// writeNew writes an empty database: both metas, and nothing else.
func writeNew(f file, pageSize int) error {
	m := &meta{pageSize: pageSize, txid: 1, durable: 1, closed: true, hwm: firstPage(pageSize)}
	rand.Read(m.fileID[:])
	m.entrySum = manifestSumOf(m.txid, nil)
	head := make([]byte, int(m.hwm)*pageSize)
	slot := m.encode()
	copy(head, slot)
	copy(head[metaSlotGap:], slot)
	if err := f.WriteVec([][]byte{head}, 0); err != nil {
		return err
	}
	return f.Sync()
}

// uncreate removes a database that was created but is not durable, unless
// somebody else has opened or replaced it.
func uncreate(path string, id mmapfile.Identity, o *Options) error {
	of, err := o.openExisting(path)
	if err != nil {
		return err
	}
	its, err := of.mf.Identity()
	if err == nil && its == id {
		var mine bool
		if mine, err = of.mf.TryLock(lockFirst, 1, true); mine {
			err = os.Remove(path)
		}
	}
	return errors.Join(err, of.mf.Close())
}
