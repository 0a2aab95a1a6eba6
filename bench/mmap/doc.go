// Package mmap measures package mmapfile beside what else reads a file: the
// calls of package os, github.com/edsrzf/mmap-go and golang.org/x/exp/mmap.
//
//	go test -bench Ratio ./bench/mmap      # in turns with each rival
//	go test -bench . ./bench/mmap          # and each for itself
//
// The file has 256 MiB and lies in the page cache; each reader must find the
// right sum. Sequential reads take all of the file in pieces of 64 KiB, random
// ones 8 bytes at a time at places that a fixed seed chooses. What the packages
// share is measured alike: where a reader gives a slice, by the slice and by
// copying from it, and by its ReadAt if it has one; x/exp/mmap gives no slice.
//
// BenchmarkRatio and BenchmarkRatioOpen let both sides work in turns of about a
// millisecond and report the median quotient of their times: below 1 mmapfile
// takes less. On a machine that others use too, times vary by half, and these
// quotients by a few hundredths.
//
// Linux 6.18 on two cores of an AMD EPYC (Zen 5) in a virtual machine, Go
// 1.26.8, November 2026, 2 seconds each, the median of three runs, in ns:
//
//	                                             mmapfile  rival  ratio
//	random 8 bytes, slice               mmap-go      15.6   15.6   1.00
//	random 8 bytes, slice, guarded      mmap-go      15.8   15.8   1.00
//	random 8 bytes, slice, guarded      exp/mmap     15.4   39.4   0.40
//	random 8 bytes, ReadAt, guarded     exp/mmap     45     45     1.00
//	random 8 bytes, ReadAt              exp/mmap     63     38     1.64
//	random 8 bytes, ReadAt              os.File      70    567     0.12
//	sequential 64 KiB, slice            mmap-go   3,890  3,890     1.00
//	sequential 64 KiB, ReadAt           exp/mmap  2,330  2,310     1.00
//	sequential 64 KiB, ReadAt           os.File   2,360  2,600     0.91
//	map, touch, unmap                   mmap-go   9,150  8,940     1.03
//	view what is mapped, touch, unmap   mmap-go   8,340  8,960     0.93
//	open, map, unmap, close             mmap-go  11,400  9,220     1.23
//	open, map, unmap, close             exp/mmap 11,100  9,060     1.22
//	the same without a share mode       mmap-go   9,900 10,100     0.98
//	the same without a share mode       exp/mmap  9,080  9,340     0.97
//
// Where mmapfile loses, and what for:
//
//   - View.ReadAt of few bytes takes 4 ns more when all is in the processor's
//     cache. For these a lost page is an error, which ends the process in the
//     others: arming the runtime for that and a deferred call cannot be had for
//     less, and a processor that waits for memory then works on four such reads
//     at a time instead of six. That Close may come at any time costs nothing:
//     ReadAt takes no lock and no atomic addition (it took 87 ns with them).
//     Many reads under one Guard, by the slice or by bytes.Reader over it, which is
//     the row "guarded", pay for neither.
//   - Open with a share mode, which is the default, takes three locking calls of
//     the system, 2 us together, so that other processes see it. OpenOS and
//     FromOS, which know none, open faster than the others.
//   - Mapping takes 0.2 us more to know which memory belongs to which view, and
//     that the file is mapped: faults and Truncate are told by that.
package mmap
