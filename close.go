package mapleaf

import (
	"context"
	"fmt"
	"strings"

	"github.com/mapleafdb/mapleaf/tx"
)

// An OpenTx is a transaction that keeps a database from being closed.
type OpenTx struct {
	ID       int    // the state that it sees, or stands on
	Writable bool   // it is the write transaction
	Stack    string // where it was begun; empty without the build tag invariants
}

// An OpenTxError says that a database could not be closed in time, and which
// transactions are still open. It unwraps to the error of the context.
type OpenTxError struct {
	Open  []OpenTx
	Cause error
}

// Error counts the transactions, and adds where they were begun if that is known.
func (e *OpenTxError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "mapleaf: close database: %d transactions are open", len(e.Open))
	for i, t := range e.Open {
		kind := "read"
		if t.Writable {
			kind = "write"
		}
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		fmt.Fprintf(&s, "%s%s at %d", separator, kind, t.ID)
		if t.Stack != "" {
			fmt.Fprintf(&s, ", begun by %s", t.Stack)
		}
	}
	fmt.Fprintf(&s, ": %v", e.Cause)
	return s.String()
}

// Unwrap returns the error of the context.
func (e *OpenTxError) Unwrap() error { return e.Cause }

// CloseContext is Close that stops waiting for open transactions when ctx is done,
// and then returns an *OpenTxError. No transaction begins any more, and the
// database is closed as soon as the last one ends; Close and CloseContext can be
// called again to wait for that.
func (db *DB) CloseContext(ctx context.Context) error {
	if db.store == nil {
		return nil
	}
	db.closing.Do(func() {
		go func() {
			defer close(db.done)
			db.closed = named("close database", db.store.close())
		}()
	})
	select {
	case <-db.done:
		return db.closed
	case <-ctx.Done():
		return &OpenTxError{db.store.openTxs(), ctx.Err()}
	}
}

// openTxs lists the transactions that are open.
func (s *store) openTxs() (open []OpenTx) {
	if id := s.slots.writer.txid.Load(); id != 0 {
		open = append(open, OpenTx{int(id), true, s.slots.stack(&s.slots.writer)})
	}
	s.eachReader(func(slot tx.Session, txid, _ uint64) {
		open = append(open, OpenTx{int(txid), false, s.slots.stack(slot)})
	})
	return open
}
