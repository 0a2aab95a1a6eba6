// The loops of the workloads over LMDB, in C: what lmdb-c times, and the single
// operations that lmdb calls from Go.
//
// Every function returns 0, or an LMDB or system error, or one of the
// BENCH_ codes below.

#ifndef PEER_LMDB_H
#define PEER_LMDB_H

#include <lmdb.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BENCH_WRONG = 1000001,   // a value is not the one that was put
	BENCH_MISSING = 1000002, // a key that was put is not there
	BENCH_FOUND = 1000003,   // a key that was never put is there
	BENCH_ORDER = 1000004,   // a scan is not in key order
};


int bench_open(const char *path, unsigned flags, size_t map_bytes, MDB_env **env, MDB_dbi *dbi);
int bench_count(MDB_env *env, MDB_dbi dbi, size_t *count);

int bench_get(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, MDB_val *value);
int bench_put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, const void *value,
	size_t value_len, unsigned flags);
int bench_del(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len);
int bench_seek(MDB_cursor *cursor, const void *from, size_t from_len, MDB_cursor_op op,
	MDB_val *key, MDB_val *value);

int bench_load(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends, uint64_t from,
	size_t count, size_t per_tx, size_t value_len, uint64_t version, unsigned flags);
int bench_remove(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t per_tx);
int bench_get_all(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t value_len);
int bench_get_each(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t value_len);
int bench_miss(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends, uint64_t from,
	size_t count);
int bench_scan(MDB_env *env, MDB_dbi dbi, int reverse, size_t value_len, size_t *records,
	uint64_t *seeds);
int bench_seek_all(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t steps, size_t value_len, size_t *seen);
int bench_prefix(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t value_len, size_t *records, uint64_t *seeds);

#endif
