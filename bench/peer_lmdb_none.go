//go:build !lmdb

package main

// nativePeers are the peers that need a C compiler and their libraries: none
// without the build tag lmdb.
var nativePeers []peer
