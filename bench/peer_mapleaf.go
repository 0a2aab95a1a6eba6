package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/mapleafdb/mapleaf"
)

// mapleafPeer is Mapleaf as it comes.
var mapleafPeer = peer{
	name:   "mapleaf",
	about:  "default options; unsynced = NoSync; every page verified on its first touch",
	module: "github.com/mapleafdb/mapleaf",
	open:   openMapleaf,
}

// mapleafBucket is the bucket of all records.
var mapleafBucket = []byte("bench")

// mapleafStore is Mapleaf as a store.
type mapleafStore struct{ db *mapleaf.DB }

// openMapleaf opens or creates the database in dir.
func openMapleaf(dir string, o openOptions) (store, error) {
	db, err := mapleaf.Open(filepath.Join(dir, "data.mapleaf"), 0o600, &mapleaf.Options{
		NoSync: !o.Durable,
	})
	if err != nil {
		return nil, err
	}
	s := &mapleafStore{db: db}
	if err := s.ensureBucket(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// ensureBucket creates the bucket if it is missing, and writes nothing if not.
func (s *mapleafStore) ensureBucket() error {
	there := false
	err := s.db.View(func(tx *mapleaf.Tx) error {
		there = tx.Bucket(mapleafBucket) != nil
		return nil
	})
	if err != nil || there {
		return err
	}
	return s.db.Update(func(tx *mapleaf.Tx) error {
		_, err := tx.CreateBucket(mapleafBucket)
		return err
	})
}

// view implements store.
func (s *mapleafStore) view(fn func(reader) error) error {
	return s.db.View(func(tx *mapleaf.Tx) error {
		return fn(&mapleafReader{tx: tx, bucket: tx.Bucket(mapleafBucket)})
	})
}

// getOnce implements store.
func (s *mapleafStore) getOnce(key []byte, check func([]byte) error) error {
	return s.db.View(func(tx *mapleaf.Tx) error {
		return check(tx.Bucket(mapleafBucket).Get(key))
	})
}

// update implements store.
func (s *mapleafStore) update(fn func(writer) error) error {
	return s.db.Update(func(tx *mapleaf.Tx) error {
		return fn(mapleafWriter{tx.Bucket(mapleafBucket)})
	})
}

// bulkLoad implements bulkLoader.
func (s *mapleafStore) bulkLoad(keys keyList, valueSize int) error {
	value := make([]byte, valueSize)
	return s.db.Update(func(tx *mapleaf.Tx) error {
		return tx.Bucket(mapleafBucket).Load(func(yield func(key, value []byte) bool) {
			for j := range keys.len() {
				key := keys.at(j)
				fillValue(value, key, 0)
				if !yield(key, value) {
					return
				}
			}
		})
	})
}

// count implements store.
func (s *mapleafStore) count() (n int, err error) {
	err = s.db.View(func(tx *mapleaf.Tx) error {
		n = int(tx.Bucket(mapleafBucket).Count())
		return nil
	})
	return n, err
}

// compact implements compacter.
func (s *mapleafStore) compact(dst string) (inPlace bool, err error) {
	const txBytesMax = 64 << 20
	path := filepath.Join(dst, "data.mapleaf")
	fresh, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
	if err != nil {
		return false, err
	}
	err = mapleaf.Compact(fresh, s.db, txBytesMax)
	return false, errors.Join(err, fresh.Close())
}

// close implements store.
func (s *mapleafStore) close() error { return s.db.Close() }

// mapleafReader is a read transaction and its cursor.
type mapleafReader struct {
	tx     *mapleaf.Tx
	bucket *mapleaf.Bucket
}

// get implements reader.
func (r *mapleafReader) get(key []byte) ([]byte, error) {
	value := r.bucket.Get(key)
	if value == nil {
		return nil, r.tx.Err() // missing, or on a damaged page
	}
	return value, nil
}

// cursor implements reader.
func (r *mapleafReader) cursor(reverse bool) (cursor, error) {
	c := r.bucket.Cursor()
	if reverse {
		return mapleafBackward{c, r.tx}, nil
	}
	return mapleafForward{c, r.tx}, nil
}

// prefix implements reader.
func (r *mapleafReader) prefix(prefixes keyList, visit func(key, value []byte) error) error {
	for j := range prefixes.len() {
		for key, value := range r.bucket.Prefix(prefixes.at(j)) {
			if err := visit(key, value); err != nil {
				return err
			}
		}
	}
	return r.tx.Err()
}

// mapleafForward walks in key order.
type mapleafForward struct {
	c  *mapleaf.Cursor
	tx *mapleaf.Tx
}

func (c mapleafForward) first() (key, value []byte)               { return c.c.First() }
func (c mapleafForward) seek(key []byte) (foundKey, value []byte) { return c.c.Seek(key) }
func (c mapleafForward) next() (key, value []byte)                { return c.c.Next() }
func (c mapleafForward) close() error                             { return c.tx.Err() }

// mapleafBackward walks against key order.
type mapleafBackward struct {
	c  *mapleaf.Cursor
	tx *mapleaf.Tx
}

func (c mapleafBackward) first() (key, value []byte)               { return c.c.Last() }
func (c mapleafBackward) seek(key []byte) (foundKey, value []byte) { return c.c.Seek(key) }
func (c mapleafBackward) next() (key, value []byte)                { return c.c.Prev() }
func (c mapleafBackward) close() error                             { return c.tx.Err() }

// mapleafWriter is a write transaction.
type mapleafWriter struct{ bucket *mapleaf.Bucket }

// put implements writer.
func (w mapleafWriter) put(key, value []byte) error {
	if err := w.bucket.Put(key, value); err != nil {
		return fmt.Errorf("put %x: %w", key, err)
	}
	return nil
}

// remove implements writer.
func (w mapleafWriter) remove(key []byte) error { return w.bucket.Delete(key) }
