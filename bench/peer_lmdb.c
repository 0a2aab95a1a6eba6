//go:build lmdb

// The loops of peer_lmdb.h. Values are made and checked as value.go does it.

#include "peer_lmdb.h"

#include <string.h>

static const uint64_t weyl = 0x9e3779b97f4a7c15u;
static const uint64_t odd64 = 0xd1342543de82ef95u;

static uint64_t load64(const uint8_t *p) {
	uint64_t w;
	memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	return w;
}

static void store64(uint8_t *p, uint64_t w) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	memcpy(p, &w, 8);
}

static uint64_t value_seed(const uint8_t *key, size_t len, uint64_t version) {
	uint64_t h = ((uint64_t)len * weyl) ^ version;
	for (; len >= 8; key += 8, len -= 8)
		h = (h ^ load64(key)) * odd64;
	if (len > 0) {
		uint64_t last = 0;
		for (size_t i = 0; i < len; i++)
			last = last << 8 | key[i];
		h = (h ^ last) * odd64;
	}
	h = (h ^ h >> 32) * weyl;
	return h ^ h >> 32;
}

static void fill_value(uint8_t *dst, size_t size, const MDB_val *key, uint64_t version) {
	uint64_t word = value_seed(key->mv_data, key->mv_size, version);
	for (; size >= 8; dst += 8, size -= 8) {
		store64(dst, word);
		word += weyl;
	}
	for (size_t i = 0; i < size; i++)
		dst[i] = (uint8_t)(word >> (8 * i));
}

static int check_value(const MDB_val *key, const MDB_val *value, size_t size) {
	if (value->mv_size != size)
		return BENCH_WRONG;
	uint64_t word = value_seed(key->mv_data, key->mv_size, 0);
	const uint8_t *p = value->mv_data;
	for (; size >= 8; p += 8, size -= 8) {
		if (load64(p) != word)
			return BENCH_WRONG;
		word += weyl;
	}
	for (size_t i = 0; i < size; i++)
		if (p[i] != (uint8_t)(word >> (8 * i)))
			return BENCH_WRONG;
	return 0;
}

static int check_ends(const MDB_val *key, const MDB_val *value, size_t size) {
	if (value->mv_size != size)
		return BENCH_WRONG;
	uint64_t seed = value_seed(key->mv_data, key->mv_size, 0);
	uint64_t last = size / 8 - 1;
	const uint8_t *p = value->mv_data;
	if (load64(p) != seed || load64(p + 8 * last) != seed + last * weyl)
		return BENCH_WRONG;
	return 0;
}

// key_at returns key j of a list.
static MDB_val key_at(const uint8_t *data, const uint64_t *ends, uint64_t from, size_t j) {
	uint64_t start = j > 0 ? ends[j - 1] : from;
	return (MDB_val){ends[j] - start, (void *)(data + start)};
}

int bench_open(const char *path, unsigned flags, size_t map_bytes, MDB_env **env, MDB_dbi *dbi) {
	MDB_txn *txn;
	int rc = mdb_env_create(env);
	if (rc)
		return rc;
	if (!(rc = mdb_env_set_mapsize(*env, map_bytes)) &&
	    !(rc = mdb_env_set_maxreaders(*env, 1024)) && !(rc = mdb_env_open(*env, path, flags, 0600)) &&
	    !(rc = mdb_txn_begin(*env, NULL, MDB_RDONLY, &txn))) {
		rc = mdb_dbi_open(txn, NULL, 0, dbi);
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
	}
	if (rc)
		mdb_env_close(*env);
	return rc;
}

int bench_count(MDB_env *env, MDB_dbi dbi, size_t *count) {
	MDB_txn *txn;
	MDB_stat stat;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	rc = mdb_stat(txn, dbi, &stat);
	mdb_txn_abort(txn);
	*count = rc ? 0 : stat.ms_entries;
	return rc;
}

int bench_get(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, MDB_val *value) {
	MDB_val k = {key_len, (void *)key};
	return mdb_get(txn, dbi, &k, value);
}

int bench_put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, const void *value,
	size_t value_len, unsigned flags) {
	MDB_val k = {key_len, (void *)key}, v = {value_len, (void *)value};
	return mdb_put(txn, dbi, &k, &v, flags);
}

int bench_del(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len) {
	MDB_val k = {key_len, (void *)key};
	return mdb_del(txn, dbi, &k, NULL);
}

int bench_seek(MDB_cursor *cursor, const void *from, size_t from_len, MDB_cursor_op op,
	MDB_val *key, MDB_val *value) {
	*key = (MDB_val){from_len, (void *)from};
	return mdb_cursor_get(cursor, key, value, op);
}

int bench_load(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends, uint64_t from,
	size_t count, size_t per_tx, size_t value_len, uint64_t version, unsigned flags) {
	for (size_t i = 0; i < count;) {
		size_t end = count - i < per_tx ? count : i + per_tx;
		MDB_txn *txn;
		int rc = mdb_txn_begin(env, NULL, 0, &txn);
		if (rc)
			return rc;
		for (; i < end; i++) {
			MDB_val key = key_at(data, ends, from, i), value = {value_len, NULL};
			// The value is made where LMDB wants it: its cheapest way to put.
			rc = mdb_put(txn, dbi, &key, &value, MDB_RESERVE | flags);
			if (rc) {
				mdb_txn_abort(txn);
				return rc;
			}
			fill_value(value.mv_data, value_len, &key, version);
		}
		if ((rc = mdb_txn_commit(txn)))
			return rc;
	}
	return 0;
}

int bench_remove(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t per_tx) {
	for (size_t i = 0; i < count;) {
		size_t end = count - i < per_tx ? count : i + per_tx;
		MDB_txn *txn;
		int rc = mdb_txn_begin(env, NULL, 0, &txn);
		if (rc)
			return rc;
		for (; i < end; i++) {
			MDB_val key = key_at(data, ends, from, i);
			if ((rc = mdb_del(txn, dbi, &key, NULL))) {
				mdb_txn_abort(txn);
				return rc == MDB_NOTFOUND ? BENCH_MISSING : rc;
			}
		}
		if ((rc = mdb_txn_commit(txn)))
			return rc;
	}
	return 0;
}

int bench_get_all(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t value_len) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	for (size_t i = 0; i < count && !rc; i++) {
		MDB_val key = key_at(data, ends, from, i), value;
		rc = mdb_get(txn, dbi, &key, &value);
		if (!rc)
			rc = check_value(&key, &value, value_len);
		else if (rc == MDB_NOTFOUND)
			rc = BENCH_MISSING;
	}
	mdb_txn_abort(txn);
	return rc;
}

int bench_get_each(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t value_len) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	mdb_txn_reset(txn);
	for (size_t i = 0; i < count && !rc; i++) {
		MDB_val key = key_at(data, ends, from, i), value;
		if ((rc = mdb_txn_renew(txn)))
			break;
		rc = mdb_get(txn, dbi, &key, &value);
		if (!rc)
			rc = check_value(&key, &value, value_len);
		else if (rc == MDB_NOTFOUND)
			rc = BENCH_MISSING;
		mdb_txn_reset(txn);
	}
	mdb_txn_abort(txn);
	return rc;
}

int bench_miss(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends, uint64_t from,
	size_t count) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	for (size_t i = 0; i < count && !rc; i++) {
		MDB_val key = key_at(data, ends, from, i), value;
		rc = mdb_get(txn, dbi, &key, &value);
		rc = rc == MDB_NOTFOUND ? 0 : rc ? rc : BENCH_FOUND;
	}
	mdb_txn_abort(txn);
	return rc;
}

// compare_keys orders keys as LMDB does.
static int compare_keys(const MDB_val *a, const MDB_val *b) {
	size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int c = memcmp(a->mv_data, b->mv_data, n);
	return c ? c : (a->mv_size > b->mv_size) - (a->mv_size < b->mv_size);
}

/* open_reader begins a read transaction with a cursor. */
static int open_reader(MDB_env *env, MDB_dbi dbi, MDB_txn **txn, MDB_cursor **cursor) {
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, txn);
	if (rc)
		return rc;
	if ((rc = mdb_cursor_open(*txn, dbi, cursor)))
		mdb_txn_abort(*txn);
	return rc;
}

int bench_scan(MDB_env *env, MDB_dbi dbi, int reverse, size_t value_len, size_t *records,
	uint64_t *seeds) {
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val key, value, last = {0, NULL};
	MDB_cursor_op step = reverse ? MDB_PREV : MDB_NEXT;
	int rc = open_reader(env, dbi, &txn, &cursor);
	if (rc)
		return rc;
	*records = 0;
	*seeds = 0;
	rc = mdb_cursor_get(cursor, &key, &value, reverse ? MDB_LAST : MDB_FIRST);
	while (!rc) {
		if (last.mv_data && (compare_keys(&key, &last) > 0) == reverse) {
			rc = BENCH_ORDER;
			break;
		}
		last = key;
		if ((rc = check_ends(&key, &value, value_len)))
			break;
		++*records;
		*seeds += value_seed(key.mv_data, key.mv_size, 0);
		rc = mdb_cursor_get(cursor, &key, &value, step);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int bench_seek_all(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t steps, size_t value_len, size_t *seen) {
	MDB_txn *txn;
	MDB_cursor *cursor;
	int rc = open_reader(env, dbi, &txn, &cursor);
	if (rc)
		return rc;
	*seen = 0;
	for (size_t i = 0; i < count && !rc; i++) {
		MDB_val want = key_at(data, ends, from, i), key = want, value;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
		if (rc == MDB_NOTFOUND || (!rc && compare_keys(&key, &want) != 0))
			rc = BENCH_MISSING;
		for (size_t step = 0; !rc; step++) {
			if ((rc = check_ends(&key, &value, value_len)))
				break;
			++*seen;
			if (step == steps)
				break;
			rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		}
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return rc;
}

int bench_prefix(MDB_env *env, MDB_dbi dbi, const uint8_t *data, const uint64_t *ends,
	uint64_t from, size_t count, size_t value_len, size_t *records, uint64_t *seeds) {
	MDB_txn *txn;
	MDB_cursor *cursor;
	int rc = open_reader(env, dbi, &txn, &cursor);
	if (rc)
		return rc;
	*records = 0;
	*seeds = 0;
	for (size_t i = 0; i < count && !rc; i++) {
		MDB_val prefix = key_at(data, ends, from, i), key = prefix, value;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
		while (!rc && key.mv_size >= prefix.mv_size &&
		       memcmp(key.mv_data, prefix.mv_data, prefix.mv_size) == 0) {
			if ((rc = check_ends(&key, &value, value_len)))
				break;
			++*records;
			*seeds += value_seed(key.mv_data, key.mv_size, 0);
			rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		}
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return rc;
}
