package mapleaf

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// These errors come from opening a database and from using its handle.
var (
	// ErrDatabaseNotOpen is returned by the methods of a DB that was closed, or
	// that Open never returned.
	ErrDatabaseNotOpen = errors.New("mapleaf: database is not open")

	// ErrInvalid is returned by Open for a file that is no Mapleaf database. The
	// file is left as it is.
	ErrInvalid = errors.New("mapleaf: not a Mapleaf database")

	// ErrInvalidMapping is returned when the file cannot be mapped into memory,
	// for instance because the address space is too small for it.
	ErrInvalidMapping = errors.New("mapleaf: database cannot be mapped")

	// ErrVersionMismatch is returned by Open for a database in a format that
	// this version does not know. The message names the format.
	ErrVersionMismatch = errors.New("mapleaf: unknown format version")

	// ErrChecksum is returned by Open when neither of the two metas of a
	// Mapleaf database agrees with its checksum.
	ErrChecksum = errors.New("mapleaf: both metas are damaged")

	// ErrTimeout is returned by Open when somebody else holds the lock on the
	// file for longer than Options.Timeout. Where the process is known, the error
	// names it, and wraps ErrTimeout: compare by errors.Is.
	ErrTimeout = errors.New("mapleaf: timeout while waiting for the lock")

	// ErrNetwork is returned by Open for a file on a network file system, unless
	// Options.AllowNetwork is set. The message names the kind of file system.
	ErrNetwork = errors.New("mapleaf: database lies on a network file system")

	// ErrLockFile is returned when the lock file beside the database, PATH-lock, is
	// something else, is damaged, or is not the one of the processes that have
	// the database open: because it was removed, or the database has several
	// names. It goes away when those processes have closed the database.
	ErrLockFile = errors.New("mapleaf: lock file does not belong to the open database")

	// ErrDatabaseReadOnly is returned when a write transaction is begun on a
	// database that was opened with Options.ReadOnly.
	ErrDatabaseReadOnly = errors.New("mapleaf: database is open for reading only")

	// ErrFreePagesNotLoaded exists for programs written for bbolt. Here the free
	// space is loaded when it is needed, and the error is never returned.
	ErrFreePagesNotLoaded = errors.New("mapleaf: free pages are not loaded")

	// ErrMaxSizeReached is returned when a transaction needs a larger file than
	// DB.MaxSize or the format (4,294,967,295 pages) allows. The transaction
	// has been rolled back, and the database stays usable.
	ErrMaxSizeReached = errors.New("mapleaf: database has reached its maximum size")

	// ErrFailed is returned by commits after a write or a sync of the file has
	// failed, together with the cause: what then stands in the file is not
	// known. Nothing of a failed commit was published; readers go on, and
	// writing is possible again once the database was closed and opened.
	ErrFailed = errors.New("mapleaf: an earlier write failed, reopen the database")
)

// These errors come from transactions, and are those of package tx.
var (
	// ErrTxNotWritable is returned by a change in a read-only transaction.
	ErrTxNotWritable = tx.ErrTxNotWritable

	// ErrTxClosed is returned by a transaction that has ended.
	ErrTxClosed = tx.ErrTxClosed

	// ErrTxManaged is returned by Commit and Rollback inside View, Update and Batch.
	ErrTxManaged = tx.ErrTxManaged
)

// These errors come from buckets and keys, and are those of package tx.
var (
	// ErrBucketNotFound is returned when a bucket does not exist.
	ErrBucketNotFound = tx.ErrBucketNotFound

	// ErrBucketExists is returned when creating a bucket that exists already.
	ErrBucketExists = tx.ErrBucketExists

	// ErrBucketNameRequired is returned when the name of a new bucket is empty.
	ErrBucketNameRequired = tx.ErrBucketNameRequired

	// ErrKeyRequired is returned when a key is empty.
	ErrKeyRequired = tx.ErrKeyRequired

	// ErrKeyTooLarge is returned when a key is longer than MaxKeySize.
	ErrKeyTooLarge = tx.ErrKeyTooLarge

	// ErrValueTooLarge is returned when a value is longer than MaxValueSize.
	ErrValueTooLarge = tx.ErrValueTooLarge

	// ErrIncompatibleValue is returned when a bucket is used as a key, or a key
	// as a bucket.
	ErrIncompatibleValue = tx.ErrIncompatibleValue

	// ErrSameBuckets is returned by MoveBucket when source and target are one.
	ErrSameBuckets = tx.ErrSameBuckets

	// ErrDifferentDB is returned by MoveBucket when source and target belong to
	// different databases or transactions.
	ErrDifferentDB = tx.ErrDifferentDB

	// ErrBucketTooDeep is returned when buckets would be nested too deeply.
	ErrBucketTooDeep = tx.ErrBucketTooDeep

	// ErrCursorUnset is returned by Cursor.Delete when it stands on no record.
	ErrCursorUnset = tx.ErrCursorUnset
)

// ErrCorrupt is what every CorruptError unwraps to.
var ErrCorrupt = tx.ErrCorrupt

// CorruptError names a page that is damaged, and why it is known to be.
type CorruptError = tx.CorruptError

// FaultError is a read of mapped memory that the system could not serve, for
// instance because somebody has cut the file short.
type FaultError = mmapfile.FaultError

// named returns an error of a call of the system as one of this package, which says what
// was being done.
func named(what string, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "mapleaf: ") ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("mapleaf: %s: %w", what, err)
}

// failure makes the error that everybody gets after a failed write.
func failure(cause error) error {
	if errors.Is(cause, ErrFailed) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrFailed, cause)
}
