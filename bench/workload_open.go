package main

import "time"

// openWorkloads show what it takes to have a database open.
var openWorkloads = []workload{
	{
		name:    "open",
		about:   "open the database and get one record; files are in the page cache",
		rows:    []row{{groupOpen, "open and first get", p50NS}},
		fixture: true,
		run:     openRepeatedly,
	},
	{
		name:  "memory-get",
		about: "get random keys and watch the memory",
		rows: []row{
			{groupOpen, "anonymous memory while reading", anonBytes},
			{groupOpen, "peak of all memory while reading, mapped files too", residentBytes},
		},
		fixture: true,
		run:     memoryGet,
	},
	{
		name:  "memory-load",
		about: "load in random order and watch the memory",
		rows: []row{
			{groupOpen, "anonymous memory while loading", anonBytes},
			{groupOpen, "peak of all memory while loading, mapped files too", residentBytes},
		},
		run: memoryLoad,
	},
}

// openRepeatedly measures how long it takes from the call to open to the first
// value. The main figure is the median.
func openRepeatedly(t *trial) (metrics, error) {
	const limit = 5 * time.Second
	keys := t.keys.picks(t.scale.Opens, 0, uint64(t.scale.Records), 0)
	var took latencies
	m, err := t.measure(func() (int, error) {
		begin := time.Now()
		for j := range keys.len() {
			if j > 2 && time.Since(begin) > limit {
				break
			}
			key := keys.at(j)
			start := time.Now()
			s, _, err := t.open(openOptions{})
			if err != nil {
				return j, err
			}
			err = s.getOnce(key, func(value []byte) error {
				return checkValue(key, value, t.scale.ValueSize, 0)
			})
			took = append(took, float64(time.Since(start).Nanoseconds()))
			if closeErr := s.close(); err == nil {
				err = closeErr
			}
			if err != nil {
				return j, err
			}
		}
		return len(took), nil
	})
	if err != nil {
		return nil, err
	}
	return m.merge(took.metrics()), nil
}

// memoryChunk is how many keys the memory workloads hold at a time, in memory that
// they use again and again, so that their own does not count.
const memoryChunk = 10_000

// memoryGet reads as many random keys as there are records.
func memoryGet(t *trial) (metrics, error) {
	n := uint64(t.scale.Records)
	return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		return t.measure(func() (int, error) {
			done := 0
			var keys keyList
			for stream := uint64(0); done < t.scale.Records; stream++ {
				keys = t.keys.repick(keys, min(memoryChunk, t.scale.Records-done), 0, n, stream)
				if err := l.getAll(keys); err != nil {
					return done, err
				}
				done += keys.len()
			}
			return done, nil
		})
	})
}

// memoryLoad puts all records in random order.
func memoryLoad(t *trial) (metrics, error) {
	order := permutation(t.scale.Records, t.keys.seed)
	return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		return t.measure(func() (int, error) {
			var keys keyList
			for len(order) > 0 {
				chunk := order[:min(memoryChunk, len(order))]
				keys = t.keys.refill(keys, len(chunk), func(j int) uint64 { return uint64(chunk[j]) })
				if err := l.load(keys, t.scale.PerTx, 0); err != nil {
					return t.scale.Records - len(order), err
				}
				order = order[len(chunk):]
			}
			return t.scale.Records, nil
		})
	})
}
