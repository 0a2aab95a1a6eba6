package mmapfile_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// filled makes a mapping of a file that holds one byte again and again.
func filled(t *testing.T, b byte, size int) *mmapfile.Mapping {
	t.Helper()
	f, _ := create(t, size)
	_, err := f.WriteAt(bytes.Repeat([]byte{b}, size), 0)
	noErr(t, "write", err)
	return mapT(t, f, mmapfile.MapOptions{})
}

// While somebody reads, the view is closed and another file takes its place in
// memory: nobody gets bytes of that.
func TestReadWhileClosedAndReplaced(t *testing.T) {
	const size = 1 << 16
	mappings := []*mmapfile.Mapping{filled(t, 'a', size), filled(t, 'b', size)}
	want := [][]byte{bytes.Repeat([]byte{'a'}, size), bytes.Repeat([]byte{'b'}, size)}
	for i := range 300 {
		v, err := mappings[i%2].View(mmapfile.Read, 0, 0)
		noErr(t, "view", err)
		begun := make(chan struct{})
		var ended sync.WaitGroup
		ended.Go(func() {
			p := make([]byte, size)
			n, err := v.ReadAt(p, 0)
			close(begun)
			for ; err == nil; n, err = v.ReadAt(p, 0) {
				if n != size || !bytes.Equal(p, want[i%2]) {
					t.Errorf("read %d bytes, of another file", n)
					return
				}
			}
			wantErr(t, "read", err, mmapfile.ErrClosed)
			if n != 0 {
				t.Errorf("%d bytes read from a closed view", n)
			}
		})
		<-begun
		noErr(t, "close", v.Close())
		w, err := mappings[1-i%2].View(mmapfile.Read, 0, 0)
		noErr(t, "view", err)
		ended.Wait()
		noErr(t, "close", w.Close())
	}
}

// Reading by calls allocates nothing, and works inside a guard as outside.
func TestReadAtAllocatesNothing(t *testing.T) {
	v := viewT(t, filled(t, 'x', 100), mmapfile.Read, 0, 0)
	p := make([]byte, 10)
	read := func() error {
		for off, want := range map[int64]int{0: 10, 90: 10, 95: 5, 100: 0} {
			n, err := v.ReadAt(p, off)
			if n != want || (err == io.EOF) != (n < 10) || err != nil && err != io.EOF {
				t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
			}
		}
		return nil
	}
	read()
	noErr(t, "guard", mmapfile.Guard(read))
	if n := testing.AllocsPerRun(100, func() { v.ReadAt(p, 0) }); n != 0 {
		t.Errorf("ReadAt allocates %v times", n)
	}
	if n, err := v.ReadAt(nil, 0); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
}
