package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
)

// This file makes the values and checks them. A value follows from its key, so
// a reader checks it without a table that would take part in the measurement.
// Its bytes do not compress, so compression is no advantage and no burden.
//
//	seed   = hash of the key and the version
//	word j = seed + j*weyl, little-endian; the last word is cut to the length
//
// peer_lmdb.c holds the same in C.

// errWrongValue reports that a store returned something else than was put.
var errWrongValue = errors.New("wrong value")

// errMissing reports that a store did not find a key that was put.
var errMissing = errors.New("key not found")

// errFound reports that a store found a key that was never put, or deleted.
var errFound = errors.New("found a key that is not there")

// valueSeed returns the seed of the value of key. The version counts how often
// it was overwritten.
func valueSeed(key []byte, version uint64) uint64 {
	h := uint64(len(key))*weyl ^ version
	for len(key) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(key)) * odd64
		key = key[8:]
	}
	if len(key) > 0 {
		var last uint64
		for _, b := range key {
			last = last<<8 | uint64(b)
		}
		h = (h ^ last) * odd64
	}
	h = (h ^ h>>32) * weyl
	return h ^ h>>32
}

// fillValue writes the value of key over dst, whose length is its size.
func fillValue(dst, key []byte, version uint64) {
	word := valueSeed(key, version)
	for len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, word)
		word += weyl
		dst = dst[8:]
	}
	for i := range dst {
		dst[i] = byte(word >> (8 * i))
	}
}

// checkValue checks every byte of the value that was read for key.
func checkValue(key, value []byte, size int, version uint64) error {
	if len(value) != size {
		return valueError(key, value, size)
	}
	word := valueSeed(key, version)
	rest := value
	for len(rest) >= 32 { // four words at a time, which takes half as long
		four := rest[:32]
		second := word + weyl
		third := second + weyl
		fourth := third + weyl
		wrong := (binary.LittleEndian.Uint64(four) ^ word) |
			(binary.LittleEndian.Uint64(four[8:]) ^ second) |
			(binary.LittleEndian.Uint64(four[16:]) ^ third) |
			(binary.LittleEndian.Uint64(four[24:]) ^ fourth)
		if wrong != 0 {
			return valueError(key, value, size)
		}
		word = fourth + weyl
		rest = rest[32:]
	}
	for len(rest) >= 8 {
		if binary.LittleEndian.Uint64(rest) != word {
			return valueError(key, value, size)
		}
		word += weyl
		rest = rest[8:]
	}
	for i := range rest {
		if rest[i] != byte(word>>(8*i)) {
			return valueError(key, value, size)
		}
	}
	return nil
}

// checkEnds checks the length of a value and its first and last whole word: the
// check of scans, where a full one would cost as much as the scan itself. The
// value has at least 8 bytes. It returns the key's seed, for scanSum.
func checkEnds(key, value []byte, size int) (seed uint64, err error) {
	if len(value) != size {
		return 0, valueError(key, value, size)
	}
	seed = valueSeed(key, 0)
	last := uint64(size/8 - 1)
	if binary.LittleEndian.Uint64(value) != seed ||
		binary.LittleEndian.Uint64(value[last*8:]) != seed+last*weyl {
		return 0, valueError(key, value, size)
	}
	return seed, nil
}

// valueError says what is wrong with value.
func valueError(key, value []byte, size int) error {
	if value == nil {
		return fmt.Errorf("%w: key %x", errMissing, key)
	}
	return fmt.Errorf("%w: key %x: %d bytes, want %d bytes that follow from the key",
		errWrongValue, key, len(value), size)
}

// A scanSum proves that a scan saw every record once: how many there were and
// the sum of the seeds of their values, which does not depend on the order.
type scanSum struct {
	records int
	seeds   uint64
}

// add counts the record of a key with that seed.
func (s *scanSum) add(seed uint64) {
	s.records++
	s.seeds += seed
}

// sumOf returns the sum that a scan over the keys must have.
func sumOf(keys keyList) scanSum {
	var s scanSum
	for j := range keys.len() {
		s.add(valueSeed(keys.at(j), 0))
	}
	return s
}

// check compares the sum of a scan with what it must be.
func (s scanSum) check(want scanSum) error {
	if s != want {
		return fmt.Errorf("%w: the scan saw %d records with sum %x, want %d with sum %x",
			errWrongValue, s.records, s.seeds, want.records, want.seeds)
	}
	return nil
}

// A lastKey remembers the key that a scan saw last, of up to lastKeyMax bytes, which
// the store may overwrite. Its first 16 bytes are kept and compared as numbers: to copy
// and compare bytes takes as long as a step of a fast cursor.
type lastKey struct {
	first, second uint64 // the first 16 bytes, padded with zeros
	size          int
	rest          [lastKeyMax - 16]byte
}

const lastKeyMax = 256

// replace compares key with the last one, as bytes.Compare does, and remembers key.
func (l *lastKey) replace(key []byte) int {
	var first, second uint64
	if len(key) >= 16 {
		first, second = binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])
	} else {
		var padded [16]byte
		copy(padded[:], key)
		first = binary.BigEndian.Uint64(padded[:])
		second = binary.BigEndian.Uint64(padded[8:])
	}
	order := 1
	if first < l.first {
		order = -1
	} else if first == l.first {
		order = l.compareRest(key, second)
	}
	l.first, l.second, l.size = first, second, len(key)
	if len(key) > 16 {
		copy(l.rest[:], key[16:])
	}
	return order
}

// compareRest is replace's comparison for keys with the same first 8 bytes.
func (l *lastKey) compareRest(key []byte, second uint64) int {
	if second != l.second {
		return cmp.Compare(second, l.second)
	}
	if len(key) > 16 && l.size > 16 {
		return bytes.Compare(key[16:], l.rest[:min(l.size, lastKeyMax)-16])
	}
	return cmp.Compare(len(key), l.size)
}
