//go:build !unix && !windows

package mmapfile

type nameHold struct{}

func (*nameHold) drop() error { return nil }

func (f *File) mapNamed(*MapOptions) (*Mapping, error) { return nil, ErrUnsupported }

func namedMemory(*MapOptions) (*Mapping, error) { return nil, ErrUnsupported }

func newMemory(*MapOptions) (*Mapping, error) { return nil, ErrUnsupported }

func openNamed(string, Access) (*Mapping, error) { return nil, ErrUnsupported }
