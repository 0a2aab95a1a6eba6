//go:build aix || solaris || illumos || (!unix && !windows)

package mmapfile

func allocatePrivate(size int) ([]byte, error) { return make([]byte, size), nil }

func allocateSparse(size int) ([]byte, error) { return make([]byte, size), nil }

func freePrivate([]byte) error { return nil }
