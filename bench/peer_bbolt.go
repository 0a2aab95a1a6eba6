package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// bboltPeers are bbolt by itself and its two ways to share a sync: Batch as it
// comes, and Batch told how many writers there are, so that it need not wait
// for more of them.
var bboltPeers = []peer{
	{
		name:   "bbolt",
		about:  "FreelistType hashmap; ordered loads with FillPercent 1; unsynced = NoSync",
		module: "go.etcd.io/bbolt",
		open: func(dir string, o openOptions) (store, error) {
			return openBbolt(dir, o, false, 0)
		},
	},
	{
		name:   "bbolt-batch",
		about:  "DB.Batch instead of DB.Update, default delay and size",
		module: "go.etcd.io/bbolt",
		only:   []string{"put-64"},
		files:  "bbolt",
		open: func(dir string, o openOptions) (store, error) {
			return openBbolt(dir, o, true, 0)
		},
	},
	{
		name:   "bbolt-batch-64",
		about:  "DB.Batch with MaxBatchSize 64, the number of writers",
		module: "go.etcd.io/bbolt",
		only:   []string{"put-64"},
		files:  "bbolt",
		open: func(dir string, o openOptions) (store, error) {
			return openBbolt(dir, o, true, 64)
		},
	},
}

// bboltBucket is the bucket of all records.
var bboltBucket = []byte("bench")

// bboltStore is bbolt as a store.
type bboltStore struct {
	db    *bolt.DB
	batch bool    // update through DB.Batch
	fill  float64 // FillPercent; 0 = as it comes
}

// openBbolt opens or creates the database in dir.
func openBbolt(dir string, o openOptions, batch bool, batchSize int) (store, error) {
	db, err := bolt.Open(filepath.Join(dir, "data.bbolt"), 0o600, &bolt.Options{
		FreelistType: bolt.FreelistMapType,
		NoSync:       !o.Durable,
	})
	if err != nil {
		return nil, err
	}
	s := &bboltStore{db: db, batch: batch}
	if batchSize > 0 {
		db.MaxBatchSize = batchSize
	}
	if o.Ordered {
		s.fill = 1
	}
	if err := s.ensureBucket(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// ensureBucket creates the bucket if it is missing, and writes nothing if not.
func (s *bboltStore) ensureBucket() error {
	there := false
	err := s.db.View(func(tx *bolt.Tx) error {
		there = tx.Bucket(bboltBucket) != nil
		return nil
	})
	if err != nil || there {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(bboltBucket)
		return err
	})
}

// view implements store.
func (s *bboltStore) view(fn func(reader) error) error {
	return s.db.View(func(tx *bolt.Tx) error {
		return fn(&bboltReader{tx.Bucket(bboltBucket)})
	})
}

// getOnce implements store.
func (s *bboltStore) getOnce(key []byte, check func([]byte) error) error {
	return s.db.View(func(tx *bolt.Tx) error {
		return check(tx.Bucket(bboltBucket).Get(key))
	})
}

// update implements store.
func (s *bboltStore) update(fn func(writer) error) error {
	run := func(tx *bolt.Tx) error {
		b := tx.Bucket(bboltBucket)
		if s.fill != 0 {
			b.FillPercent = s.fill
		}
		return fn(bboltWriter{b})
	}
	if s.batch {
		return s.db.Batch(run)
	}
	return s.db.Update(run)
}

// count implements store. bbolt keeps no count: its statistics visit each page.
func (s *bboltStore) count() (n int, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket(bboltBucket).Stats().KeyN
		return nil
	})
	return n, err
}

// compact implements compacter.
func (s *bboltStore) compact(dst string) (inPlace bool, err error) {
	const txBytesMax = 64 << 20
	fresh, err := bolt.Open(filepath.Join(dst, "data.bbolt"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		return false, err
	}
	err = bolt.Compact(fresh, s.db, txBytesMax)
	return false, errors.Join(err, fresh.Close())
}

// close implements store.
func (s *bboltStore) close() error { return s.db.Close() }

// bboltReader is a read transaction and its cursor.
type bboltReader struct{ bucket *bolt.Bucket }

// get implements reader.
func (r *bboltReader) get(key []byte) ([]byte, error) { return r.bucket.Get(key), nil }

// cursor implements reader.
func (r *bboltReader) cursor(reverse bool) (cursor, error) {
	c := r.bucket.Cursor()
	if reverse {
		return bboltBackward{c}, nil
	}
	return bboltForward{c}, nil
}

// prefix implements reader. It is the loop that bbolt's manual gives.
func (r *bboltReader) prefix(prefixes keyList, visit func(key, value []byte) error) error {
	c := r.bucket.Cursor()
	for j := range prefixes.len() {
		prefix := prefixes.at(j)
		key, value := c.Seek(prefix)
		for ; key != nil && bytes.HasPrefix(key, prefix); key, value = c.Next() {
			if err := visit(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// bboltForward walks in key order.
type bboltForward struct{ c *bolt.Cursor }

func (c bboltForward) first() (key, value []byte)               { return c.c.First() }
func (c bboltForward) seek(key []byte) (foundKey, value []byte) { return c.c.Seek(key) }
func (c bboltForward) next() (key, value []byte)                { return c.c.Next() }
func (c bboltForward) close() error                             { return nil }

// bboltBackward walks against key order.
type bboltBackward struct{ c *bolt.Cursor }

func (c bboltBackward) first() (key, value []byte)               { return c.c.Last() }
func (c bboltBackward) seek(key []byte) (foundKey, value []byte) { return c.c.Seek(key) }
func (c bboltBackward) next() (key, value []byte)                { return c.c.Prev() }
func (c bboltBackward) close() error                             { return nil }

// bboltWriter is a write transaction.
type bboltWriter struct{ bucket *bolt.Bucket }

// put implements writer.
func (w bboltWriter) put(key, value []byte) error {
	if err := w.bucket.Put(key, value); err != nil {
		return fmt.Errorf("put %x: %w", key, err)
	}
	return nil
}

// remove implements writer.
func (w bboltWriter) remove(key []byte) error { return w.bucket.Delete(key) }
