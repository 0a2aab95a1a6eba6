// Package mmap measures package mmapfile beside what else reads a file: the
// calls of package os, github.com/edsrzf/mmap-go and golang.org/x/exp/mmap.
//
//	go test -bench . ./bench/mmap
//
// The file has 256 MiB and lies in the page cache; each reader must find the
// right sum. Sequential reads take all of the file in pieces of 64 KiB, random
// ones 8 bytes at a time at places that a fixed seed chooses. What the packages
// share is measured alike: where a reader gives a slice, by the slice, and by
// its ReadAt; x/exp/mmap gives no slice.
package mmap
