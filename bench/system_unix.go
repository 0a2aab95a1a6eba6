//go:build unix

package main

import (
	"io/fs"
	"syscall"
	"time"
)

// occupied returns the bytes of device blocks behind a file, 0 if unknown.
func occupied(info fs.FileInfo) int64 {
	const blockSize = 512 // the unit of st_blocks, whatever the file system uses
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(stat.Blocks) * blockSize
	}
	return 0
}

// processorTime returns the processor time of all threads of this process so
// far, 0 if unknown.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
