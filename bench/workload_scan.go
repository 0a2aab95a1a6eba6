package main

import (
	"fmt"
	"time"
)

// scanWorkloads walk over many records.
var scanWorkloads = []workload{
	{
		name:    "scan",
		about:   "walk over all records in key order",
		rows:    []row{{groupScan, "full scan, a record", nsPerOp}},
		fixture: true,
		run:     func(t *trial) (metrics, error) { return scanAll(t, false) },
	},
	{
		name:    "scan-reverse",
		about:   "walk over all records against key order",
		rows:    []row{{groupScan, "reverse scan, a record", nsPerOp}},
		fixture: true,
		run:     func(t *trial) (metrics, error) { return scanAll(t, true) },
	},
	{
		name:    "seek-100",
		about:   "go to a random key and take the 100 records after it",
		rows:    []row{{groupScan, "seek and 100 next", nsPerOp}},
		fixture: true,
		run:     seekMany,
	},
	{
		name:    "count",
		about:   "tell how many records there are",
		rows:    []row{{groupScan, "count of all records", nsPerOp}},
		fixture: true,
		run:     countAll,
	},
}

// shortLoop is how long loops run at least that would be over in no time.
const shortLoop = 200 * time.Millisecond

// scanAll measures whole scans.
func scanAll(t *trial, reverse bool) (metrics, error) {
	want := sumOf(t.keys.list(t.scale.Records, func(j int) uint64 { return uint64(j) }))
	return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		if err := warm(l); err != nil {
			return nil, err
		}
		return t.measureScans(want, func() (scanSum, error) { return l.scan(reverse) })
	})
}

// measureScans measures a scan of what want sums up, again and again for shortLoop.
func (t *trial) measureScans(want scanSum, scan func() (scanSum, error)) (metrics, error) {
	return t.measure(func() (records int, err error) {
		for start := time.Now(); time.Since(start) < shortLoop; {
			got, err := scan()
			if err == nil {
				err = got.check(want)
			}
			if err != nil {
				return records, err
			}
			records += got.records
		}
		return records, nil
	})
}

// seekMany measures short scans from random keys.
func seekMany(t *trial) (metrics, error) {
	const steps = 100
	n := uint64(t.scale.Records)
	keys := t.keys.picks(max(100, t.scale.Records/50), 0, n, 0)
	return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		if err := warm(l); err != nil {
			return nil, err
		}
		return t.measure(func() (int, error) {
			seen, err := l.seek(keys, steps)
			// Only seeks near the last key come to fewer records.
			if least := keys.len() * steps / 2; err == nil && seen < least {
				err = fmt.Errorf("%w: %d records seen, want %d at least", errWrongValue, seen, least)
			}
			return keys.len(), err
		})
	})
}

// countAll measures the count.
func countAll(t *trial) (metrics, error) {
	const countsMax = 10_000
	return t.with(openOptions{}, func(s store, l loops) (metrics, error) {
		if err := warm(l); err != nil {
			return nil, err
		}
		return t.measure(func() (counts int, err error) {
			for start := time.Now(); counts < countsMax && time.Since(start) < shortLoop; counts++ {
				n, err := s.count()
				if err == nil && n != t.scale.Records {
					err = fmt.Errorf("%w: count is %d, want %d", errWrongValue, n, t.scale.Records)
				}
				if err != nil {
					return counts, err
				}
			}
			return counts, nil
		})
	})
}
