package mmapfile_test

import (
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func TestSparseMemory(t *testing.T) {
	m, err := mmapfile.NewSparseMemory(24_000)
	noErr(t, "allocate", err)
	words, halves := mmapfile.Uint64s(m.Bytes()[:16_000]), mmapfile.Uint32s(m.Bytes()[16_000:])
	if len(words) != 2000 || len(halves) != 2000 {
		t.Fatalf("%d and %d variables", len(words), len(halves))
	}
	words[1999].Store(1 << 40)
	halves[0].Store(7)
	if words[1999].Load() != 1<<40 || halves[0].Load() != 7 || m.Bytes()[16_004] != 0 {
		t.Error("the variables are not in their places")
	}
	noErr(t, "free", m.Free())
}

func TestPrivateMemory(t *testing.T) {
	if _, err := mmapfile.NewPrivateMemory(0); err == nil {
		t.Error("no bytes were allocated")
	}
	m, err := mmapfile.NewPrivateMemory(1<<20 + 5)
	noErr(t, "allocate", err)
	b := m.Bytes()
	if len(b) != 1<<20+5 || cap(b) != len(b) {
		t.Fatalf("%d bytes, capacity %d", len(b), cap(b))
	}
	for i, v := range b {
		if v != 0 {
			t.Fatalf("byte %d is %d", i, v)
		}
		b[i] = byte(i)
	}
	noErr(t, "free", m.Free())
	noErr(t, "free again", m.Free())
	if m.Bytes() != nil {
		t.Error("freed memory is still handed out")
	}
}
