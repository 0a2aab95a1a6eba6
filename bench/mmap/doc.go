// Package mmap measures package mmapfile beside what else reads a file: the
// calls of package os, github.com/edsrzf/mmap-go and golang.org/x/exp/mmap.
//
//	go test -bench . ./bench/mmap
//
// The file has 256 MiB and lies in the page cache; each reader must find the
// right sum. Sequential reads take all of the file in pieces of 64 KiB, random
// ones 8 bytes at a time at places that a fixed seed chooses. What the packages
// share is measured alike: where a reader gives a slice, by the slice and by
// copying from it, and by its ReadAt if it has one; x/exp/mmap gives no slice.
//
// Linux 6.18 on two cores of an AMD EPYC in a virtual machine, Go 1.26.8,
// November 2026, the best of 8 to 40 short runs each, since the machine is shared:
//
//	                             mmapfile  mmap-go  exp/mmap  os.File
//	sequential, slice, MB/s        15,700   15,650         -        -
//	sequential, copied, MB/s        9,320    9,230         -        -
//	sequential, ReadAt, MB/s        9,170        -     9,220    9,050
//	random 8 bytes, slice, ns        19.8     19.7         -        -
//	random 8 bytes, copied, ns       29.0     29.4         -        -
//	random 8 bytes, ReadAt, ns         87        -        39      600
//	map and unmap 64 KiB, ns        8,700    8,670         -        -
//	view and unmap 64 KiB, ns       7,950        -         -        -
//	open, map, unmap, close, ns    12,300    8,990     9,070        -
//
// Where mmapfile loses: View.ReadAt of few bytes costs 20 ns more, because it
// may meet Close and a lost page, which kill the process in the others; View.Bytes
// costs nothing. Open costs 3 us more for the share mode.
package mmap
