package main

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
)

// badgerPeer is Badger as its DefaultOptions recommend.
var badgerPeer = peer{
	name: "badger",
	about: "DefaultOptions (block cache 256 MiB, Snappy); transactions past its limit are cut " +
		"in two; synced = SyncWrites",
	module: "github.com/dgraph-io/badger/v4",
	mapped: true,
	open:   openBadger,
}

// badgerStore is Badger as a store.
type badgerStore struct{ db *badger.DB }

// openBadger opens or creates the database in dir.
func openBadger(dir string, o openOptions) (store, error) {
	opts := badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(o.Durable)
	db, err := badger.Open(opts)
	if err != nil {
		return nil, err
	}
	return &badgerStore{db}, nil
}

// view implements store.
func (s *badgerStore) view(fn func(reader) error) error {
	return s.db.View(func(txn *badger.Txn) error { return fn(&badgerReader{txn}) })
}

// getOnce implements store.
func (s *badgerStore) getOnce(key []byte, check func([]byte) error) error {
	return s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return check(nil)
		}
		if err != nil {
			return err
		}
		return item.Value(check)
	})
}

// update implements store. Badger bounds the size of a transaction; what passes
// the bound is committed in parts, and each part waits for the device like any
// transaction.
func (s *badgerStore) update(fn func(writer) error) error {
	w := &badgerWriter{db: s.db, txn: s.db.NewTransaction(true)}
	defer func() { w.txn.Discard() }()
	if err := fn(w); err != nil {
		return err
	}
	return w.txn.Commit()
}

// count implements store. Badger keeps no count: its iterator visits the keys.
func (s *badgerStore) count() (n int, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.PrefetchValues = false
		it := txn.NewIterator(opts)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	return n, err
}

// compact implements compacter.
func (s *badgerStore) compact(string) (inPlace bool, err error) {
	const workers = 2
	return true, s.db.Flatten(workers)
}

// settle implements settler.
func (s *badgerStore) settle() error {
	const workers = 2
	return s.db.Flatten(workers)
}

// close implements store.
func (s *badgerStore) close() error { return s.db.Close() }

// badgerReader is a read transaction.
type badgerReader struct{ txn *badger.Txn }

// get implements reader.
func (r *badgerReader) get(key []byte) (value []byte, err error) {
	item, err := r.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// Badger promises the slice inside the function only. It is the item's own copy,
	// or lies in a value log file, which nothing rewrites in these workloads.
	err = item.Value(func(v []byte) error {
		value = v
		return nil
	})
	return value, err
}

// cursor implements reader.
func (r *badgerReader) cursor(reverse bool) (cursor, error) {
	opts := badger.DefaultIteratorOptions
	opts.Reverse = reverse
	return &badgerCursor{it: r.txn.NewIterator(opts)}, nil
}

// prefix implements reader. The prefix is an option of an iterator, which fetches no
// values behind it and looks into no table without it.
func (r *badgerReader) prefix(prefixes keyList, visit func(key, value []byte) error) error {
	for j := range prefixes.len() {
		opts := badger.DefaultIteratorOptions
		opts.Prefix = prefixes.at(j)
		c := &badgerCursor{it: r.txn.NewIterator(opts)}
		var err error
		for key, value := c.first(); key != nil && err == nil; key, value = c.next() {
			err = visit(key, value)
		}
		if err := errors.Join(err, c.close()); err != nil {
			return err
		}
	}
	return nil
}

// badgerCursor walks with an iterator that knows its direction.
type badgerCursor struct {
	it  *badger.Iterator
	err error
}

// at returns the record at the iterator if it stands on one.
func (c *badgerCursor) at() (key, value []byte) {
	if !c.it.Valid() {
		return nil, nil
	}
	item := c.it.Item()
	err := item.Value(func(v []byte) error {
		value = v
		return nil
	})
	if err != nil {
		c.err = errors.Join(c.err, err)
		return nil, nil
	}
	return item.Key(), value
}

// first implements cursor.
func (c *badgerCursor) first() (key, value []byte) {
	c.it.Rewind()
	return c.at()
}

// seek implements cursor.
func (c *badgerCursor) seek(key []byte) (foundKey, value []byte) {
	c.it.Seek(key)
	return c.at()
}

// next implements cursor.
func (c *badgerCursor) next() (key, value []byte) {
	c.it.Next()
	return c.at()
}

// close implements cursor.
func (c *badgerCursor) close() error {
	c.it.Close()
	return c.err
}

// badgerWriter is a write transaction that begins anew when it is full.
type badgerWriter struct {
	db  *badger.DB
	txn *badger.Txn
}

// put implements writer.
func (w *badgerWriter) put(key, value []byte) error {
	return w.again(func() error { return w.txn.Set(key, value) })
}

// remove implements writer.
func (w *badgerWriter) remove(key []byte) error {
	return w.again(func() error { return w.txn.Delete(key) })
}

// again does one change, in a new transaction if the running one is full.
func (w *badgerWriter) again(change func() error) error {
	err := change()
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := w.txn.Commit(); err != nil {
		return err
	}
	w.txn = w.db.NewTransaction(true)
	return change()
}
