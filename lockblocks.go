package mapleaf

import (
	"fmt"

	"github.com/mapleafdb/mapleaf/tx"
)

// The blocks of a lock file (lockfile.go): finding out who reads in all of them, and
// emptying those of owners that are gone.

// blockCount returns how many blocks the head speaks of.
func (l *lockFile) blockCount() int { return int(min(l.blocks.Load(), lockBlocksMax)) }

// cover maps all blocks, if there are more than were mapped. The caller has armed
// itself against faults.
func (l *lockFile) cover() error {
	n := l.blockCount()
	if l.newest.Load().blocks >= n {
		return nil
	}
	l.grow.Lock()
	defer l.grow.Unlock()
	return l.coverLocked(n)
}

// coverLocked is cover for who holds grow.
func (l *lockFile) coverLocked(n int) error {
	if l.newest.Load().blocks >= n {
		return nil
	}
	size, err := l.mf.Size()
	if err != nil {
		return err
	}
	if size < int64(lockHeadSize+n*peerBlockSize) {
		return fmt.Errorf("%w: %s has %d bytes and should have %d blocks", ErrLockFile,
			l.path, size, n)
	}
	return l.mapBlocks(n)
}

// live appends the txids in the slots of all processes to buf, as they stand.
// Blocks whose owner is gone are emptied.
func (l *lockFile) live(buf []tx.TxID) (_ []tx.TxID, err error) {
	err = l.touch(func() error {
		if err := l.cover(); err != nil {
			return err
		}
		m := l.newest.Load()
		for i := range m.blocks { // whoever takes one that is added now looks at published yet
			before := len(buf)
			buf = m.txids(i, buf)
			if len(buf) > before && !l.owns(i) {
				if dead, err := l.bury(i); err != nil {
					return err
				} else if dead {
					buf = buf[:before]
				}
			}
		}
		return nil
	})
	return buf, err
}

// txids appends the txids in block i.
func (m *lockMap) txids(i int, buf []tx.TxID) []tx.TxID {
	for s := 1; s <= peerSlotCount; s++ {
		if id := m.view.Uint64(slotAt(i, s)).Load(); id != 0 {
			buf = append(buf, tx.TxID(id))
		}
	}
	return buf
}

// slotAt returns where slot s of block i is.
func slotAt(i, s int) int { return lockHeadSize + i*peerBlockSize + s*peerSlotSize }

// owns reports whether block i is one of this database's own.
func (l *lockFile) owns(i int) bool {
	for _, b := range *l.own.Load() {
		if b.index == i {
			return true
		}
	}
	return false
}

// bury empties block i if its owner is gone, and reports that.
func (l *lockFile) bury(i int) (bool, error) {
	l.grow.Lock() // else a block that is being claimed would be taken for a dead one
	defer l.grow.Unlock()
	if l.owns(i) {
		return false, nil
	}
	dead, err := l.locks.Try(lockOwner+i, true)
	if err != nil || !dead {
		return false, err
	}
	l.newest.Load().wipe(i)
	return true, l.locks.Unlock(lockOwner + i)
}

// wipe empties block i.
func (m *lockMap) wipe(i int) {
	m.view.Uint32(lockHeadSize + i*peerBlockSize).Store(0)
	for s := 1; s <= peerSlotCount; s++ {
		m.view.Uint64(slotAt(i, s)).Store(0)
	}
}
