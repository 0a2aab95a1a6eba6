//go:build !linux && !darwin && !openbsd

package mmapfile

import "os"

// writeVec copies small neighbours together, so that many short buffers do not
// become as many system calls. The copying may meet a fault.
func writeVec(f *os.File, bufs [][]byte, off int64) error {
	return Guard(func() error { return writeGathered(f, bufs, off) })
}

func writeGathered(f *os.File, bufs [][]byte, off int64) error {
	const room = 64 << 10
	var gather []byte
	flush := func() error {
		n, err := f.WriteAt(gather, off)
		off += int64(n)
		gather = gather[:0]
		return err
	}
	for _, b := range bufs {
		if len(gather)+len(b) <= room {
			gather = append(gather, b...)
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if len(b) <= room/2 {
			gather = append(gather, b...)
			continue
		}
		n, err := f.WriteAt(b, off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return flush()
}
