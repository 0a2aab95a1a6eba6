package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/mapleafdb/mapleaf"
)

// fileMode is what new files are created with.
const fileMode = 0o644

// fileError is an error of the store with the name of its file in front.
type fileError struct {
	file string
	err  error
}

func (e *fileError) Error() string {
	return e.file + ": " + strings.TrimPrefix(e.err.Error(), "mapleaf: ")
}

func (e *fileError) Unwrap() error { return e.err }

// exists reports clearly what stands in the way of opening file.
func exists(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &fileError{file, errors.New("there is no such file")}
	case err != nil:
		return err
	case info.IsDir():
		return &fileError{file, errors.New("this is a directory")}
	}
	return nil
}

// view runs fn in a read transaction on a file, which is opened read-only (K2).
func (a *app) view(file string, fn func(*mapleaf.Tx) error) error {
	return a.viewDB(file, func(db *mapleaf.DB) error { return db.View(fn) })
}

// viewDB runs fn with a file opened read-only (K2).
func (a *app) viewDB(file string, fn func(*mapleaf.DB) error) error {
	if err := exists(file); err != nil {
		return err
	}
	return a.with(file, &mapleaf.Options{ReadOnly: true, Timeout: a.timeout}, fn)
}

// update runs fn in a write transaction on a file that must exist.
func (a *app) update(file string, fn func(*mapleaf.Tx) error) error {
	if err := exists(file); err != nil {
		return err
	}
	return a.create(file, func(db *mapleaf.DB) error { return db.Update(fn) })
}

// create runs fn with a file opened for writing, which is created if missing.
func (a *app) create(file string, fn func(*mapleaf.DB) error) error {
	return a.with(file, &mapleaf.Options{Timeout: a.timeout}, fn)
}

func (a *app) with(file string, o *mapleaf.Options, fn func(*mapleaf.DB) error) (err error) {
	db, err := mapleaf.Open(file, fileMode, o)
	if err != nil {
		return openError(file, err)
	}
	defer func() {
		if closed := db.Close(); closed != nil {
			err = errors.Join(err, &fileError{file, closed})
		}
	}()
	return fn(db)
}

func openError(file string, err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, mapleaf.ErrTimeout):
		return &fileError{file, fmt.Errorf("another process has the file open: %w", err)}
	case errors.As(err, &path):
		return err // it names the file itself
	}
	return &fileError{file, err}
}

// bucketAt returns the bucket at path, or an error that names what is missing.
func bucketAt(tx *mapleaf.Tx, path bucketPath) (*mapleaf.Bucket, error) {
	if len(path) == 0 {
		return nil, usagef("say which bucket: --bucket PATH is missing")
	}
	bucket := tx.Bucket(path[0])
	for i := 1; ; i++ {
		if bucket == nil {
			if err := tx.Err(); err != nil {
				return nil, err
			}
			missing := path[:i]
			return nil, fmt.Errorf("there is no bucket %s", missing.String())
		}
		if i == len(path) {
			return bucket, nil
		}
		bucket = bucket.Bucket(path[i])
	}
}

// makeBucket returns the bucket at path and creates what is missing of it.
func makeBucket(tx *mapleaf.Tx, path bucketPath) (*mapleaf.Bucket, error) {
	bucket, err := tx.CreateBucketIfNotExists(path[0])
	for i := 1; err == nil && i < len(path); i++ {
		bucket, err = bucket.CreateBucketIfNotExists(path[i])
	}
	switch {
	case errors.Is(err, mapleaf.ErrIncompatibleValue):
		return nil, fmt.Errorf("create bucket %s: a key on the path is no bucket", path.String())
	case err != nil:
		return nil, fmt.Errorf("create bucket %s: %s",
			path.String(), strings.TrimPrefix(err.Error(), "mapleaf: "))
	}
	return bucket, nil
}

// put stores a record, and says which key it was that could not be stored.
func put(b *mapleaf.Bucket, key, value []byte) error {
	err := b.Put(key, value)
	if errors.Is(err, mapleaf.ErrIncompatibleValue) {
		return isBucket(key)
	}
	return err
}

func isBucket(key []byte) error {
	return fmt.Errorf("%s is a bucket, not a key", appendText(nil, key, textName))
}
