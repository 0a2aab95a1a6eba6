//go:build !unix && !windows

package mmapfile

import "unsafe"

const canReserve = false

type section struct{}

func newSection(*File, *MapOptions, int64) (section, error) { return section{}, ErrUnsupported }

func (section) granularity() int64 { return 1 }

func (section) memoryLength(n int64) int64 { return n }

func (section) close() error { return nil }

func (section) view(Access, int64, uintptr) (unsafe.Pointer, error) { return nil, ErrUnsupported }

func unmapMemory(base, length uintptr) error { return ErrUnsupported }

func isFault(error) bool { return false }

func (section) extend(*View, uintptr) error { return ErrUnsupported }
