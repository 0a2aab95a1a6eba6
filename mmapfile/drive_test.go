package mmapfile_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// What was synced is on the drive, also beyond what one read takes.
func TestDrive(t *testing.T) {
	f, _ := create(t, 0)
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(i >> 12)
	}
	noErr(t, "write", f.WriteVec([][]byte{want}, 0))
	noErr(t, "sync", f.Sync())
	d, err := f.Drive()
	if errors.Is(err, mmapfile.ErrUnsupported) {
		return // the file system of the temporary folder has no such reads
	}
	noErr(t, "open", err)
	got := make([]byte, len(want))
	n, err := d.ReadAt(got, 0)
	if n != len(want) || err != nil && err != io.EOF || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, %v, the right ones: %t", n, err, bytes.Equal(got, want))
	}
	if n, err := d.ReadAt(got[:8192], 3<<20-4096); n != 4096 || err != io.EOF {
		t.Fatalf("read %d bytes over the end, %v", n, err)
	}
	noErr(t, "close", d.Close())
}
