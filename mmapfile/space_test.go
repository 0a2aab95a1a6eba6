package mmapfile_test

import (
	"math"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func TestTruncate(t *testing.T) {
	f, _ := create(t, 0)
	for _, size := range []int64{1, 100_000, 4096, 0} {
		noErr(t, "truncate", f.Truncate(size))
		if got, err := f.Size(); got != size || err != nil {
			t.Fatalf("size %d, %v, want %d", got, err, size)
		}
	}
	wantErr(t, "negative size", f.Truncate(-1), mmapfile.ErrRange)
	wantErr(t, "a size beyond all", f.Truncate(math.MaxInt64))
}

func TestTruncateUnderView(t *testing.T) {
	f, path := create(t, 10_000)
	g := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	m, err := f.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	noErr(t, "map", err)
	v, err := m.View(mmapfile.Read, 5000, 3000)
	noErr(t, "view", err)

	wantErr(t, "truncate under a mapping", f.Truncate(8000), mmapfile.ErrMapped)
	wantErr(t, "truncate by another handle", g.Truncate(9999), mmapfile.ErrMapped)
	noErr(t, "truncate to the same size", g.Truncate(10_000))
	noErr(t, "grow", g.Truncate(20_000))
	noErr(t, "close mapping", m.Close())
	wantErr(t, "truncate under a view", g.Truncate(7999), mmapfile.ErrMapped)
	noErr(t, "close file", f.Close())
	wantErr(t, "truncate under a view alone", g.Truncate(7999), mmapfile.ErrMapped)
	_, err = mmapfile.Open(path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateAlways,
	})
	wantErr(t, "create over a mapped file", err, mmapfile.ErrMapped)
	noErr(t, "close view", v.Close())
	noErr(t, "truncate", g.Truncate(10))
}

func TestAllocate(t *testing.T) {
	f, _ := create(t, 0)
	_, err := f.WriteAt([]byte("kept"), 0)
	noErr(t, "write", err)
	for _, want := range []int64{1 << 20, 1 << 20, 3<<20 + 1} {
		noErr(t, "allocate", f.Allocate(want))
		if got, err := f.Size(); got != want || err != nil {
			t.Fatalf("size %d, %v, want %d", got, err, want)
		}
	}
	noErr(t, "allocate less", f.Allocate(5))
	noErr(t, "allocate nothing", f.Allocate(0))
	if got, _ := f.Size(); got != 3<<20+1 {
		t.Errorf("size %d after allocating less", got)
	}
	p := make([]byte, 6)
	_, err = f.ReadAt(p, 0)
	noErr(t, "read", err)
	if string(p) != "kept\x00\x00" {
		t.Errorf("contents %q", p)
	}
	wantErr(t, "negative size", f.Allocate(-1), mmapfile.ErrRange)
	wantErr(t, "more than any disk", f.Allocate(math.MaxInt64))
	if got, _ := f.Size(); got != 3<<20+1 {
		t.Errorf("size %d after a failed allocation", got)
	}
}
