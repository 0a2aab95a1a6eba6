package mapleaf

import (
	"context"
	"fmt"
	"time"
)

// Exclusion between processes lies on the data file itself, whatever path or
// link leads to it: byte locks that belong to the open file, behind everything
// that a file can hold, and that the kernel releases with their holder.
//
//	offset     lock      held by
//	1<<62 - 2  attached  everybody who has the file open: shared by readers,
//	                     exclusively by a read-write DB
//	1<<62 - 1  writer    left for when several processes may write
const lockAttached = 1<<62 - 2

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

// attach takes the lock of an open file. It returns ErrTimeout after the
// timeout, and the error of the context if that ends first.
func (w *lockWait) attach(of *openFile, exclusive bool) error {
	err := of.mf.Lock(w.bounded, lockAttached, 1, exclusive)
	switch {
	case err == nil:
		return nil
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case w.bounded.Err() != nil:
		return ErrTimeout
	}
	return fmt.Errorf("mapleaf: lock database: %w", err)
}
