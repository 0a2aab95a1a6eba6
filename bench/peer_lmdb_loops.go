//go:build lmdb

package main

// #include "peer_lmdb.h"
import "C"

import "unsafe"

// lmdbNative is LMDB with the loops of peer_lmdb.c.
type lmdbNative struct{ *lmdbStore }

// lmdbKeys returns a key list as the loops in C take it. The memory is Go's,
// and holds no Go pointers.
func lmdbKeys(l keyList) (data *C.uint8_t, ends *C.uint64_t, from C.uint64_t, n C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(l.data))),
		(*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(l.ends))),
		C.uint64_t(l.from), C.size_t(l.len())
}

// load implements loops.
func (s *lmdbNative) load(keys keyList, perTx int, version uint64) error {
	data, ends, from, n := lmdbKeys(keys)
	return lmdbError(C.bench_load(s.env, s.dbi, data, ends, from, n, C.size_t(perTx),
		C.size_t(s.o.ValueSize), C.uint64_t(version), s.flag))
}

// remove implements loops.
func (s *lmdbNative) remove(keys keyList, perTx int) error {
	data, ends, from, n := lmdbKeys(keys)
	return lmdbError(C.bench_remove(s.env, s.dbi, data, ends, from, n, C.size_t(perTx)))
}

// getAll implements loops.
func (s *lmdbNative) getAll(keys keyList) error {
	data, ends, from, n := lmdbKeys(keys)
	return lmdbError(C.bench_get_all(s.env, s.dbi, data, ends, from, n, C.size_t(s.o.ValueSize)))
}

// getEach implements loops.
func (s *lmdbNative) getEach(keys keyList) error {
	data, ends, from, n := lmdbKeys(keys)
	return lmdbError(C.bench_get_each(s.env, s.dbi, data, ends, from, n, C.size_t(s.o.ValueSize)))
}

// miss implements loops.
func (s *lmdbNative) miss(keys keyList) error {
	data, ends, from, n := lmdbKeys(keys)
	return lmdbError(C.bench_miss(s.env, s.dbi, data, ends, from, n))
}

// scan implements loops.
func (s *lmdbNative) scan(reverse bool) (scanSum, error) {
	var back C.int
	if reverse {
		back = 1
	}
	var records C.size_t
	var seeds C.uint64_t
	err := lmdbError(C.bench_scan(s.env, s.dbi, back, C.size_t(s.o.ValueSize), &records, &seeds))
	return scanSum{records: int(records), seeds: uint64(seeds)}, err
}

// seek implements loops.
func (s *lmdbNative) seek(keys keyList, steps int) (int, error) {
	data, ends, from, n := lmdbKeys(keys)
	var seen C.size_t
	err := lmdbError(C.bench_seek_all(s.env, s.dbi, data, ends, from, n, C.size_t(steps),
		C.size_t(s.o.ValueSize), &seen))
	return int(seen), err
}

// prefix implements loops.
func (s *lmdbNative) prefix(prefixes keyList) (scanSum, error) {
	data, ends, from, n := lmdbKeys(prefixes)
	var records C.size_t
	var seeds C.uint64_t
	err := lmdbError(C.bench_prefix(s.env, s.dbi, data, ends, from, n, C.size_t(s.o.ValueSize),
		&records, &seeds))
	return scanSum{records: int(records), seeds: uint64(seeds)}, err
}
