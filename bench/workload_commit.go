package main

import (
	"fmt"
	"slices"
	"time"
)

// commitWorkloads wait for the device: each transaction is durable when its
// time is over. They write into a copy of the prepared database.
var commitWorkloads = []workload{
	{
		name:  "put-1",
		about: "put a new record in a durable transaction of its own, one goroutine",
		rows: []row{
			{groupCommit, "single durable put", nsPerOp},
			{groupCommit, "single durable put, bytes written", writtenPerOp},
			{groupCommit, "single durable put, write calls", writeCallsPerOp},
			{groupCommit, "single durable put, heap objects of Go", allocsPerOp},
		},
		fixture: true, writes: true,
		run: func(t *trial) (metrics, error) { return putSingly(t, 1) },
	},
	{
		name:  "put-1-calls",
		about: "count the system calls of put-1 with strace; without those of schedulers",
		rows: []row{
			{groupCommit, "single durable put, waits for the device", waitsPerOp},
			{groupCommit, "single durable put, system calls", callsPerOp},
		},
		fixture: true, writes: true, traced: true,
		run: countCalls,
	},
	{
		name:    "put-64",
		about:   "put a new record in a durable transaction of its own, 64 goroutines",
		rows:    []row{{groupCommit, "64 goroutines of durable puts, wall time a put", nsPerOp}},
		fixture: true, writes: true,
		run: func(t *trial) (metrics, error) { return putSingly(t, 64) },
	},
	{
		name:  "overwrite",
		about: "overwrite random records, 1,000 in a durable transaction",
		rows: []row{
			{groupCommit, "durable overwrites, 1,000 a transaction", nsPerOp},
			{groupCommit, "durable overwrites, bytes written a record", writtenPerOp},
			{groupCommit, "durable overwrites, heap objects of Go a record", allocsPerOp},
			{groupSpace, "file after the durable overwrites", fileBytes},
		},
		fixture: true, writes: true,
		run: overwrite,
	},
}

// commitLoop puts the keys, perTx in a transaction, until they or the time are
// at an end. It returns how many it put and how long each transaction took.
func commitLoop(l loops, keys keyList, perTx int, version uint64, limit time.Duration,
) (puts int, took latencies, err error) {
	took = make(latencies, 0, keys.len()/perTx+1)
	begin := time.Now()
	for puts < keys.len() && time.Since(begin) < limit {
		end := min(puts+perTx, keys.len())
		start := time.Now()
		if err := l.load(keys.slice(puts, end), perTx, version); err != nil {
			return puts, took, err
		}
		took = append(took, float64(time.Since(start).Nanoseconds()))
		puts = end
	}
	return puts, took, nil
}

// putSingly measures durable transactions of one put in several goroutines.
func putSingly(t *trial, goroutines int) (metrics, error) {
	// Many writers share a sync, so they get further in the same time.
	each := t.scale.Commits
	keys := make([]keyList, goroutines)
	for g := range keys {
		first := uint64(t.scale.Records + g*each)
		keys[g] = t.keys.list(each, func(j int) uint64 { return first + uint64(j) })
	}
	puts := make([]int, goroutines)
	took := make([]latencies, goroutines)
	m, err := t.with(openOptions{Durable: true}, func(_ store, l loops) (metrics, error) {
		return t.measure(func() (total int, err error) {
			err = parallel(goroutines, func(g int) (err error) {
				puts[g], took[g], err = commitLoop(l, keys[g], 1, 0, t.scale.CommitLimit)
				return err
			})
			for _, n := range puts {
				total += n
			}
			return total, err
		})
	})
	if err != nil {
		return nil, err
	}
	m.merge(latencies(slices.Concat(took...)).metrics())
	if m, err = t.addSize(m); err != nil {
		return nil, err
	}
	_, err = t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		for g := range keys {
			if err := l.getAll(keys[g].slice(0, puts[g])); err != nil {
				return nil, fmt.Errorf("verify after the run: %w", err)
			}
		}
		return nil, nil
	})
	return m, err
}

// countCalls does durable transactions of one put between the marks of the trace. The first
// ones come before, since they may set up what the others use.
func countCalls(t *trial) (metrics, error) {
	const first, most = 10, 200
	puts := min(t.scale.Commits, most)
	n := uint64(t.scale.Records)
	keys := t.keys.list(first+puts, func(j int) uint64 { return n + uint64(j) })
	m, err := t.with(openOptions{Durable: true}, func(_ store, l loops) (metrics, error) {
		if err := l.load(keys.slice(0, first), 1, 0); err != nil {
			return nil, err
		}
		if err := mark(traceBegin); err != nil {
			return nil, err
		}
		if err := l.load(keys.slice(first, first+puts), 1, 0); err != nil {
			return nil, err
		}
		return metrics{tracedOps: float64(puts)}, mark(traceEnd)
	})
	if err != nil {
		return nil, err
	}
	_, err = t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		return nil, l.getAll(keys)
	})
	return m, err
}

// overwrite measures durable transactions of many random overwrites. Those for which
// there was no time follow when the clock has stopped, so that every peer has done the
// same when its files are measured.
func overwrite(t *trial) (metrics, error) {
	const perTx = 1000
	const version = 1
	txs := max(3, t.scale.Commits/20)
	keys := t.keys.picks(txs*perTx, 0, uint64(t.scale.Records), 0)
	puts := 0
	var took latencies
	m, err := t.with(openOptions{Durable: true}, func(_ store, l loops) (metrics, error) {
		m, err := t.measure(func() (_ int, err error) {
			puts, took, err = commitLoop(l, keys, perTx, version, t.scale.CommitLimit)
			return puts, err
		})
		if err != nil {
			return nil, err
		}
		return m, l.load(keys.slice(puts, keys.len()), perTx, version)
	})
	if err != nil {
		return nil, err
	}
	m.merge(took.metrics())
	if m, err = t.addSize(m); err != nil {
		return nil, err
	}
	_, err = t.with(openOptions{}, func(s store, _ loops) (metrics, error) {
		return nil, checkOverwritten(s, keys, t.scale.ValueSize, version)
	})
	return m, err
}

// checkOverwritten reads the keys back and expects their new values.
func checkOverwritten(s store, keys keyList, size int, version uint64) error {
	for j := range keys.len() {
		key := keys.at(j)
		err := s.getOnce(key, func(value []byte) error {
			return checkValue(key, value, size, version)
		})
		if err != nil {
			return fmt.Errorf("verify after the run: %w", err)
		}
	}
	return nil
}
