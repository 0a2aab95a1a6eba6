package main

import (
	"context"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// pebblePeer is Pebble with the settings of its own benchmark tool, and a block
// cache that holds all of the data at the default size.
var pebblePeer = peer{
	name: "pebble",
	about: "block cache 256 MiB, memtable 64 MiB, bloom filters of 10 bits, default compression; " +
		"at rest before it is read; unsynced = NoSync",
	module: "github.com/cockroachdb/pebble/v2",
	open:   openPebble,
}

// pebbleStore is Pebble as a store.
type pebbleStore struct {
	db   *pebble.DB
	sync *pebble.WriteOptions
}

// quietLogger keeps Pebble's notices out of the results.
type quietLogger struct{}

func (quietLogger) Infof(string, ...any) {}

func (quietLogger) Errorf(format string, args ...any) {
	pebble.DefaultLogger.Errorf(format, args...)
}

func (quietLogger) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}

// openPebble opens or creates the database in dir.
func openPebble(dir string, o openOptions) (store, error) {
	opts := &pebble.Options{
		CacheSize:                   256 << 20,
		FormatMajorVersion:          pebble.FormatNewest,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		Logger:                      quietLogger{},
		MaxOpenFiles:                16384,
		MemTableSize:                64 << 20,
		MemTableStopWritesThreshold: 4,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.NumCPU()) },
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].FilterType = pebble.TableFilter
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, err
	}
	s := &pebbleStore{db: db, sync: pebble.NoSync}
	if o.Durable {
		s.sync = pebble.Sync
	}
	return s, nil
}

// view implements store.
func (s *pebbleStore) view(fn func(reader) error) error {
	r := &pebbleReader{snapshot: s.db.NewSnapshot()}
	err := fn(r)
	return errors.Join(err, r.release(), r.snapshot.Close())
}

// getOnce implements store.
func (s *pebbleStore) getOnce(key []byte, check func([]byte) error) error {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return check(nil)
	}
	if err != nil {
		return err
	}
	err = check(value)
	if closeErr := closer.Close(); err == nil {
		err = closeErr
	}
	return err
}

// update implements store.
func (s *pebbleStore) update(fn func(writer) error) error {
	batch := s.db.NewBatch()
	err := fn(pebbleWriter{batch})
	if err == nil {
		err = batch.Commit(s.sync)
	}
	return errors.Join(err, batch.Close())
}

// count implements store. Pebble keeps no count.
func (s *pebbleStore) count() (n int, err error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n, it.Close()
}

// settle implements settler: it waits until no compaction is left to do.
func (s *pebbleStore) settle() error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	for quiet := 0; quiet < 3; {
		m := s.db.Metrics()
		if m.Compact.NumInProgress == 0 && m.Flush.NumInProgress == 0 {
			quiet++
		} else {
			quiet = 0
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// compact implements compacter.
func (s *pebbleStore) compact(string) (inPlace bool, err error) {
	last := make([]byte, 256)
	for i := range last {
		last[i] = 0xff
	}
	if err := s.db.Compact(context.Background(), nil, last, true); err != nil {
		return true, err
	}
	return true, s.settle()
}

// close implements store.
func (s *pebbleStore) close() error { return s.db.Close() }

// pebbleReader is a snapshot. It holds the value of the last get.
type pebbleReader struct {
	snapshot *pebble.Snapshot
	held     io.Closer
}

// release lets go of the value of the last get.
func (r *pebbleReader) release() error {
	if r.held == nil {
		return nil
	}
	held := r.held
	r.held = nil
	return held.Close()
}

// get implements reader.
func (r *pebbleReader) get(key []byte) ([]byte, error) {
	if err := r.release(); err != nil {
		return nil, err
	}
	value, closer, err := r.snapshot.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	r.held = closer
	return value, nil
}

// cursor implements reader.
func (r *pebbleReader) cursor(reverse bool) (cursor, error) {
	it, err := r.snapshot.NewIter(nil)
	if err != nil {
		return nil, err
	}
	return &pebbleCursor{it: it, reverse: reverse}, nil
}

// prefix implements reader. One iterator gets new bounds for each prefix.
func (r *pebbleReader) prefix(prefixes keyList, visit func(key, value []byte) error) error {
	it, err := r.snapshot.NewIter(nil)
	if err != nil {
		return err
	}
	var end []byte
	for j := 0; j < prefixes.len() && err == nil; j++ {
		end = appendPrefixEnd(end[:0], prefixes.at(j))
		upper := end
		if len(end) == 0 {
			upper = nil
		}
		it.SetBounds(prefixes.at(j), upper)
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			err = visit(it.Key(), it.Value())
		}
		if err == nil {
			err = it.Error()
		}
	}
	return errors.Join(err, it.Close())
}

// appendPrefixEnd appends the lowest key above all that begin with prefix to dst, and
// nothing if there is none.
func appendPrefixEnd(dst, prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			dst = append(dst, prefix[:i+1]...)
			dst[len(dst)-1]++
			return dst
		}
	}
	return dst
}

// pebbleCursor walks with an iterator, one way or the other.
type pebbleCursor struct {
	it      *pebble.Iterator
	reverse bool
}

// at returns the record at the iterator if it stands on one.
func (c *pebbleCursor) at(valid bool) (key, value []byte) {
	if !valid {
		return nil, nil
	}
	return c.it.Key(), c.it.Value()
}

// first implements cursor.
func (c *pebbleCursor) first() (key, value []byte) {
	if c.reverse {
		return c.at(c.it.Last())
	}
	return c.at(c.it.First())
}

// seek implements cursor.
func (c *pebbleCursor) seek(key []byte) (foundKey, value []byte) { return c.at(c.it.SeekGE(key)) }

// next implements cursor.
func (c *pebbleCursor) next() (key, value []byte) {
	if c.reverse {
		return c.at(c.it.Prev())
	}
	return c.at(c.it.Next())
}

// close implements cursor. An iterator that failed says so here.
func (c *pebbleCursor) close() error { return c.it.Close() }

// pebbleWriter is a batch.
type pebbleWriter struct{ batch *pebble.Batch }

// put implements writer.
func (w pebbleWriter) put(key, value []byte) error { return w.batch.Set(key, value, nil) }

// remove implements writer.
func (w pebbleWriter) remove(key []byte) error { return w.batch.Delete(key, nil) }
