package mmapfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func TestOpenDispositions(t *testing.T) {
	const rw = mmapfile.ReadWrite
	cases := []struct {
		name   string
		d      mmapfile.Disposition
		exists bool
		want   error
		text   string // what the file holds afterwards
	}{
		{"existing", mmapfile.OpenExisting, true, nil, "old"},
		{"existing, none", mmapfile.OpenExisting, false, fs.ErrNotExist, ""},
		{"always", mmapfile.OpenAlways, true, nil, "old"},
		{"always, none", mmapfile.OpenAlways, false, nil, ""},
		{"new", mmapfile.CreateNew, true, fs.ErrExist, "old"},
		{"new, none", mmapfile.CreateNew, false, nil, ""},
		{"create", mmapfile.CreateAlways, true, nil, ""},
		{"create, none", mmapfile.CreateAlways, false, nil, ""},
		{"truncate", mmapfile.TruncateExisting, true, nil, ""},
		{"truncate, none", mmapfile.TruncateExisting, false, fs.ErrNotExist, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if c.exists {
				noErr(t, "write", os.WriteFile(path, []byte("old"), 0o600))
			}
			f, err := mmapfile.Open(path, mmapfile.Options{Access: rw, Disposition: c.d})
			if c.want != nil {
				wantErr(t, "open", err, c.want)
				if _, err := os.Stat(path); c.exists == (err != nil) {
					t.Errorf("stat after failed open: %v", err)
				}
				return
			}
			noErr(t, "open", err)
			noErr(t, "close", f.Close())
			got, err := os.ReadFile(path)
			noErr(t, "read", err)
			if string(got) != c.text {
				t.Errorf("file holds %q, want %q", got, c.text)
			}
		})
	}
}

func TestOpenRefusesContradictions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	bad := []mmapfile.Options{
		{Access: mmapfile.Copy},
		{Access: mmapfile.Read, Disposition: mmapfile.CreateAlways},
		{Access: mmapfile.Read, Disposition: mmapfile.TruncateExisting},
		{Disposition: 9},
		{Share: 1 << 5},
		{Flags: 1 << 14},
		{Flags: mmapfile.RandomAccess | mmapfile.SequentialScan},
	}
	for _, o := range bad {
		_, err := mmapfile.Open(path, o)
		wantErr(t, fmt.Sprintf("open with %+v", o), err, mmapfile.ErrInvalid, fs.ErrInvalid)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused open left a file: %v", err)
	}
	_, err := mmapfile.Open(t.TempDir(), mmapfile.Options{})
	if err == nil {
		t.Error("a directory was opened")
	}
	_, err = mmapfile.FromOS(nil, mmapfile.Read)
	wantErr(t, "FromOS(nil)", err, mmapfile.ErrInvalid)
}

func TestReadWrite(t *testing.T) {
	f, path := create(t, 0)
	if n, err := f.WriteAt([]byte("hello, world"), 4); n != 12 || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	p := make([]byte, 20)
	n, err := f.ReadAt(p, 0)
	if n != 16 || err != io.EOF || string(p[:n]) != "\x00\x00\x00\x00hello, world" {
		t.Fatalf("read: %d, %v, %q", n, err, p[:n])
	}
	size, err := f.Size()
	if size != 16 || err != nil {
		t.Fatalf("size: %d, %v", size, err)
	}
	noErr(t, "sync", f.Sync())
	if f.Name() != path {
		t.Errorf("name %q", f.Name())
	}
	r := openT(t, path, mmapfile.Options{})
	if r.Access() != mmapfile.Read {
		t.Errorf("access %v", r.Access())
	}
	_, err = r.WriteAt([]byte("x"), 0)
	wantErr(t, "write to a file open for reading", err)
}

func TestFromOS(t *testing.T) {
	osf, err := os.Create(filepath.Join(t.TempDir(), "f"))
	noErr(t, "create", err)
	f, err := mmapfile.FromOS(osf, mmapfile.ReadWrite)
	noErr(t, "from os", err)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: 100})
	v := viewT(t, m, mmapfile.Write, 0, 0)
	copy(v.Bytes(), "mapped")
	noErr(t, "close", f.Close())
	if _, err := osf.Write([]byte("x")); err == nil && v.Len() == 0 {
		t.Error("the os.File is not owned")
	}
}

func TestWriteVec(t *testing.T) {
	r := newRand(t, 11)
	for _, count := range []int{0, 1, 3, 1024, 1025, 3000} {
		f, path := create(t, 0)
		var bufs [][]byte
		var want []byte
		for range count {
			b := make([]byte, r.IntN(300)*r.IntN(2))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			bufs, want = append(bufs, b), append(want, b...)
		}
		bufs = append(bufs, make([]byte, 200<<10))
		want = append(want, bufs[count]...)
		noErr(t, "write", f.WriteVec(bufs, 77))
		noErr(t, "write durably", f.WriteVecDurable(bufs, 77+int64(len(want))))
		noErr(t, "start writing back", f.StartWriteBack(0, 77))
		noErr(t, "write back", f.WriteBack(0, 77))
		got, err := os.ReadFile(path)
		noErr(t, "read", err)
		if !bytes.Equal(got[77:], append(want, want...)) {
			t.Fatalf("%d buffers: file differs", count)
		}
	}
	f, _ := create(t, 0)
	wantErr(t, "negative offset", f.WriteVec(nil, -1), mmapfile.ErrRange)
	wantErr(t, "negative offset", f.WriteVecDurable(nil, -1), mmapfile.ErrRange)
	wantErr(t, "negative offset", f.WriteBack(-1, 1), mmapfile.ErrRange)
	wantErr(t, "negative offset", f.StartWriteBack(-1, 1), mmapfile.ErrRange)
}

func TestClosedFile(t *testing.T) {
	f, _ := create(t, 10)
	noErr(t, "close", f.Close())
	_, readErr := f.ReadAt(make([]byte, 1), 0)
	_, writeErr := f.WriteAt([]byte("x"), 0)
	_, sizeErr := f.Size()
	_, idErr := f.Identity()
	_, mapErr := f.Map(mmapfile.MapOptions{})
	_, lockErr := f.TryLock(0, 1, true)
	for what, err := range map[string]error{
		"close": f.Close(), "read": readErr, "write": writeErr, "size": sizeErr, "map": mapErr,
		"identity": idErr, "sync": f.Sync(), "truncate": f.Truncate(0), "lock": lockErr,
		"allocate": f.Allocate(1), "unlock": f.Unlock(0, 1), "vec": f.WriteVec(nil, 0),
	} {
		wantErr(t, what+" after close", err, mmapfile.ErrClosed, fs.ErrClosed)
	}
}

func TestIdentity(t *testing.T) {
	f, path := create(t, 0)
	id, err := f.Identity()
	noErr(t, "identity", err)
	link := filepath.Join(filepath.Dir(path), "link")
	noErr(t, "link", os.Link(path, link))
	byPath, err := mmapfile.PathIdentity(link)
	noErr(t, "path identity", err)
	if byPath != id {
		t.Errorf("link has identity %v, file %v", byPath, id)
	}
	g, _ := create(t, 0)
	if other, _ := g.Identity(); other == id {
		t.Error("two files with one identity")
	}
	_, err = mmapfile.PathIdentity(path + "-none")
	wantErr(t, "identity of nothing", err, fs.ErrNotExist)
}

func TestDeleteOnClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	o := mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew, Flags: mmapfile.DeleteOnClose,
	}
	f := openT(t, path, o)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("before close: %v", err)
	}
	noErr(t, "close", f.Close())
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("after close: %v", err)
	}
}

func init() {
	// doom FILE: makes a file that shall go when it is closed, and waits.
	children["doom"] = func(c *childIO, args []string) error {
		_, err := mmapfile.Open(args[0], mmapfile.Options{
			Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew,
			Flags: mmapfile.DeleteOnClose,
		})
		if err != nil {
			return err
		}
		c.say("made")
		c.hear()
		return nil
	}
}

// Where the system deletes on close, it does so for a killed process; where this
// package does, the file stays, and the next who asks for it removes it.
func TestDeleteOnCloseOfKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	c := startChild(t, "doom", path)
	c.expect("made")
	c.kill()
	if systemDeletes {
		eventually(t, "the file goes with its process", func() bool {
			_, err := os.Stat(path)
			return errors.Is(err, fs.ErrNotExist)
		})
		return
	}
	f := openT(t, path, mmapfile.Options{Flags: mmapfile.DeleteOnClose})
	noErr(t, "close", f.Close())
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after close: %v", err)
	}
}

func TestHints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	noErr(t, "write", os.WriteFile(path, make([]byte, 8192), 0o600))
	for _, flags := range []mmapfile.Flags{
		mmapfile.Temporary, mmapfile.WriteThrough, mmapfile.RandomAccess,
		mmapfile.SequentialScan, mmapfile.Hidden, mmapfile.Inherit,
	} {
		f, err := mmapfile.Open(path, mmapfile.Options{Access: mmapfile.ReadWrite, Flags: flags})
		noErr(t, "open", err)
		if _, err := f.WriteAt([]byte("x"), 0); err != nil {
			t.Errorf("flags %b: %v", flags, err)
		}
		noErr(t, "close", f.Close())
	}
}

func TestReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := openT(t, path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew, Flags: mmapfile.ReadOnlyFile,
	})
	_, err := f.WriteAt([]byte("x"), 0)
	noErr(t, "write through the creating handle", err)
	info, err := os.Stat(path)
	noErr(t, "stat", err)
	if info.Mode()&0o222 != 0 {
		t.Errorf("mode %v", info.Mode())
	}
	noErr(t, "close", f.Close())
	noErr(t, "chmod", os.Chmod(path, 0o600)) // so that TempDir can be removed on Windows
}
