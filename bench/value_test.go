package main

import (
	"bytes"
	"fmt"
	"testing"
)

func TestLastKey(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 40)
	keys := [][]byte{
		{0}, {0, 0}, {1}, {1, 0}, {1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8, 9},
		long[:7], long[:8], long[:15], long[:16], long[:17], long[:40], append(long[:20:20], 8),
		bytes.Repeat([]byte{255}, 16), bytes.Repeat([]byte{255}, 17),
		append(bytes.Repeat([]byte{255}, 16), 0),
	}
	for _, a := range keys {
		for _, b := range keys {
			var last lastKey
			last.replace(long)
			last.replace(a)
			if got, want := last.replace(b), bytes.Compare(b, a); got != want {
				t.Errorf("%x after %x: %d, want %d", b, a, got, want)
			}
		}
	}
}

// unordered is a store whose cursor walks over keys in the wrong order.
type unordered struct {
	store
	keys [][]byte
}

func (u *unordered) view(fn func(reader) error) error { return fn(unorderedReader{u}) }
func (u *unordered) cursor(bool) (cursor, error)      { return &unorderedCursor{keys: u.keys}, nil }

type unorderedReader struct{ *unordered }

func (unorderedReader) get([]byte) ([]byte, error) { return nil, nil }

func (unorderedReader) prefix(keyList, func(key, value []byte) error) error { return nil }

type unorderedCursor struct {
	cursor
	keys [][]byte
	at   int
}

func (c *unorderedCursor) first() (key, value []byte) { return c.next() }
func (c *unorderedCursor) close() error               { return nil }

func (c *unorderedCursor) next() (key, value []byte) {
	if c.at == len(c.keys) {
		return nil, nil
	}
	key, value = c.keys[c.at], make([]byte, 100)
	fillValue(value, key, 0)
	c.at++
	return key, value
}

// TestScanChecksOrder gives the loop of scans keys that are not in order.
func TestScanChecksOrder(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	tests := []struct {
		keys    [][]byte
		reverse bool
		bad     bool
	}{
		{[][]byte{a, b}, false, false},
		{[][]byte{b, a}, false, true},
		{[][]byte{a, a}, false, true},
		{[][]byte{b, a}, true, false},
		{[][]byte{a, b}, true, true},
		{[][]byte{b, b}, true, true},
	}
	for _, c := range tests {
		l := &goLoops{store: &unordered{keys: c.keys}, valueSize: 100}
		if _, err := l.scan(c.reverse); (err != nil) != c.bad {
			t.Error(fmt.Sprintf("%q reverse %t:", c.keys, c.reverse), err)
		}
	}
}
