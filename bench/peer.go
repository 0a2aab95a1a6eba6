package main

import (
	"fmt"
	"strings"
)

// This file is the seam between workloads and stores.
//
// Invariants:
//
//	P1 In a store opened with Durable, what Update wrote survives a power cut
//	   once Update has returned. Without it, it survives at least the end of
//	   the process, and no peer waits for the device.
//	P2 A workload treats every peer alike: it knows the interfaces below and
//	   never a peer's name.
//	P3 Every loop checks each value that it reads, and fails at the first that
//	   is wrong or missing.

// A peer is a store that can be measured.
type peer struct {
	name   string
	about  string // the settings, for the report
	module string // whose version the report names; "" if it is no Go module
	// only lists the workloads that the peer is for; empty means all.
	only []string
	// files names the peer whose prepared database this one can use; empty means
	// its own.
	files string
	// mapped says that the peer writes through mappings, so that its write calls, and
	// the bytes that it gives to them, say nothing.
	mapped bool
	open   func(dir string, o openOptions) (store, error)
}

// runs tells whether the peer takes part in the workload.
func (p peer) runs(workload string) bool {
	if len(p.only) == 0 {
		return true
	}
	for _, name := range p.only {
		if name == workload {
			return true
		}
	}
	return false
}

// fixture returns the peer whose prepared database this one uses.
func (p peer) fixture() (peer, error) {
	if p.files == "" {
		return p, nil
	}
	return findPeer(p.files)
}

// openOptions say how a workload is going to use a store.
type openOptions struct {
	Durable   bool // each Update is on stable storage when it returns
	Ordered   bool // keys are about to be inserted in ascending order
	ValueSize int  // bytes of each value
}

// A store is an open database of one peer. Get-like methods may run in several
// goroutines at once, and so may update.
type store interface {
	// view runs fn with a read transaction, for one goroutine.
	view(fn func(reader) error) error

	// getOnce reads one key in a read transaction of its own and hands the
	// value to check, nil if there is none, while it is valid.
	getOnce(key []byte, check func(value []byte) error) error

	// update runs fn in one write transaction and commits it. Keys and values
	// given to the writer stay unchanged until update returns.
	update(fn func(writer) error) error

	// count returns the number of records, by the fastest way the peer has.
	count() (int, error)

	close() error
}

// A reader is one read transaction, inside view.
type reader interface {
	// get returns the value of key, or nil. It is valid until the next call.
	get(key []byte) ([]byte, error)

	// cursor walks through all records, in the other direction if reverse.
	cursor(reverse bool) (cursor, error)

	// prefix hands all records whose keys begin with one of the prefixes to visit,
	// prefix by prefix, by the peer's own means for that. Key and value are valid
	// inside visit.
	prefix(prefixes keyList, visit func(key, value []byte) error) error
}

// A cursor walks in key order, or against it. Its methods return a nil key
// behind the last record; what they return is valid until the next call.
type cursor interface {
	first() (key, value []byte) // the first in the cursor's direction
	seek(key []byte) (foundKey, value []byte)
	next() (key, value []byte) // the next in the cursor's direction
	close() error              // with the error that ended the walk early, if one did
}

// A writer is one write transaction.
type writer interface {
	put(key, value []byte) error
	remove(key []byte) error
}

// A bulkLoader puts many records at once, in one transaction: a value of version 0 for each
// of the keys, which ascend.
type bulkLoader interface {
	bulkLoad(keys keyList, valueSize int) error
}

// A settler finishes the work that it put off, such as compactions, so that a
// prepared database is at rest.
type settler interface {
	settle() error
}

// A compacter writes its records as compactly as it can: in place, or into a
// new database in the folder dst. inPlace tells which of the two it did.
type compacter interface {
	compact(dst string) (inPlace bool, err error)
}

// allPeers returns every peer in this binary. The first is the base of the
// ratios.
func allPeers() []peer {
	peers := []peer{mapleafPeer}
	peers = append(peers, bboltPeers...)
	peers = append(peers, nativePeers...)
	return append(peers, pebblePeer, badgerPeer)
}

// findPeer returns the peer of that name.
func findPeer(name string) (peer, error) {
	var known []string
	for _, p := range allPeers() {
		if p.name == name {
			return p, nil
		}
		known = append(known, p.name)
	}
	return peer{}, fmt.Errorf("%w: no peer %q in this binary (there are %s)",
		errUsage, name, strings.Join(known, ", "))
}
