//go:build lmdb

package main

/*
#cgo LDFLAGS: -llmdb
#cgo CFLAGS: -O2
#include <stdlib.h>
#include "peer_lmdb.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"
)

// nativePeers are LMDB called from Go an operation at a time, and LMDB with
// each loop written in C, which is as fast as it can be.
var nativePeers = []peer{
	{
		name: "lmdb",
		about: lmdbVersion() + ", an operation at a time through cgo; MDB_NOTLS, read transactions " +
			"reset and renewed; ordered loads with MDB_APPEND; unsynced = MDB_NOSYNC",
		open: func(dir string, o openOptions) (store, error) { return openLMDB(dir, o) },
	},
	{
		name:  "lmdb-c",
		files: "lmdb",
		about: "the same library and settings with the whole loop in C, put by MDB_RESERVE",
		open: func(dir string, o openOptions) (store, error) {
			s, err := openLMDB(dir, o)
			if err != nil {
				return nil, err
			}
			return &lmdbNative{s}, nil
		},
	},
}

// lmdbMapBytes is the address space that LMDB may fill.
const lmdbMapBytes = 64 << 30

// lmdbVersion returns what the library calls itself.
func lmdbVersion() string {
	var major, minor, patch C.int
	C.mdb_version(&major, &minor, &patch)
	return fmt.Sprintf("LMDB %d.%d.%d", major, minor, patch)
}

// lmdbStore is LMDB as a store.
type lmdbStore struct {
	env  *C.MDB_env
	dbi  C.MDB_dbi
	o    openOptions
	flag C.uint // for each put

	// idle holds read transactions that were reset, ready to be renewed.
	idle struct {
		sync.Mutex
		txns []*lmdbReader
	}
}

// lmdbError turns a code of the library or of peer_lmdb.c into an error.
func lmdbError(rc C.int) error {
	switch rc {
	case 0:
		return nil
	case C.BENCH_WRONG:
		return errWrongValue
	case C.BENCH_MISSING:
		return errMissing
	case C.BENCH_FOUND:
		return errFound
	case C.BENCH_ORDER:
		return fmt.Errorf("%w: keys out of order", errWrongValue)
	}
	return fmt.Errorf("lmdb: %s", C.GoString(C.mdb_strerror(rc)))
}

// openLMDB opens or creates the database in dir.
func openLMDB(dir string, o openOptions) (*lmdbStore, error) {
	s := &lmdbStore{o: o}
	var flags C.uint = C.MDB_NOSUBDIR | C.MDB_NOTLS
	if !o.Durable {
		flags |= C.MDB_NOSYNC
	}
	if o.Ordered {
		s.flag = C.MDB_APPEND
	}
	path := C.CString(filepath.Join(dir, "data.lmdb"))
	defer C.free(unsafe.Pointer(path))
	if err := lmdbError(C.bench_open(path, flags, lmdbMapBytes, &s.env, &s.dbi)); err != nil {
		return nil, err
	}
	return s, nil
}

// renew returns a read transaction at the newest state.
func (s *lmdbStore) renew() (*lmdbReader, error) {
	s.idle.Lock()
	var r *lmdbReader
	if n := len(s.idle.txns); n > 0 {
		r = s.idle.txns[n-1]
		s.idle.txns = s.idle.txns[:n-1]
	}
	s.idle.Unlock()
	if r != nil {
		return r, lmdbError(C.mdb_txn_renew(r.txn))
	}
	r = &lmdbReader{store: s}
	return r, lmdbError(C.mdb_txn_begin(s.env, nil, C.MDB_RDONLY, &r.txn))
}

// reset ends a read transaction and keeps it for the next.
func (s *lmdbStore) reset(r *lmdbReader) {
	C.mdb_txn_reset(r.txn)
	s.idle.Lock()
	s.idle.txns = append(s.idle.txns, r)
	s.idle.Unlock()
}

// view implements store.
func (s *lmdbStore) view(fn func(reader) error) error {
	r, err := s.renew()
	if err != nil {
		return err
	}
	defer s.reset(r)
	return fn(r)
}

// getOnce implements store.
func (s *lmdbStore) getOnce(key []byte, check func([]byte) error) error {
	r, err := s.renew()
	if err != nil {
		return err
	}
	value, err := r.get(key)
	if err == nil {
		err = check(value)
	}
	s.reset(r)
	return err
}

// update implements store.
func (s *lmdbStore) update(fn func(writer) error) error {
	// The writer's mutex belongs to the thread that locked it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var txn *C.MDB_txn
	if err := lmdbError(C.mdb_txn_begin(s.env, nil, 0, &txn)); err != nil {
		return err
	}
	if err := fn(lmdbWriter{s, txn}); err != nil {
		C.mdb_txn_abort(txn)
		return err
	}
	return lmdbError(C.mdb_txn_commit(txn))
}

// count implements store.
func (s *lmdbStore) count() (int, error) {
	var n C.size_t
	err := lmdbError(C.bench_count(s.env, s.dbi, &n))
	return int(n), err
}

// compact implements compacter.
func (s *lmdbStore) compact(dst string) (inPlace bool, err error) {
	path := C.CString(filepath.Join(dst, "data.lmdb"))
	defer C.free(unsafe.Pointer(path))
	return false, lmdbError(C.mdb_env_copy2(s.env, path, C.MDB_CP_COMPACT))
}

// close implements store.
func (s *lmdbStore) close() error {
	for _, r := range s.idle.txns {
		C.mdb_txn_abort(r.txn)
	}
	C.mdb_env_close(s.env)
	return nil
}

// lmdbBytes returns the bytes that v points to.
func lmdbBytes(v C.MDB_val) []byte {
	return unsafe.Slice((*byte)(v.mv_data), int(v.mv_size))
}

// lmdbReader is a read transaction. It is kept when it ends. What C returns
// lies in it, so that a call allocates nothing.
type lmdbReader struct {
	store *lmdbStore
	txn   *C.MDB_txn
	value C.MDB_val
}

// get implements reader.
func (r *lmdbReader) get(key []byte) ([]byte, error) {
	rc := C.bench_get(r.txn, r.store.dbi, unsafe.Pointer(&key[0]), C.size_t(len(key)), &r.value)
	switch rc {
	case 0:
		return lmdbBytes(r.value), nil
	case C.MDB_NOTFOUND:
		return nil, nil
	}
	return nil, lmdbError(rc)
}

// cursor implements reader.
func (r *lmdbReader) cursor(reverse bool) (cursor, error) {
	c := &lmdbCursor{start: C.MDB_FIRST, step: C.MDB_NEXT}
	if reverse {
		c.start, c.step = C.MDB_LAST, C.MDB_PREV
	}
	return c, lmdbError(C.mdb_cursor_open(r.txn, r.store.dbi, &c.c))
}

// prefix implements reader.
func (r *lmdbReader) prefix(prefixes keyList, visit func(key, value []byte) error) error {
	c, err := r.cursor(false)
	if err != nil {
		return err
	}
	for j := 0; j < prefixes.len() && err == nil; j++ {
		prefix := prefixes.at(j)
		key, value := c.seek(prefix)
		for ; err == nil && key != nil && bytes.HasPrefix(key, prefix); key, value = c.next() {
			err = visit(key, value)
		}
	}
	return errors.Join(err, c.close())
}

// lmdbCursor walks one way or the other.
type lmdbCursor struct {
	c           *C.MDB_cursor
	start, step C.MDB_cursor_op
	key, value  C.MDB_val
	err         error
}

// move goes to where op says.
func (c *lmdbCursor) move(op C.MDB_cursor_op, from []byte) (key, value []byte) {
	rc := C.bench_seek(c.c, unsafe.Pointer(unsafe.SliceData(from)), C.size_t(len(from)), op,
		&c.key, &c.value)
	if rc != 0 {
		if rc != C.MDB_NOTFOUND {
			c.err = errors.Join(c.err, lmdbError(rc))
		}
		return nil, nil
	}
	return lmdbBytes(c.key), lmdbBytes(c.value)
}

func (c *lmdbCursor) first() (key, value []byte) { return c.move(c.start, nil) }
func (c *lmdbCursor) next() (key, value []byte)  { return c.move(c.step, nil) }
func (c *lmdbCursor) seek(key []byte) (foundKey, value []byte) {
	return c.move(C.MDB_SET_RANGE, key)
}

// close implements cursor.
func (c *lmdbCursor) close() error {
	C.mdb_cursor_close(c.c)
	return c.err
}

// lmdbWriter is a write transaction.
type lmdbWriter struct {
	store *lmdbStore
	txn   *C.MDB_txn
}

// put implements writer.
func (w lmdbWriter) put(key, value []byte) error {
	return lmdbError(C.bench_put(w.txn, w.store.dbi, unsafe.Pointer(&key[0]), C.size_t(len(key)),
		unsafe.Pointer(unsafe.SliceData(value)), C.size_t(len(value)), w.store.flag))
}

// remove implements writer.
func (w lmdbWriter) remove(key []byte) error {
	return lmdbError(C.bench_del(w.txn, w.store.dbi, unsafe.Pointer(&key[0]), C.size_t(len(key))))
}
