package main

import (
	"errors"
	"runtime"
	"sync"
	"time"
)

// getWorkloads read single keys at random. Unless the name says otherwise, the
// whole database was scanned before the clock starts: pages are mapped or
// cached, and verified where a peer verifies on the first touch only.
var getWorkloads = []workload{
	{
		name:    "get-long",
		about:   "get random keys in one long read transaction",
		rows:    []row{{groupGet, "random get, one long read transaction", nsPerOp}},
		fixture: true,
		run: func(t *trial) (metrics, error) {
			return getLoop(t, 0, func(l loops, keys keyList) error { return l.getAll(keys) })
		},
	},
	{
		name:  "get-tx",
		about: "get random keys, each in a read transaction of its own",
		rows: []row{
			{groupGet, "one read transaction per get", nsPerOp},
			{groupGet, "one read transaction per get, heap objects", allocsPerOp},
		},
		fixture: true,
		run: func(t *trial) (metrics, error) {
			return getLoop(t, 0, func(l loops, keys keyList) error { return l.getEach(keys) })
		},
	},
	{
		name:    "get-2",
		about:   "get random keys in 2 goroutines, a long read transaction each",
		rows:    []row{{groupGet, "2 goroutines of gets, wall time a get", nsPerOp}},
		fixture: true,
		run:     func(t *trial) (metrics, error) { return getParallel(t, 2) },
	},
	{
		name:    "get-cores",
		about:   "get random keys in a goroutine per processor, a long read transaction each",
		rows:    []row{{groupGet, "gets on all processors, wall time a get", nsPerOp}},
		fixture: true,
		cores:   3,
		run:     func(t *trial) (metrics, error) { return getParallel(t, runtime.NumCPU()) },
	},
	{
		name:    "get-miss",
		about:   "get random keys that are not there, in one long read transaction",
		rows:    []row{{groupGet, "miss", nsPerOp}},
		fixture: true,
		run: func(t *trial) (metrics, error) {
			return getLoop(t, uint64(t.scale.Records),
				func(l loops, keys keyList) error { return l.miss(keys) })
		},
	},
	{
		name:    "get-cold",
		about:   "get random keys right after opening; files are in the page cache",
		rows:    []row{{groupGet, "random get right after opening", nsPerOp}},
		fixture: true,
		run: func(t *trial) (metrics, error) {
			keys := t.keys.picks(t.scale.Records/10+1, 0, uint64(t.scale.Records), 0)
			return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
				return t.measure(func() (int, error) { return keys.len(), l.getAll(keys) })
			})
		},
	},
}

// warm scans the database, so that its pages are where the peer wants them.
func warm(l loops) error {
	_, err := l.scan(false)
	return err
}

// getLoop measures loop over as many keys as there are records, drawn from those with
// indexes from the given one on; over and over if they are few.
func getLoop(t *trial, from uint64, loop func(loops, keyList) error) (metrics, error) {
	keys := t.keys.picks(t.scale.Records, from, uint64(t.scale.Records), 0)
	return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		if err := warm(l); err != nil {
			return nil, err
		}
		return t.measure(func() (gets int, err error) {
			for start := time.Now(); err == nil && time.Since(start) < shortLoop; {
				err = loop(l, keys)
				gets += keys.len()
			}
			return gets, err
		})
	})
}

// getParallel measures gets in several goroutines, each with its own keys.
func getParallel(t *trial, goroutines int) (metrics, error) {
	each := t.scale.Records / goroutines
	keys := make([]keyList, goroutines)
	for g := range keys {
		keys[g] = t.keys.picks(each, 0, uint64(t.scale.Records), uint64(g))
	}
	return t.with(openOptions{}, func(_ store, l loops) (metrics, error) {
		if err := warm(l); err != nil {
			return nil, err
		}
		return t.measure(func() (int, error) {
			return each * goroutines, parallel(goroutines, func(g int) error {
				return l.getAll(keys[g])
			})
		})
	})
}

// parallel runs fn in several goroutines and returns all their errors.
func parallel(goroutines int, fn func(g int) error) error {
	var wait sync.WaitGroup
	errs := make([]error, goroutines)
	for g := range goroutines {
		wait.Go(func() { errs[g] = fn(g) })
	}
	wait.Wait()
	return errors.Join(errs...)
}
