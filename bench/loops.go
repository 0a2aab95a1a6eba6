package main

import (
	"bytes"
	"fmt"
)

// loops are the inner loops of the workloads, the code that is timed. Each
// checks what it reads. A store may bring loops of its own (lmdb-c runs them in
// C); for all others goLoops runs them over the store's methods.
type loops interface {
	// load puts a value for each key, perTx of them in a transaction.
	load(keys keyList, perTx int, version uint64) error

	// remove deletes each key, perTx of them in a transaction.
	remove(keys keyList, perTx int) error

	// getAll reads each key in one read transaction.
	getAll(keys keyList) error

	// getEach reads each key in a read transaction of its own.
	getEach(keys keyList) error

	// miss reads keys that are not there, in one read transaction.
	miss(keys keyList) error

	// scan walks over all records.
	scan(reverse bool) (scanSum, error)

	// seek goes to each key, which is there, and then takes up to steps more
	// records. It returns how many records it saw.
	seek(keys keyList, steps int) (int, error)

	// prefix visits all records below each prefix, in one read transaction. A record
	// below several of them counts for each.
	prefix(prefixes keyList) (scanSum, error)
}

// loopsOf returns the loops to run over s.
func loopsOf(s store, o openOptions) loops {
	if own, ok := s.(loops); ok {
		return own
	}
	return &goLoops{store: s, valueSize: o.ValueSize}
}

// goLoops runs the loops in Go.
type goLoops struct {
	store     store
	valueSize int
}

// load implements loops. Values stay untouched until their transaction is over,
// as some stores ask for.
func (l *goLoops) load(keys keyList, perTx int, version uint64) error {
	perTx = min(perTx, keys.len())
	arena := make([]byte, perTx*l.valueSize)
	for i := 0; i < keys.len(); i += perTx {
		part := keys.slice(i, min(i+perTx, keys.len()))
		err := l.store.update(func(w writer) error {
			for j := range part.len() {
				key, value := part.at(j), arena[j*l.valueSize:][:l.valueSize]
				fillValue(value, key, version)
				if err := w.put(key, value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("put records %d and on: %w", i, err)
		}
	}
	return nil
}

// remove implements loops.
func (l *goLoops) remove(keys keyList, perTx int) error {
	for i := 0; i < keys.len(); i += perTx {
		part := keys.slice(i, min(i+perTx, keys.len()))
		err := l.store.update(func(w writer) error {
			for j := range part.len() {
				if err := w.remove(part.at(j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("delete records %d and on: %w", i, err)
		}
	}
	return nil
}

// getAll implements loops.
func (l *goLoops) getAll(keys keyList) error {
	return l.store.view(func(r reader) error {
		for j := range keys.len() {
			key := keys.at(j)
			value, err := r.get(key)
			if err == nil {
				err = checkValue(key, value, l.valueSize, 0)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// getEach implements loops.
func (l *goLoops) getEach(keys keyList) error {
	var key []byte
	check := func(value []byte) error { return checkValue(key, value, l.valueSize, 0) }
	for j := range keys.len() {
		key = keys.at(j)
		if err := l.store.getOnce(key, check); err != nil {
			return err
		}
	}
	return nil
}

// miss implements loops.
func (l *goLoops) miss(keys keyList) error {
	return l.store.view(func(r reader) error {
		for j := range keys.len() {
			key := keys.at(j)
			value, err := r.get(key)
			if err != nil {
				return err
			}
			if value != nil {
				return fmt.Errorf("%w: key %x", errFound, key)
			}
		}
		return nil
	})
}

// scan implements loops. It checks the order of keys too.
func (l *goLoops) scan(reverse bool) (scanSum, error) {
	var sum scanSum
	err := l.walk(reverse, func(c cursor) error {
		var last lastKey
		want := 1
		if reverse {
			want = -1
		}
		for key, value := c.first(); key != nil; key, value = c.next() {
			if order := last.replace(key); order != want && sum.records > 0 {
				return fmt.Errorf("%w: key %x is not in order", errWrongValue, key)
			}
			seed, err := checkEnds(key, value, l.valueSize)
			if err != nil {
				return err
			}
			sum.add(seed)
		}
		return nil
	})
	return sum, err
}

// seek implements loops.
func (l *goLoops) seek(keys keyList, steps int) (int, error) {
	seen := 0
	err := l.walk(false, func(c cursor) error {
		for j := range keys.len() {
			want := keys.at(j)
			key, value := c.seek(want)
			if !bytes.Equal(key, want) {
				return fmt.Errorf("%w: sought %x, came to %x", errMissing, want, key)
			}
			for step := 0; key != nil; step++ {
				if _, err := checkEnds(key, value, l.valueSize); err != nil {
					return err
				}
				seen++
				if step == steps {
					break
				}
				key, value = c.next()
			}
		}
		return nil
	})
	return seen, err
}

// prefix implements loops.
func (l *goLoops) prefix(prefixes keyList) (scanSum, error) {
	var sum scanSum
	visit := func(key, value []byte) error {
		seed, err := checkEnds(key, value, l.valueSize)
		sum.add(seed)
		return err
	}
	err := l.store.view(func(r reader) error { return r.prefix(prefixes, visit) })
	return sum, err
}

// walk runs fn with a cursor in one read transaction.
func (l *goLoops) walk(reverse bool, fn func(cursor) error) error {
	return l.store.view(func(r reader) error {
		c, err := r.cursor(reverse)
		if err != nil {
			return err
		}
		err = fn(c)
		if closeErr := c.close(); err == nil {
			err = closeErr
		}
		return err
	})
}
