//go:build !windows

package mmapfile

import "os"

// fillSpace sets room aside by writing zeros to what is new. It does not begin
// what cannot succeed: the disk would be full for all others meanwhile.
func fillSpace(f *os.File, from, to int64) error {
	if to <= from {
		return nil
	}
	if room, known := freeRoom(f); known && uint64(to-from) > room {
		return errNoSpace
	}
	return writeZeros(f, from, to)
}

// zeros is written by writeZeros, and never changed.
var zeros [256 << 10]byte

// writeZeros fills [from, to) with zeros.
func writeZeros(f *os.File, from, to int64) error {
	for from < to {
		n, err := f.WriteAt(zeros[:min(to-from, int64(len(zeros)))], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}
