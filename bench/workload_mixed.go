package main

import (
	"sync/atomic"
	"time"
)

// mixedWorkloads let a reader and a writer work side by side. The reader takes the time
// of each of its gets, first alone and then beside the writer.
var mixedWorkloads = []workload{
	{
		name:  "mixed",
		about: "get random keys, a transaction each, alone and beside durable puts of one record",
		rows: []row{
			{groupMixed, "get beside a durable writer, p50", mixedP50NS},
			{groupMixed, "get beside a durable writer, p99", mixedP99NS},
			{groupMixed, "get beside a durable writer, slowest", mixedMaxNS},
			{groupMixed, "get alone, p50", p50NS},
			{groupMixed, "get alone, p99", p99NS},
			{groupMixed, "durable put beside a reader", putNS},
		},
		fixture: true, writes: true,
		run: mixed,
	},
}

// getTimed gets keys round and round until stop says so, and returns how long each took.
func getTimed(s store, keys keyList, size int, stop func() bool) (latencies, error) {
	var took latencies
	var key []byte
	check := func(value []byte) error { return checkValue(key, value, size, 0) }
	for j := 0; !stop(); j++ {
		key = keys.at(j % keys.len())
		start := time.Now()
		if err := s.getOnce(key, check); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start).Nanoseconds()))
	}
	return took, nil
}

// mixed measures both phases, each as long as CommitLimit.
func mixed(t *trial) (metrics, error) {
	n := t.scale.Records
	keys := t.keys.picks(max(1000, n/10), 0, uint64(n), 0)
	fresh := t.keys.list(t.scale.Commits, func(j int) uint64 { return uint64(n + j) })
	m, err := t.with(openOptions{Durable: true}, func(s store, l loops) (metrics, error) {
		if err := warm(l); err != nil {
			return nil, err
		}
		begin := time.Now()
		alone, err := getTimed(s, keys, t.scale.ValueSize, func() bool {
			return time.Since(begin) > t.scale.CommitLimit
		})
		if err != nil {
			return nil, err
		}
		var done atomic.Bool
		var beside latencies
		var took time.Duration
		cost, err := t.measure(func() (puts int, err error) {
			err = parallel(2, func(g int) (err error) {
				if g == 1 {
					beside, err = getTimed(s, keys, t.scale.ValueSize, done.Load)
					return err
				}
				defer done.Store(true)
				start := time.Now()
				puts, _, err = commitLoop(l, fresh, 1, 0, t.scale.CommitLimit)
				took = time.Since(start) / time.Duration(max(puts, 1))
				return err
			})
			return puts, err
		})
		if err != nil {
			return nil, err
		}
		m := cost.merge(alone.metrics())
		both := beside.metrics()
		m[mixedP50NS], m[mixedP99NS], m[mixedMaxNS] = both[p50NS], both[p99NS], both[maxNS]
		m[putNS] = float64(took.Nanoseconds())
		return m, nil
	})
	if err != nil {
		return nil, err
	}
	return t.addSize(m)
}
