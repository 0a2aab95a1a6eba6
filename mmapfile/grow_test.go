package mmapfile_test

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func TestGrow(t *testing.T) {
	f, path := create(t, 100_000)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 70_001, 10)
	old := v.Bytes()
	noErr(t, "grow mapping", m.Grow(300_000))
	noErr(t, "grow mapping to less", m.Grow(5))
	if size, _ := f.Size(); size != 300_000 || m.Size() != 300_000 {
		t.Fatalf("file of %d, mapping of %d bytes", size, m.Size())
	}
	wantErr(t, "truncate", f.Truncate(299_999), mmapfile.ErrMapped)
	wantErr(t, "grow view past the mapping", v.Grow(300_000), mmapfile.ErrRange)
	wantErr(t, "grow view to -1", v.Grow(-1), mmapfile.ErrRange)

	err := v.Grow(0)
	if errors.Is(err, mmapfile.ErrNoRoom) {
		v = viewT(t, m, mmapfile.Write, 70_001, 0) // beside the old one
	} else {
		noErr(t, "grow view", err)
		if &v.Bytes()[0] != &old[0] {
			t.Error("the view moved")
		}
	}
	if v.Len() != 300_000-70_001 {
		t.Fatalf("length %d", v.Len())
	}
	copy(old, "old slice")
	v.Bytes()[v.Len()-1] = 'z'
	if string(v.Bytes()[:9]) != "old slice" {
		t.Errorf("grown view reads %q", v.Bytes()[:9])
	}
	noErr(t, "close mapping", m.Close())
	wantErr(t, "grow closed mapping", m.Grow(400_000), mmapfile.ErrClosed)
	wantErr(t, "truncate", f.Truncate(299_999), mmapfile.ErrMapped)

	r := mapT(t, openT(t, path, mmapfile.Options{}), mmapfile.MapOptions{})
	wantErr(t, "grow a mapping that reads", r.Grow(1<<20), mmapfile.ErrAccess)
}

// A small view of a file larger than any 32-bit address space sees the right
// bytes, and a view of all of it is refused there before it is tried.
func TestHugeFileInWindows(t *testing.T) {
	const size = int64(9) << 30
	f, _ := create(t, 0)
	noErr(t, "truncate", f.Truncate(size))
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	for i := range int64(9) {
		off := i<<30 + 12_345
		v := viewT(t, m, mmapfile.Write, off, 100)
		v.Bytes()[0] = byte(i + 1)
		noErr(t, "close", v.Close())
		p := make([]byte, 1)
		_, err := f.ReadAt(p, off)
		noErr(t, "read", err)
		if p[0] != byte(i+1) {
			t.Errorf("byte at %d is %d", off, p[0])
		}
	}
	v, err := m.View(mmapfile.Read, 0, 0)
	if strconv.IntSize == 32 {
		wantErr(t, "view of all", err, mmapfile.ErrTooLarge)
	} else {
		noErr(t, "view of all", err)
		last := int64(8)<<30 + 12_345
		if v.Bytes()[last] != 9 {
			t.Error("the view of all reads wrong")
		}
		noErr(t, "close", v.Close())
	}
}

func TestTooLarge(t *testing.T) {
	f, _ := create(t, 4096)
	m := mapT(t, f, mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite, Size: 1 << 52, Reserve: true,
	})
	if m.Size() == 4096 {
		_, err := f.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: math.MaxInt64})
		wantErr(t, "grow beyond all", err)
		return
	}
	_, err := m.View(mmapfile.Read, 0, 0)
	wantErr(t, "view of it", err, mmapfile.ErrTooLarge)
	_, err = f.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: math.MaxInt64})
	wantErr(t, "grow beyond all", err)
	if size, _ := f.Size(); size != 4096 {
		t.Errorf("a failed growth left %d bytes", size)
	}
}
