// Package errors names the errors of Mapleaf that programs compare with, by
// errors.Is or by ==. They are the same values as in package mapleaf; this
// package exists so that programs which import go.etcd.io/bbolt/errors need to
// change that import only.
package errors

import "github.com/mapleafdb/mapleaf"

// These errors come from opening a database and from using its handle.
var (
	// ErrDatabaseNotOpen is returned by the methods of a database that is not
	// open, or no longer.
	ErrDatabaseNotOpen = mapleaf.ErrDatabaseNotOpen

	// ErrInvalid is returned by Open for a file that is no Mapleaf database.
	ErrInvalid = mapleaf.ErrInvalid

	// ErrInvalidMapping is returned when the file cannot be mapped into memory.
	ErrInvalidMapping = mapleaf.ErrInvalidMapping

	// ErrVersionMismatch is returned by Open for a format that this version of
	// Mapleaf does not know.
	ErrVersionMismatch = mapleaf.ErrVersionMismatch

	// ErrChecksum is returned by Open when both metas of a database are damaged.
	ErrChecksum = mapleaf.ErrChecksum

	// ErrTimeout is returned by Open when the lock on the file was not to be had
	// within Options.Timeout.
	ErrTimeout = mapleaf.ErrTimeout

	// ErrNetwork is returned by Open for a file on a network file system.
	ErrNetwork = mapleaf.ErrNetwork

	// ErrLockFile is returned when the lock file beside a database is something
	// else, or not the one of the processes that have the database open.
	ErrLockFile = mapleaf.ErrLockFile
)

// These errors come from beginning, using and ending a transaction.
var (
	// ErrTxNotWritable is returned by a change in a read-only transaction.
	ErrTxNotWritable = mapleaf.ErrTxNotWritable

	// ErrTxClosed is returned by a transaction that has ended.
	ErrTxClosed = mapleaf.ErrTxClosed

	// ErrTxManaged is returned by Commit and Rollback inside View, Update and
	// Batch, which end their transaction themselves.
	ErrTxManaged = mapleaf.ErrTxManaged

	// ErrDatabaseReadOnly is returned when a write transaction is begun on a
	// database that was opened for reading only.
	ErrDatabaseReadOnly = mapleaf.ErrDatabaseReadOnly

	// ErrFreePagesNotLoaded exists for programs written for bbolt, and is never
	// returned.
	ErrFreePagesNotLoaded = mapleaf.ErrFreePagesNotLoaded

	// ErrFailed is returned by writes after one has failed with an unknown
	// outcome; the database must be closed and opened again.
	ErrFailed = mapleaf.ErrFailed
)

// These errors come from putting, deleting or moving a key or a bucket.
var (
	// ErrBucketNotFound is returned when a bucket does not exist.
	ErrBucketNotFound = mapleaf.ErrBucketNotFound

	// ErrBucketExists is returned when creating a bucket that exists.
	ErrBucketExists = mapleaf.ErrBucketExists

	// ErrBucketNameRequired is returned when the name of a new bucket is empty.
	ErrBucketNameRequired = mapleaf.ErrBucketNameRequired

	// ErrKeyRequired is returned when a key to put is empty.
	ErrKeyRequired = mapleaf.ErrKeyRequired

	// ErrKeyTooLarge is returned when a key is longer than MaxKeySize.
	ErrKeyTooLarge = mapleaf.ErrKeyTooLarge

	// ErrValueTooLarge is returned when a value is longer than MaxValueSize.
	ErrValueTooLarge = mapleaf.ErrValueTooLarge

	// ErrMaxSizeReached is returned when the file would grow beyond its limit.
	ErrMaxSizeReached = mapleaf.ErrMaxSizeReached

	// ErrIncompatibleValue is returned when a key is used as a bucket, or a
	// bucket as a key.
	ErrIncompatibleValue = mapleaf.ErrIncompatibleValue

	// ErrSameBuckets is returned when a bucket is moved to where it is.
	ErrSameBuckets = mapleaf.ErrSameBuckets

	// ErrDifferentDB is returned when a bucket is moved between transactions.
	ErrDifferentDB = mapleaf.ErrDifferentDB

	// ErrBucketTooDeep is returned when buckets would be nested too deeply.
	ErrBucketTooDeep = mapleaf.ErrBucketTooDeep

	// ErrCursorUnset is returned when a cursor that stands on no record is told
	// to delete it.
	ErrCursorUnset = mapleaf.ErrCursorUnset
)

// ErrCorrupt is what every *mapleaf.CorruptError, which names the damaged page,
// unwraps to.
var ErrCorrupt = mapleaf.ErrCorrupt
