package main

// largeWorkloads put and get values that fill many pages.
var largeWorkloads = []workload{
	{
		name:  "large",
		about: "put values of 1 MiB, each in a durable transaction, and get them at random",
		rows: []row{
			{groupLarge, "durable put of 1 MiB", putNS},
			{groupLarge, "get of 1 MiB, every byte checked", getNS},
			{groupSpace, "file after the puts of 1 MiB", fileBytes},
		},
		run: large,
	},
}

// large measures puts into an empty database and gets after it was opened anew.
func large(t *trial) (metrics, error) {
	const size = 1 << 20
	const passes = 4
	n := t.scale.LargeValues
	keys := t.keys.list(n, func(j int) uint64 { return uint64(j) })
	picks := t.keys.picks(n*passes, 0, uint64(n), 0)
	o := openOptions{Durable: true, ValueSize: size}
	var took latencies
	puts, err := t.with(o, func(_ store, l loops) (metrics, error) {
		return t.measure(func() (done int, err error) {
			// No time limit: what is not put could not be got.
			const forever = 1 << 62
			done, took, err = commitLoop(l, keys, 1, 0, forever)
			return done, err
		})
	})
	if err != nil {
		return nil, err
	}
	m, err := sizeMetrics(t.dir)
	if err != nil {
		return nil, err
	}
	m.merge(took.metrics())
	m[putNS], m[writtenPerOp] = puts[nsPerOp], puts[writtenPerOp]
	gets, err := t.with(openOptions{ValueSize: size}, func(_ store, l loops) (metrics, error) {
		return t.measure(func() (int, error) { return picks.len(), l.getAll(picks) })
	})
	if err != nil {
		return nil, err
	}
	m[getNS], m[allocsPerOp] = gets[nsPerOp], gets[allocsPerOp]
	return m, nil
}
