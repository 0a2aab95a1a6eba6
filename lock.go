package mapleaf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// Exclusion between processes lies on the data file itself, whatever path or
// link leads to it: byte locks that belong to the open file, behind everything
// that a file can hold, and that the kernel releases with their holder.
//
//	offset     number  lock      held by
//	1<<62 - 3  -1      next      who waits for the writer lock, in front of all others
//	1<<62 - 2  0       attached  everybody who has the file open: exclusively by who is
//	                             alone on it or wants to be, else shared
//	1<<62 - 1  1       writer    who writes, or looks at the metas to begin; shared by
//	                             readers that no slot speaks for, to keep writers out
//
// Where locks are on whole files, "attached" is that of the data file, and the
// others are on PATH-lock-next and PATH-lock-writer.
const (
	lockFirst    = 1<<62 - 2
	dataNext     = -1
	dataAttached = 0
	dataWriter   = 1
)

// The ways in which a database is attached to its file.
type attachment int

const (
	detached         attachment = iota
	attachedAlone               // the attach lock is held exclusively
	attachedShared              // others are attached; the writer lock is held, too
	attachedUnlisted            // no slot speaks for this reader: it holds the writer lock shared
)

// A lockWait bounds the waiting for a lock by a context and Options.Timeout.
type lockWait struct {
	ctx     context.Context
	bounded context.Context
	cancel  context.CancelFunc
}

func newLockWait(ctx context.Context, timeout time.Duration) *lockWait {
	w := &lockWait{ctx: ctx, bounded: ctx, cancel: func() {}}
	if timeout > 0 {
		w.bounded, w.cancel = context.WithTimeout(ctx, timeout)
	}
	return w
}

// over returns the error of a wait that has ended: that of the context, or
// ErrTimeout, with the process that was in the way if it is known.
func (w *lockWait) over(pid uint32) error {
	switch {
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case pid != 0:
		return fmt.Errorf("%w: process %d has it", ErrTimeout, pid)
	}
	return ErrTimeout
}

// The intervals at which a lock is tried again, unless an event comes earlier.
const (
	lockPauseMin = time.Millisecond
	lockPauseMax = 10 * time.Millisecond
)

// openLocks prepares the locks of the data file. Exclusive ones need a descriptor
// that may write: a reader opens one for them alone, if it may.
func (of *openFile) openLocks(path string, o *Options) error {
	of.lockPath = path + lockFileSuffix
	holder := of.mf
	of.mayLock = !o.ReadOnly
	var err error
	if o.ReadOnly {
		of.holder, err = openLockHolder(path, o, of.mf)
		if of.holder != nil {
			holder, of.mayLock = of.holder, true
		}
	}
	of.locks = mmapfile.NewLockSet(holder, lockFirst, of.mode, func(i int) string {
		if i == dataNext {
			return of.lockPath + "-next"
		}
		return of.lockPath + "-writer"
	})
	return err
}

// openLockHolder opens the file of mf once more, for writing. It returns nil if that is not
// allowed, or if it is another one by now.
func openLockHolder(path string, o *Options, mf *mmapfile.File) (*mmapfile.File, error) {
	osf, err := o.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, mmapfile.ErrSharing) ||
		errors.Is(err, fs.ErrNotExist) || mmapfile.IsReadOnly(err) {
		return nil, nil
	}
	if err != nil { // without it, others would wait for this reader, and it for them
		return nil, fmt.Errorf("mapleaf: lock database: %w", err)
	}
	f, err := mmapfile.FromOS(osf, mmapfile.ReadWrite)
	if err != nil {
		return nil, fmt.Errorf("mapleaf: lock database: %w", err)
	}
	mine, err1 := f.Identity()
	its, err2 := mf.Identity()
	if err1 != nil || err2 != nil || mine != its {
		_ = f.Close() // it was never used
		return nil, nil
	}
	return f, nil
}

// release closes the file and all that belongs to it.
func (of *openFile) release() error {
	var errs []error
	if of.locks != nil {
		errs = append(errs, of.locks.Close())
	}
	if of.holder != nil {
		errs = append(errs, of.holder.Close())
	}
	errs = append(errs, of.mf.Close())
	if of.lf != nil {
		_ = of.lf.released.Signal() // else they notice after a while
		errs = append(errs, of.lf.close())
	}
	return errors.Join(errs...)
}

// attach takes the lock "attached": exclusively if it can be had, else, unless the
// options ask for it, shared among those that take part in the lock file.
func (of *openFile) attach(w *lockWait, o *Options) error {
	began := time.Time{} // of the time in which nobody seemed to take part
	for pause := lockPauseMin; ; pause = min(pause*3/2, lockPauseMax) {
		done, err := of.tryAttach(w, o)
		if done || err != nil && !errors.Is(err, errStranger) {
			return err
		}
		if err == nil {
			began = time.Time{}
		} else if began.IsZero() {
			began = time.Now()
		} else if time.Since(began) > strangerGrace {
			return err
		}
		select {
		case <-w.bounded.Done():
			return w.over(of.holderPid())
		case <-time.After(pause):
		}
	}
}

// errStranger means that the database is open elsewhere, and nobody takes part in
// the lock file that stands beside this path.
var errStranger = fmt.Errorf("%w: the database is open in a process that uses another one: "+
	"it was removed, or the database has another name", ErrLockFile)

// strangerGrace is how long that may last while a process is just beginning or
// ending.
const strangerGrace = 500 * time.Millisecond

// tryAttach makes one attempt. It leaves no lock behind unless it is done.
func (of *openFile) tryAttach(w *lockWait, o *Options) (done bool, err error) {
	if of.mayLock {
		ok, err := of.locks.Try(dataAttached, true)
		if err != nil {
			return false, fmt.Errorf("mapleaf: lock database: %w", err)
		}
		if ok {
			of.attached = attachedAlone
			return true, nil
		}
	}
	if o.Exclusive && !o.ReadOnly {
		return false, nil
	}
	listed := of.mayLock && of.findLockFile(o)
	ok, err := of.locks.Try(dataAttached, false)
	if err != nil {
		return false, fmt.Errorf("mapleaf: lock database: %w", err)
	}
	if !ok {
		if listed {
			of.lf.ask(of.lf.wish)
		}
		return false, nil
	}
	if of.mayLock {
		done, err = of.join(w, o, listed)
	}
	if !done && err == nil && o.ReadOnly {
		if done, err = of.locks.Try(dataWriter, false); done {
			of.attached = attachedUnlisted
		}
	}
	if !done {
		err = errors.Join(err, of.locks.Unlock(dataAttached))
	}
	return done, err
}

// findLockFile opens the lock file if it is there and may be written to.
func (of *openFile) findLockFile(o *Options) bool {
	if of.lf != nil && sameFile(of.lf.mf, of.lockPath) == nil {
		return true
	}
	if of.lf != nil {
		_ = of.lf.close() // somebody has removed it
		of.lf = nil
	}
	lf, err := openLockFile(of.lockPath, o, of.mode, false)
	if err != nil {
		of.lfErr = err
		return false
	}
	of.lf = lf
	return true
}

// join joins those that are attached, shared as they are. For that it takes the
// writer lock, and looks whether they take part in the lock file.
func (of *openFile) join(w *lockWait, o *Options, listed bool) (done bool, err error) {
	ctx := w.bounded
	if o.ReadOnly { // there may be readers that keep the writer lock shared
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readerPatience)
		defer cancel()
	}
	if err := waitTurn(ctx, of.locks, of.lf); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return false, nil // the caller knows what to make of it
		}
		return false, err
	}
	defer func() {
		if !done {
			err = errors.Join(err, of.locks.Unlock(dataWriter))
		}
	}()
	if listed {
		nobody, err := of.lf.locks.Try(lockPresent, true)
		if err != nil {
			return false, err
		}
		if !nobody {
			if alone, err := of.lf.saysAlone(); alone || err != nil {
				return false, err // it has died, and the system is not done with it
			}
			of.attached = attachedShared
			return of.lf.locks.Try(lockPresent, false)
		}
		if err := of.lf.locks.Unlock(lockPresent); err != nil {
			return false, err
		}
	}
	if ok, err := of.locks.Try(dataAttached, true); ok && err == nil {
		of.attached = attachedAlone // all the others have just gone
		return true, of.locks.Unlock(dataWriter)
	}
	if of.lfErr != nil && !listed && !errors.Is(of.lfErr, fs.ErrNotExist) {
		return false, fmt.Errorf("%w (%w)", errStranger, of.lfErr)
	}
	return false, errStranger
}

// saysAlone reports whether somebody was alone when the file was last written to.
func (l *lockFile) saysAlone() (alone bool, err error) {
	err = l.touch(func() error { alone = l.alonePid.Load() != 0; return nil })
	return alone, err
}

// readerPatience is how long a reader waits for the writer lock before it looks
// whether it could be shared.
const readerPatience = 200 * time.Millisecond

// holderPid returns the process in whose hands the locks are, 0 if nobody knows.
func (of *openFile) holderPid() (pid uint32) {
	if of.lf == nil {
		return 0
	}
	_ = of.lf.touch(func() error {
		if pid = of.lf.alonePid.Load(); pid == 0 {
			pid = of.lf.writerPid.Load()
		}
		return nil
	})
	return pid
}
