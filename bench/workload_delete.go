package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// deleteWorkloads take records out of a copy of the prepared database, without
// waiting for the device.
var deleteWorkloads = []workload{
	{
		name:  "delete-half",
		about: "delete half of the records at random, 10,000 a transaction, then compact",
		rows: []row{
			{groupDelete, "delete half at random, a record", nsPerOp},
			{groupSpace, "file after half was deleted", fileBytes},
			{groupSpace, "file after half was deleted, compacted", compactBytes},
			{groupDelete, "compaction after half was deleted", compactNS},
		},
		fixture: true, writes: true,
		run: deleteHalf,
	},
	{
		name:  "delete-all",
		about: "delete all records in random order, 10,000 a transaction",
		rows: []row{
			{groupDelete, "delete all at random, a record", nsPerOp},
			{groupSpace, "file after all was deleted", fileBytes},
		},
		fixture: true, writes: true,
		run: func(t *trial) (metrics, error) {
			m, err := deleteKeys(t, t.keys.shuffled(t.scale.Records))
			if err != nil {
				return nil, err
			}
			return m, t.verify(scanSum{})
		},
	},
}

// deleteKeys measures the deletion of keys and the size of the file after it.
func deleteKeys(t *trial, keys keyList) (metrics, error) {
	m, err := t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		return t.measure(func() (int, error) {
			return keys.len(), l.remove(keys, t.scale.PerTx)
		})
	})
	if err != nil {
		return nil, err
	}
	return t.addSize(m)
}

// deleteHalf measures the deletion of every other record of a random order.
func deleteHalf(t *trial) (metrics, error) {
	all := t.keys.shuffled(t.scale.Records)
	half := all.len() / 2
	m, err := deleteKeys(t, all.slice(0, half))
	if err != nil {
		return nil, err
	}
	kept := sumOf(all.slice(half, all.len()))
	if err := t.verify(kept); err != nil {
		return nil, err
	}
	compacted, err := compactStore(t, kept)
	return m.merge(compacted), err
}

// compactStore lets the peer compact its database, checks the result, and
// returns what it took. A peer that cannot is left out of the row.
func compactStore(t *trial, want scanSum) (metrics, error) {
	dst := filepath.Join(t.dir, "compacted")
	if err := os.Mkdir(dst, 0o700); err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	var took time.Duration
	able, inPlace := true, false
	_, err := t.with(openOptions{}, func(s store, _ loops) (metrics, error) {
		c, ok := s.(compacter)
		if !ok {
			able = false
			return nil, nil
		}
		start := time.Now()
		var err error
		inPlace, err = c.compact(dst)
		took = time.Since(start)
		return nil, err
	})
	if err != nil || !able {
		return metrics{}, errors.Join(err, os.Remove(dst))
	}
	result := *t
	if inPlace {
		if err := os.Remove(dst); err != nil {
			return nil, fmt.Errorf("compact: %w", err)
		}
	} else {
		result.dir = dst
	}
	length, _, err := folderSize(result.dir)
	if err != nil {
		return nil, err
	}
	m := metrics{compactBytes: float64(length), compactNS: float64(took.Nanoseconds())}
	return m, result.verify(want)
}
