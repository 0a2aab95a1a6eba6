//go:build linux || darwin || openbsd

package mmapfile

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// iovMax is the number of buffers that one call takes: IOV_MAX of these systems.
const iovMax = 1024

// writeMax is the number of bytes that one call is given. The kernels stop
// below 2 GiB; a multiple of the page size keeps what follows aligned.
const writeMax = 1 << 30

func writeVec(f *os.File, bufs [][]byte, off int64) error {
	return writeChunks(bufs, off, func(b [][]byte, off int64) (int, error) {
		return pwritev(f, b, off)
	})
}

// writeChunks hands bufs to write, iovMax at a time, until everything is
// written. It does not change the caller's slice.
func writeChunks(bufs [][]byte, off int64, write func([][]byte, int64) (int, error)) error {
	chunk := make([][]byte, 0, min(len(bufs), iovMax))
	for {
		var more bool
		chunk, bufs, more = fillChunk(chunk, bufs)
		if !more {
			return nil
		}
		for len(chunk) > 0 {
			n, err := write(chunk, off)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case err != nil:
				return err
			case n <= 0:
				return io.ErrShortWrite
			}
			off += int64(n)
			chunk = skip(chunk, n)
		}
	}
}

// fillChunk takes the next buffers that are not empty; a very long one is cut.
func fillChunk(chunk, bufs [][]byte) (_, rest [][]byte, more bool) {
	chunk = chunk[:0]
	for total := 0; len(bufs) > 0 && len(chunk) < iovMax && total < writeMax; {
		b := bufs[0]
		if room := writeMax - total; len(b) > room {
			chunk = append(chunk, b[:room])
			bufs = append([][]byte{b[room:]}, bufs[1:]...)
			break
		}
		if len(b) > 0 {
			chunk = append(chunk, b)
			total += len(b)
		}
		bufs = bufs[1:]
	}
	return chunk, bufs, len(chunk) > 0
}

// skip drops the first n bytes of chunk.
func skip(chunk [][]byte, n int) [][]byte {
	for len(chunk) > 0 && n >= len(chunk[0]) {
		n -= len(chunk[0])
		chunk = chunk[1:]
	}
	if n > 0 {
		chunk[0] = chunk[0][n:]
	}
	return chunk
}
