package mmapfile_test

import (
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

func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	noErr(t, "read", err)
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
}
