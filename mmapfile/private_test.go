package mmapfile_test

import (
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

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
