package mmapfile_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func TestRename(t *testing.T) {
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	noErr(t, "write", os.WriteFile(a, []byte("A"), 0o600))
	noErr(t, "write", os.WriteFile(b, []byte("B"), 0o600))
	wantErr(t, "rename new over b", mmapfile.RenameNew(a, b), fs.ErrExist)
	holds(t, a, "A")
	holds(t, b, "B")
	noErr(t, "rename new", mmapfile.RenameNew(a, c))
	holds(t, c, "A")
	noErr(t, "rename", mmapfile.Rename(c, b))
	holds(t, b, "A")
	for _, gone := range []string{a, c} {
		wantErr(t, "rename nothing", mmapfile.Rename(gone, b), fs.ErrNotExist)
		wantErr(t, "rename nothing", mmapfile.RenameNew(gone, a), fs.ErrNotExist)
	}
	noErr(t, "sync", mmapfile.SyncDir(dir))
}

// A file that is open is replaced all the same, and whoever has it open keeps
// what it was.
func TestRenameOverOpenFile(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "new"), filepath.Join(dir, "old")
	noErr(t, "write", os.WriteFile(from, []byte("new"), 0o600))
	noErr(t, "write", os.WriteFile(to, []byte("old"), 0o600))
	f := openT(t, to, mmapfile.Options{Access: mmapfile.ReadWrite})
	osf, err := mmapfile.OpenOS(to, os.O_RDWR, 0)
	noErr(t, "open", err)
	closeLater(t, osf)
	err = mmapfile.Rename(from, to)
	if !alwaysReplaces && err != nil {
		wantErr(t, "rename", err, fs.ErrPermission)
		holds(t, to, "old")
		holds(t, from, "new")
		return
	}
	noErr(t, "rename", err)
	holds(t, to, "new")
	p := make([]byte, 3)
	for _, r := range []io.ReaderAt{f, osf} {
		if _, err := r.ReadAt(p, 0); err != nil || string(p) != "old" {
			t.Errorf("the open file reads %q, %v", p, err)
		}
	}
	now, err := mmapfile.PathIdentity(to)
	noErr(t, "identity", err)
	if was, _ := f.Identity(); was == now {
		t.Error("both files have one identity")
	}
}

func TestOpenOS(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	_, err := mmapfile.OpenOS(path, os.O_RDWR, 0)
	wantErr(t, "open nothing", err, fs.ErrNotExist)
	for _, c := range []struct {
		flag int
		want string // after "text" was written
	}{
		{os.O_RDWR | os.O_CREATE | os.O_EXCL, "text"},
		{os.O_WRONLY, "text"},
		{os.O_RDWR | os.O_CREATE | os.O_SYNC, "text"},
		{os.O_RDWR | os.O_CREATE | os.O_TRUNC, ""},
		{os.O_RDWR | os.O_TRUNC, ""},
		{os.O_RDONLY, "text"},
	} {
		f, err := mmapfile.OpenOS(path, c.flag, 0o600)
		noErr(t, "open", err)
		noErr(t, "close", f.Close())
		if c.flag != os.O_RDWR|os.O_CREATE|os.O_EXCL {
			holds(t, path, c.want)
		}
		noErr(t, "write", os.WriteFile(path, []byte("text"), 0o600))
	}
	_, err = mmapfile.OpenOS(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0)
	wantErr(t, "create what is there", err, fs.ErrExist)
	_, err = mmapfile.OpenOS(path, os.O_RDWR|os.O_APPEND, 0)
	wantErr(t, "append", err, mmapfile.ErrInvalid)
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	noErr(t, "read", err)
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
}
