package mapleaf

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// This file opens the database that a copy is made of, and makes the copy.
//
// Invariants:
//
//	W1 A copy is made under a name of its own beside dst, and gets its name when it
//	   is whole, durable and closed. If that fails, nothing is left behind, unless only
//	   the new name could not be made durable: then the copy stays where it has
//	   replaced a file, where somebody has opened it meanwhile, and where its mode
//	   lets nobody write, which removing it safely needs.
//	W2 A write transaction of the copy holds salvageTxMax bytes and one value at most.

// salvageTxMax is how many bytes of keys and values a transaction of the copy takes.
const salvageTxMax = 16 << 20

// openSource opens a database for reading alone, and keeps others from writing to it.
func openSource(ctx context.Context, path string, timeout time.Duration) (
	_ *openFile, err error) {
	o, err := (&Options{ReadOnly: true, AllowNetwork: true, Timeout: timeout}).filled()
	if err != nil {
		return nil, err
	}
	of, err := o.openExisting(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = closeSource(of, err)
		}
	}()
	of.lockPath = path + lockFileSuffix
	of.locks = mmapfile.NewLockSet(of.mf, lockFirst, of.mode, func(i int) string {
		return of.lockPath + "-writer"
	})
	wait := newLockWait(ctx, timeout)
	defer wait.cancel()
	for pause := lockPauseMin; ; pause = min(pause*3/2, lockPauseMax) {
		ok, err := of.locks.Try(dataAttached, false)
		if ok && err == nil {
			ok, err = of.locks.Try(dataWriter, false)
		}
		if ok || errors.Is(err, mmapfile.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
			return of, nil
		}
		if err != nil {
			return nil, fmt.Errorf("mapleaf: lock database: %w", err)
		}
		select {
		case <-wait.bounded.Done():
			return nil, wait.over(0)
		case <-time.After(pause):
		}
	}
}

// closeSource closes what openSource has opened.
func closeSource(of *openFile, err error) error {
	if closed := of.release(); err == nil && closed != nil {
		return fmt.Errorf("mapleaf: close database: %w", closed)
	}
	return err
}

// newCopy makes a new database of the page size at dst, and has fill fill it (W1).
func newCopy(ctx context.Context, dst string, src *openFile, overwrite bool, pageSize int,
	fill func(*DB) error) error {
	return newFile(dst, src, overwrite, func(temp string, mode fs.FileMode) error {
		db, err := OpenContext(ctx, temp, mode, &Options{
			PageSize: pageSize, NoSync: true, Exclusive: true, AllowNetwork: true,
			NoStatistics: true, LogSize: -1,
		})
		if err != nil {
			return err
		}
		err = fill(db)
		if err == nil {
			err = db.Sync()
		}
		return errors.Join(err, db.Close())
	})
}

// newFile has write make a file under another name, and gives it the name dst (W1). In
// the end it allows what src does, less the umask; until then the owner may write to it.
func newFile(dst string, src *openFile, overwrite bool,
	write func(temp string, mode fs.FileMode) error) (err error) {
	there, err := isAt(src.mf, dst)
	if err != nil {
		return err
	}
	if there && !overwrite {
		return &fs.PathError{Op: "create", Path: dst, Err: fs.ErrExist}
	}
	var random [8]byte
	rand.Read(random[:])
	temp := dst + ".new-" + hex.EncodeToString(random[:])
	defer func() {
		if err != nil {
			os.Remove(temp) // it may be gone already; err says what matters
		}
	}()
	if err := write(temp, src.mode|0o600); err != nil { // it is opened more than once
		return err
	}
	if err := narrowTo(temp, src.mode); err != nil {
		return err
	}
	id, err := mmapfile.PathIdentity(temp)
	if err != nil {
		return err
	}
	rename := mmapfile.RenameNew
	if overwrite {
		rename = mmapfile.Rename
	}
	if err := rename(temp, dst); err != nil {
		return err
	}
	err = mmapfile.SyncDir(filepath.Dir(dst))
	if err != nil && !overwrite { // else the file that had the name is gone by now
		o := &Options{OpenFile: mmapfile.OpenOS, AllowNetwork: true}
		err = errors.Join(err, uncreate(dst, id, o))
	}
	return err
}

// narrowTo takes from the file at path what its owner may do with it beyond mode.
func narrowTo(path string, mode fs.FileMode) (err error) {
	osf, err := mmapfile.OpenOS(path, os.O_RDWR|mmapfile.NoFollow, 0)
	if err != nil {
		return err
	}
	f, err := mmapfile.FromOS(osf, mmapfile.ReadWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := osf.Stat()
	if err != nil || info.Mode().Perm()&^mode == 0 {
		return err
	}
	if err := osf.Chmod(info.Mode().Perm() & mode); err != nil {
		return err
	}
	return f.Sync()
}

// A salvageCopy is the new database while it is filled.
type salvageCopy struct {
	db   *DB
	t    *Tx
	size int64   // of what the transaction holds
	at   *spot   // the bucket that was used last
	b    *Bucket // in this transaction; nil if none was
	up   *Bucket // the one around it, if that was used before
}

// begin returns the running transaction, with room for n more bytes.
func (c *salvageCopy) begin(n int64) (*Tx, error) {
	if c.t != nil && c.size > 0 && c.size+n > salvageTxMax {
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	if c.t == nil {
		t, err := c.db.Begin(true)
		if err != nil {
			return nil, err
		}
		c.t = t
	}
	c.size += n
	return c.t, nil
}

// flush commits the running transaction.
func (c *salvageCopy) flush() error {
	if c.t == nil {
		return nil
	}
	t := c.t
	c.t, c.b, c.up, c.size = nil, nil, nil, 0
	return t.Commit()
}

// drop rolls the running transaction back.
func (c *salvageCopy) drop() {
	if c.t != nil {
		rollback(c.t)
		c.t = nil
	}
}

// bucketRoom is what an opened bucket costs in memory, about.
const bucketRoom = 512

// bucket returns the bucket at a spot, and creates what is missing of the way there.
// An error that is refused tells that the spot cannot be one of a bucket.
func (c *salvageCopy) bucket(at *spot, room int64) (*Bucket, error) {
	t, err := c.begin(room)
	if err != nil {
		return nil, err
	}
	switch {
	case c.b != nil && c.at == at:
		return c.b, nil
	case c.b != nil && c.up != nil && c.at.up == at:
		c.at, c.b, c.up = at, c.up, nil
		return c.b, nil
	}
	b, up := t.Cursor().Bucket(), (*Bucket)(nil)
	if c.b != nil && at != nil && at.up == c.at {
		up = c.b
		if b, err = up.CreateBucketIfNotExists(at.name); err != nil {
			return nil, err
		}
	} else {
		for _, name := range at.path() {
			up = b
			if b, err = b.CreateBucketIfNotExists(name); err != nil {
				return nil, err
			}
		}
	}
	c.at, c.b, c.up = at, b, up
	c.size += bucketRoom
	return b, nil
}

// create makes the bucket at a spot, if it is not there, and sets its sequence.
func (c *salvageCopy) create(at *spot, sequence uint64) error {
	room := int64(0)
	if at != nil {
		room = int64(len(at.name))
	}
	b, err := c.bucket(at, room)
	if err != nil || sequence == 0 {
		return err
	}
	return b.SetSequence(sequence)
}

// put stores a record. If absent is set, it leaves a record of that key as it is, and
// reports false.
func (c *salvageCopy) put(at *spot, key, value []byte, absent bool) (bool, error) {
	b, err := c.bucket(at, int64(len(key)+len(value)))
	if err != nil {
		return false, err
	}
	if absent {
		if there, err := c.holds(at, key); there || err != nil {
			return false, err
		}
	}
	err = b.Put(key, value)
	return err == nil, err
}

// holds reports whether the bucket at a spot has a record or a bucket of that name.
func (c *salvageCopy) holds(at *spot, name []byte) (bool, error) {
	b, err := c.bucket(at, 0)
	if err != nil {
		return false, err
	}
	return b.Get(name) != nil || b.Bucket(name) != nil, c.t.Err()
}

// redo does again what the operations of a transaction say.
func (c *salvageCopy) redo(ops []byte) (left int, err error) {
	t, err := c.begin(int64(len(ops)) * 2)
	if err != nil {
		return 0, err
	}
	c.at, c.b, c.up = nil, nil, nil // a bucket may be moved or deleted
	return tx.Redo(t, ops)
}
