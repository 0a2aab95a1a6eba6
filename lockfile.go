package mapleaf

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// Beside a database that several processes may open lies its lock file, PATH-lock:
// mapped memory that they share. It excludes nobody, which is for the kernel locks
// of the data file (lock.go); it holds the words by which processes talk, and the
// slots of their readers. It outlives them all, and holds nothing that is missed
// when it is lost.
//
// The file is in the byte order of the machine. It begins with 4,096 bytes:
//
//	offset  size  field       meaning
//	0       8     magic       "MapleafL"
//	8       4     version     of this format, 1
//	12      4     generation  goes up with every reset, never 0
//	16      16    file id     the one in the metas of the data file
//	32      8     volume      the identity of the data file on this system
//	40      8     index       and the rest of it
//	48      4     blocks      how many blocks of slots there are
//	52      4     recoveries  goes up when somebody has recovered the data file
//	64      8     published   txid of the newest state that readers may see
//	72      4     changed     event: goes up after published, if somebody watches
//	76      4     watchers    how many goroutines wait for it, or more
//	128     4     dirty       1 from before the first write of a commit to its publication
//	132     4     writer      pid of who holds the writer lock, for messages
//	136     4     waiter      1 if somebody waits for the writer lock
//	140     4     released    event: the writer lock was given back
//	144     4     advanced    event: the lock of the next writer was given back
//	192     4     wish        1 if somebody waits to be let in
//	196     4     alone       pid of who is alone on the data file (H4), else 0
//	200     4     call        event: there is a wish or a waiter
//	2048    8     seal        "MapleafL" again, alone in its sector (Q6)
//
// and goes on with blocks of 4,096 bytes, each of which one open database owns:
//
//	offset  size  field  meaning
//	0       4     pid    of the owner, for messages
//	64*i    8     txid   of slot i, from 1 to 63: what its reader sees, 0 = free
//	+8      8     begun  how many readers the slot has had
//	+16     8     since  when one of them was noticed first, in Unix milliseconds,
//	+24     8     noted  and which: the value of begun at that time; a slot that speaks
//	                     for readers in the memory of its owner has both from the start
//
// Invariants:
//
//	Q1 Words that processes share are atomics of their natural size. Every offset
//	   comes from constants and from a count that was checked against the file, so
//	   no contents of the file lead outside it; where the file was cut short, the
//	   fault is an error.
//	Q2 A block belongs to who holds its kernel lock. Nobody tries the lock of a
//	   block of its own, for which the kernel would say yes.
//	Q3 The lock file is made and reset by who holds the attach lock exclusively,
//	   in place, never shorter, and never removed; and only while nobody takes part
//	   in it, for whatever data file.
//	Q4 Readers touch the mapped words only while a slot of this process is theirs,
//	   by a word in its own memory; so Close, which waits for those, knows when it
//	   may unmap.
//	Q5 A slot that is handed out stays where it is in memory until Close: a larger
//	   file is mapped beside the old view.
//	Q6 The file is never synced again after it was made, so a loss of power may leave
//	   anything in it but in the sector of the seal, which was synced before the file
//	   got its name and is not written since: by that it is known and made anew.
const (
	lockMagic      = 0
	lockVersion    = 8
	lockGeneration = 12
	lockFileID     = 16
	lockVolume     = 32
	lockIndex      = 40
	lockBlocks     = 48
	lockRecoveries = 52
	lockPublished  = 64
	lockChanged    = 72
	lockWatchers   = 76
	lockDirty      = 128
	lockWriterPid  = 132
	lockWaiter     = 136
	lockReleased   = 140
	lockAdvanced   = 144
	lockWish       = 192
	lockAlonePid   = 196
	lockCall       = 200
	lockSeal       = 2048
	lockHeadSize   = 4096

	peerBlockSize  = 4096
	peerSlotSize   = 64 // a cache line
	peerSlotCount  = peerBlockSize/peerSlotSize - 1
	peerSlotBegun  = 8
	peerSlotSince  = 16
	peerSlotNoted  = 24
	lockBlocksNew  = 2       // in a new file
	lockBlocksMax  = 1 << 16 // so that no contents of the file make a scan endless
	lockFormat     = 1
	lockMagicText  = "MapleafL"
	sectorSize     = 512 // the least that a drive writes
	lockFileSuffix = "-lock"
)

// The locks of the lock file, by number.
const (
	lockPresent = 0 // held shared by all that take part
	lockGrow    = 1 // held by who makes the file larger
	lockOwner   = 2 // of block 0, and so on
)

// A lockFile is an open lock file.
type lockFile struct {
	path  string
	mf    *mmapfile.File
	locks *mmapfile.LockSet

	generation, blocks, recoveries *atomic.Uint32
	dirty, writerPid, waiter       *atomic.Uint32
	wish, alonePid, watchers       *atomic.Uint32
	published                      *atomic.Uint64
	changed, released              *mmapfile.Event
	advanced, call                 *mmapfile.Event

	newest atomic.Pointer[lockMap]
	own    atomic.Pointer[[]*peerBlock]
	grow   sync.Mutex // held while maps or own change
	maps   []*lockMap
	closed bool
}

// A lockMap is a view of the head and of so many blocks.
type lockMap struct {
	view   *mmapfile.View
	blocks int
}

// openLockFile opens the lock file at path. With create it makes one if there is
// none, for who holds the attach lock exclusively; else a missing or empty one is
// fs.ErrNotExist. What is no lock file is an error, and stays as it is.
func openLockFile(path string, o *Options, mode fs.FileMode, create bool) (
	_ *lockFile, err error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrLockFile, path)
	}
	const flag = os.O_RDWR | mmapfile.NoFollow
	osf, err := o.OpenFile(path, flag, 0)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err = sealLockFile(path, o, mode); err == nil || errors.Is(err, fs.ErrExist) {
			osf, err = o.OpenFile(path, flag, 0)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := narrow(osf, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrLockFile, path, err), osf.Close())
	}
	mf, err := mmapfile.FromOS(osf, mmapfile.ReadWrite)
	if err != nil {
		return nil, err
	}
	l := &lockFile{path: path, mf: mf}
	l.locks = mmapfile.NewLockSet(mf, 1<<61, mode, func(i int) string {
		return fmt.Sprintf("%s-%d", path, i)
	})
	l.own.Store(&[]*peerBlock{})
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	size, err := mf.Size()
	if err != nil {
		return nil, err
	}
	if size == 0 && !create {
		return nil, fmt.Errorf("mapleaf: open %s: %w", path, fs.ErrNotExist)
	}
	if size != 0 {
		if err := l.checkMagic(create); err != nil {
			return nil, err
		}
	}
	if size < lockHeadSize && !create {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrLockFile, path, size)
	}
	if err := l.mapBlocks(0); err != nil {
		return nil, err
	}
	return l, l.findWords()
}

// narrow makes sure that nobody may write to the lock file who may not write to the
// data file, whose permissions mode is: somebody else may have put it there.
func narrow(f *os.File, mode fs.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("no regular file")
	}
	if info.Mode().Perm()&^mode&0o022 == 0 {
		return nil
	}
	return f.Chmod(info.Mode().Perm() & mode)
}

// sealLockFile makes a lock file that holds a seal and nothing else (Q6).
func sealLockFile(path string, o *Options, mode fs.FileMode) (err error) {
	var random [8]byte
	rand.Read(random[:])
	temp := path + ".new-" + hex.EncodeToString(random[:])
	defer func() {
		if err != nil {
			os.Remove(temp) // it may be gone already; err says what matters
		}
	}()
	f, err := makeFile(o.OpenFile, temp, mode)
	if err != nil {
		return err
	}
	head := make([]byte, lockHeadSize)
	copy(head[lockSeal:], lockMagicText)
	_, err = f.WriteAt(head, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return mmapfile.RenameNew(temp, path)
}

// checkMagic refuses a file that is something else. One of zeros is new to who may
// make one: it has a size, and was never written.
func (l *lockFile) checkMagic(create bool) error {
	head := make([]byte, lockHeadSize)
	n, err := l.mf.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	for _, at := range []int{lockMagic, lockSeal} {
		if string(head[at:][:len(lockMagicText)]) == lockMagicText {
			if n >= len(lockMagicText) && (create || at == lockMagic) {
				return nil
			}
		}
	}
	if create && len(bytes.Trim(head, "\x00")) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s is no lock file", ErrLockFile, l.path)
}

// mapBlocks maps the head and n blocks, and makes the file as long as that.
func (l *lockFile) mapBlocks(n int) error {
	size := int64(lockHeadSize + n*peerBlockSize)
	section, err := l.mf.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: size})
	if err != nil {
		return err
	}
	view, err := section.View(mmapfile.Write, 0, int(size))
	if err = errors.Join(err, section.Close()); err != nil {
		return err
	}
	m := &lockMap{view, n}
	l.maps = append(l.maps, m)
	l.newest.Store(m)
	return nil
}

// findWords looks up the words of the head.
func (l *lockFile) findWords() error {
	v := l.maps[0].view
	for _, w := range []struct {
		to  **atomic.Uint32
		off int
	}{
		{&l.generation, lockGeneration}, {&l.blocks, lockBlocks}, {&l.dirty, lockDirty},
		{&l.recoveries, lockRecoveries}, {&l.writerPid, lockWriterPid}, {&l.waiter, lockWaiter},
		{&l.wish, lockWish}, {&l.alonePid, lockAlonePid}, {&l.watchers, lockWatchers},
	} {
		*w.to = v.Uint32(w.off)
	}
	if l.published = v.Uint64(lockPublished); l.published == nil {
		return fmt.Errorf("mapleaf: several processes on one file: %w", mmapfile.ErrUnsupported)
	}
	for _, e := range []struct {
		to  **mmapfile.Event
		off int
	}{
		{&l.changed, lockChanged}, {&l.released, lockReleased},
		{&l.advanced, lockAdvanced}, {&l.call, lockCall},
	} {
		event, err := v.Event(e.off)
		if err != nil {
			return err
		}
		*e.to = event
	}
	return nil
}

// touch calls fn, which reads or writes words of the file. If the file was cut
// short under it, the fault is an error.
func (l *lockFile) touch(fn func() error) error {
	if err := mmapfile.Guard(fn); err != nil {
		var fault *mmapfile.FaultError
		if errors.As(err, &fault) {
			return fmt.Errorf("%w: %s: %w", ErrLockFile, l.path, err)
		}
		return err
	}
	return nil
}

// occupy makes sure that nobody takes part in the file: it may be in use for another
// database, which had this name before.
func (l *lockFile) occupy() error {
	began := time.Now()
	for {
		ok, err := l.locks.Try(lockPresent, true)
		if ok || err != nil {
			return err
		}
		if time.Since(began) > strangerGrace {
			return fmt.Errorf("%w: %s is in use for a database that had this name before",
				ErrLockFile, l.path)
		}
		time.Sleep(lockPauseMin)
	}
}

// reset makes the file that of the data file with this id and identity, without
// any reader. The caller holds the attach lock exclusively (Q3).
func (l *lockFile) reset(id [16]byte, data mmapfile.Identity) error {
	l.grow.Lock()
	defer l.grow.Unlock()
	if err := l.mapBlocks(lockBlocksNew); err != nil {
		return err
	}
	return l.touch(func() error {
		generation := max(l.generation.Load()+1, 1)
		b := l.newest.Load().view.Bytes()
		ne := binary.NativeEndian
		clear(b[:lockSeal])
		clear(b[lockSeal+sectorSize:])
		if string(b[lockSeal:][:len(lockMagicText)]) != lockMagicText {
			clear(b[lockSeal:][:sectorSize])
			copy(b[lockSeal:], lockMagicText)
		}
		copy(b[lockMagic:], lockMagicText)
		ne.PutUint32(b[lockVersion:], lockFormat)
		copy(b[lockFileID:], id[:])
		ne.PutUint64(b[lockVolume:], data.Volume)
		ne.PutUint64(b[lockIndex:], data.Index)
		l.dirty.Store(1) // until somebody has looked at the metas
		l.blocks.Store(lockBlocksNew)
		l.generation.Store(generation)
		return nil
	})
}

// check compares the head with the data file that the caller has attached to.
func (l *lockFile) check(id [16]byte, data mmapfile.Identity) error {
	return l.touch(func() error {
		b := l.newest.Load().view.Bytes()
		ne := binary.NativeEndian
		switch v := ne.Uint32(b[lockVersion:]); {
		case string(b[:len(lockMagicText)]) != lockMagicText || l.generation.Load() == 0:
			return fmt.Errorf("%w: %s is no lock file", ErrLockFile, l.path)
		case v != lockFormat:
			return fmt.Errorf("%w: lock file has format %d, this version knows format %d",
				ErrVersionMismatch, v, lockFormat)
		case [16]byte(b[lockFileID:]) != id ||
			ne.Uint64(b[lockVolume:]) != data.Volume || ne.Uint64(b[lockIndex:]) != data.Index:
			return fmt.Errorf("%w: %s is that of another database", ErrLockFile, l.path)
		}
		return l.cover()
	})
}

// close unmaps and closes the file, and gives back its locks. No slot is in use.
func (l *lockFile) close() error {
	l.grow.Lock()
	defer l.grow.Unlock()
	l.closed = true
	var errs []error
	for _, m := range l.maps {
		errs = append(errs, m.view.Close())
	}
	return errors.Join(append(errs, l.locks.Close(), l.mf.Close())...)
}
