package main

import "fmt"

// loadWorkloads fill an empty database without waiting for the device.
var loadWorkloads = []workload{
	{
		name:  "load-ordered",
		about: "put all records in key order, 10,000 a transaction, unsynced",
		rows: []row{
			{groupLoad, "ordered load, a record", nsPerOp},
			{groupSpace, "file after the ordered load", fileBytes},
		},
		run: func(t *trial) (metrics, error) {
			return loadAll(t, t.keys.sorted(t.scale.Records), openOptions{Ordered: true})
		},
	},
	{
		name: "load-bulk",
		about: "put all records in key order by the fastest call that the peer has, " +
			"in one transaction where it can, unsynced",
		rows: []row{
			{groupLoad, "bulk load, a record", nsPerOp},
			{groupSpace, "file after the bulk load", fileBytes},
		},
		run: func(t *trial) (metrics, error) {
			return bulkLoad(t, t.keys.sorted(t.scale.Records))
		},
	},
	{
		name:  "load-random",
		about: "put all records in random order, 10,000 a transaction, unsynced",
		rows: []row{
			{groupLoad, "random load, a record", nsPerOp},
			{groupSpace, "file after the random load", fileBytes},
		},
		run: func(t *trial) (metrics, error) {
			return loadAll(t, t.keys.shuffled(t.scale.Records), openOptions{})
		},
	},
}

// loadAll puts the keys into an empty database, and afterwards reads the file
// from the beginning to see that all of them are there.
func loadAll(t *trial, keys keyList, o openOptions) (metrics, error) {
	return loadBy(t, keys, o, func(_ store, l loops) error {
		return l.load(keys, t.scale.PerTx, 0)
	})
}

// bulkLoad does so by the peer's own call for many records in key order, if it has one.
func bulkLoad(t *trial, keys keyList) (metrics, error) {
	o := openOptions{Ordered: true}
	return loadBy(t, keys, o, func(s store, l loops) error {
		if own, ok := s.(bulkLoader); ok {
			return own.bulkLoad(keys, t.scale.ValueSize)
		}
		return l.load(keys, t.scale.PerTx, 0)
	})
}

// loadBy is what all loads have in common.
func loadBy(t *trial, keys keyList, o openOptions, load func(store, loops) error) (metrics, error) {
	m, err := t.with(o, func(s store, l loops) (metrics, error) {
		return t.measure(func() (int, error) { return keys.len(), load(s, l) })
	})
	if err != nil {
		return nil, err
	}
	if m, err = t.addSize(m); err != nil {
		return nil, err
	}
	return m, t.verify(sumOf(keys))
}

// verify opens the database anew and scans it for exactly the records of want.
func (t *trial) verify(want scanSum) error {
	_, err := t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		got, err := l.scan(false)
		if err != nil {
			return nil, err
		}
		return nil, got.check(want)
	})
	if err != nil {
		return fmt.Errorf("verify after the run: %w", err)
	}
	return nil
}
