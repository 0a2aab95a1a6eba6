package tx

import (
	"errors"
	"fmt"
)

// These errors tell what is wrong with a transaction.
var (
	// ErrTxNotWritable is returned by a method that changes something when the
	// transaction is read-only.
	ErrTxNotWritable = errors.New("mapleaf: transaction is read-only")

	// ErrTxClosed is returned by every method of a transaction that has been
	// committed or rolled back, and of its buckets and cursors.
	ErrTxClosed = errors.New("mapleaf: transaction is closed")

	// ErrTxManaged is returned by Commit and Rollback inside the function of
	// View, Update or Batch, which end the transaction themselves.
	ErrTxManaged = errors.New("mapleaf: transaction is managed by View, Update or Batch")
)

// These errors come from changing a key, a value or a bucket.
var (
	// ErrBucketNotFound is returned when a bucket does not exist, also by the
	// handle of one that was deleted.
	ErrBucketNotFound = errors.New("mapleaf: bucket not found")

	// ErrBucketExists is returned when creating a bucket that exists already.
	ErrBucketExists = errors.New("mapleaf: bucket exists already")

	// ErrBucketNameRequired is returned when the name of a new bucket is empty.
	ErrBucketNameRequired = errors.New("mapleaf: bucket name is empty")

	// ErrBucketTooDeep is returned when a bucket would be nested deeper than
	// MaxBucketDepth.
	ErrBucketTooDeep = errors.New("mapleaf: buckets are nested too deep")

	// ErrKeyRequired is returned when a key is empty.
	ErrKeyRequired = errors.New("mapleaf: key is empty")

	// ErrKeyTooLarge is returned when a key or a bucket name is longer than MaxKeySize.
	ErrKeyTooLarge = errors.New("mapleaf: key is longer than 32768 bytes")

	// ErrValueTooLarge is returned when a value is longer than MaxValueSize, or
	// than an int can count on a 32-bit system.
	ErrValueTooLarge = errors.New("mapleaf: value is longer than 2147483646 bytes")

	// ErrIncompatibleValue is returned when a bucket is used as a key, or a key
	// as a bucket: both share one name space.
	ErrIncompatibleValue = errors.New("mapleaf: a bucket is no key, and a key no bucket")

	// ErrSameBuckets is returned by MoveBucket when source and target are one.
	ErrSameBuckets = errors.New("mapleaf: source and target are the same bucket")

	// ErrDifferentDB is returned by MoveBucket when source and target belong to
	// different databases, or to different transactions.
	ErrDifferentDB = errors.New("mapleaf: source and target are in different transactions")

	// ErrCursorUnset is returned by Cursor.Delete when the cursor stands on no record.
	ErrCursorUnset = errors.New("mapleaf: cursor stands on no record")
)

// ErrCorrupt is what every CorruptError unwraps to.
var ErrCorrupt = errors.New("mapleaf: damaged page")

// A CorruptError names a page that is not what it should be, and why.
type CorruptError struct {
	Page   PageID
	Reason string
}

// Error returns the page and the reason in one line.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("mapleaf: page %d is damaged: %s", e.Page, e.Reason)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// Corrupt returns a *CorruptError for page id with a formatted reason.
func Corrupt(id PageID, format string, args ...any) error {
	return &CorruptError{Page: id, Reason: fmt.Sprintf(format, args...)}
}
