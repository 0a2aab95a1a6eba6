package mmapfile

// PrivateMemory is zeroed memory of this process alone, outside of the Go heap: the
// garbage collector neither counts nor scans it, and it must not hold Go pointers.
// It is what VirtualAlloc gives on Windows and mmap(MAP_ANON|MAP_PRIVATE) on Unix;
// where there is neither, it comes from the Go heap after all. From 2 MiB on, Linux is
// asked for huge pages: a fault for each 4 KiB costs more than filling them.
type PrivateMemory struct{ b []byte }

// NewPrivateMemory returns size bytes, which must be positive. The system may hand out
// the memory itself when it is touched.
func NewPrivateMemory(size int) (*PrivateMemory, error) {
	if size <= 0 {
		return nil, wrap("allocate", "", ErrRange)
	}
	return newPrivate(size, allocatePrivate)
}

// NewSparseMemory is NewPrivateMemory for tables of which little will be touched: on
// Linux it may be larger than the system has memory, and comes in small pages.
func NewSparseMemory(size int) (*PrivateMemory, error) {
	if size <= 0 {
		return nil, wrap("allocate", "", ErrRange)
	}
	return newPrivate(size, allocateSparse)
}

func newPrivate(size int, allocate func(int) ([]byte, error)) (*PrivateMemory, error) {
	var b []byte
	err := uninterrupted("allocate", "", func() (err error) {
		b, err = allocate(size)
		return err
	})
	if err != nil {
		return nil, wrap("allocate", "", err)
	}
	return &PrivateMemory{b[:size:size]}, nil
}

// Bytes returns the memory. It is valid until Free; to touch it afterwards is a fault.
func (m *PrivateMemory) Bytes() []byte { return m.b }

// Free gives the memory back. Further calls do nothing.
func (m *PrivateMemory) Free() error {
	if m.b == nil {
		return nil
	}
	b := m.b
	m.b = nil
	return wrap("free", "", freePrivate(b))
}
