//go:build unix && !linux

package mmapfile

import (
	"errors"
	"os"
)

// newMemory uses a file that has lost its name.
func newMemory(o *MapOptions) (*Mapping, error) {
	if o.LargePages {
		return nil, ErrUnsupported
	}
	osf, err := os.CreateTemp("", "mmapfile-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(osf.Name()); err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	f, err := newFile(osf, ReadWrite)
	if err != nil {
		return nil, err
	}
	f.name = ""
	return f.memory(o, 0)
}
