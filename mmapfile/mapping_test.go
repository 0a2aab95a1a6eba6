package mmapfile_test

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func TestMapGrowsFile(t *testing.T) {
	for _, sparse := range []bool{false, true} {
		f, _ := create(t, 100)
		m := mapT(t, f, mmapfile.MapOptions{
			Protection: mmapfile.ProtReadWrite, Size: 200_000, Sparse: sparse,
		})
		if size, err := f.Size(); size != 200_000 || err != nil {
			t.Errorf("file has %d bytes, %v", size, err)
		}
		if m.Size() != 200_000 || m.Protection() != mmapfile.ProtReadWrite {
			t.Errorf("mapping of %d bytes, protection %d", m.Size(), m.Protection())
		}
		v := viewT(t, m, mmapfile.Write, 199_999, 0)
		v.Bytes()[0] = 7
		p := make([]byte, 1)
		if _, err := f.ReadAt(p, 199_999); err != nil || p[0] != 7 {
			t.Errorf("read back %v, %v", p, err)
		}
	}
}

func TestMapRefusals(t *testing.T) {
	f, path := create(t, 100)
	r := openT(t, path, mmapfile.Options{})
	w := openT(t, path, mmapfile.Options{Access: mmapfile.Write})
	for _, c := range []struct {
		what string
		f    *mmapfile.File
		o    mmapfile.MapOptions
		want error
	}{
		{"negative size", f, mmapfile.MapOptions{Size: -1}, mmapfile.ErrRange},
		{"unknown protection", f, mmapfile.MapOptions{Protection: 77}, mmapfile.ErrInvalid},
		{"larger, reading", f, mmapfile.MapOptions{Size: 101}, mmapfile.ErrRange},
		{"writing a file open for reading", r,
			mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite}, mmapfile.ErrAccess},
		{"executing a file not open for it", f,
			mmapfile.MapOptions{Protection: mmapfile.ProtExecuteRead}, fs.ErrPermission},
		{"reading a file open for writing", w, mmapfile.MapOptions{}, mmapfile.ErrAccess},
	} {
		_, err := c.f.Map(c.o)
		wantErr(t, c.what, err, c.want)
	}
	if size, _ := f.Size(); size != 100 {
		t.Errorf("a refused mapping changed the size to %d", size)
	}
}

// The views that each protection grants, as the table of MapViewOfFile has it.
func TestProtections(t *testing.T) {
	const (
		r, w, c = mmapfile.Read, mmapfile.ReadWrite, mmapfile.Copy
		x       = mmapfile.Execute
	)
	_, path := create(t, 5000)
	all := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite | mmapfile.Execute})
	grants := map[mmapfile.Protection][]mmapfile.Access{
		mmapfile.ProtRead:             {0, r, c},
		mmapfile.ProtReadWrite:        {0, r, w, mmapfile.Write, mmapfile.AllAccess, c},
		mmapfile.ProtWriteCopy:        {0, r, c},
		mmapfile.ProtExecuteRead:      {0, r, c, x, r | x, c | x},
		mmapfile.ProtExecuteReadWrite: {0, r, w, mmapfile.Write, c, x, w | x, c | x, r | x},
		mmapfile.ProtExecuteWriteCopy: {0, r, c, x, r | x, c | x},
	}
	for prot, granted := range grants {
		m := mapT(t, all, mmapfile.MapOptions{Protection: prot})
		for a := range mmapfile.Access(16) {
			want := a&(mmapfile.Write|c) != mmapfile.Write|c && contains(granted, a|r)
			v, err := m.View(a, 0, 0)
			if (err == nil) != want {
				t.Errorf("protection %d, access %04b: %v", prot, a, err)
			}
			if err == nil {
				noErr(t, "close", v.Close())
			}
		}
	}
}

func contains(list []mmapfile.Access, a mmapfile.Access) bool {
	for _, x := range list {
		if x|mmapfile.Read == a {
			return true
		}
	}
	return false
}

func TestEmptyFile(t *testing.T) {
	f, _ := create(t, 0)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 0, 0)
	if m.Size() != 0 || v.Len() != 0 || v.Bytes() == nil {
		t.Errorf("size %d, length %d", m.Size(), v.Len())
	}
	noErr(t, "flush", v.Flush(0, 0))
	noErr(t, "lock", v.Lock(0, 0))
	noErr(t, "truncate", f.Truncate(0))
	_, err := m.View(mmapfile.Read, 0, 1)
	wantErr(t, "one byte of none", err, mmapfile.ErrRange)
}

// Every order of closing file, mapping and view leaves the others usable.
func TestCloseInAnyOrder(t *testing.T) {
	for _, order := range []string{"fmv", "fvm", "mfv", "mvf", "vfm", "vmf"} {
		t.Run(order, func(t *testing.T) {
			f, _ := create(t, 1000)
			m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
			v := viewT(t, m, mmapfile.Write, 0, 0)
			open := map[rune]bool{'f': true, 'm': true, 'v': true}
			for _, c := range order {
				closer := map[rune]interface{ Close() error }{'f': f, 'm': m, 'v': v}[c]
				noErr(t, fmt.Sprintf("close %c", c), closer.Close())
				wantErr(t, "second close", closer.Close(), mmapfile.ErrClosed)
				open[c] = false
				useAll(t, f, m, v, open)
			}
		})
	}
}

// useAll uses what is open, and sees an error from what is not.
func useAll(t *testing.T, f *mmapfile.File, m *mmapfile.Mapping, v *mmapfile.View,
	open map[rune]bool) {
	t.Helper()
	_, ferr := f.WriteAt([]byte("x"), 0)
	w, merr := m.View(mmapfile.Write, 10, 20)
	if merr == nil {
		copy(w.Bytes(), "second view")
		noErr(t, "close second view", w.Close())
	}
	_, verr := v.WriteAt([]byte("y"), 1)
	for c, err := range map[rune]error{'f': ferr, 'm': merr, 'v': verr} {
		if open[c] {
			noErr(t, fmt.Sprintf("use %c", c), err)
		} else {
			wantErr(t, fmt.Sprintf("use %c after close", c), err, mmapfile.ErrClosed)
		}
	}
	if !open['v'] && v.Bytes() != nil {
		t.Error("bytes after close")
	}
}
