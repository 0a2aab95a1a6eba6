//go:build ci && linux

package mapleaf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Disks that are full for real: small file systems, mounted for the test, which takes
// root. What cannot be mounted here is said by name, and that none can be is a failure.

// smallDisks mounts what can be mounted, each with some megabytes of room.
func smallDisks(t *testing.T) (dirs map[string]string) {
	t.Helper()
	dirs = map[string]string{}
	mount := func(name string, args ...string) {
		dir := t.TempDir()
		if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
			t.Logf("NOT TESTED: a full %s, which cannot be mounted here: %v: %s", name, err, out)
			return
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		dirs[name] = dir
	}
	mount("tmpfs", "-t", "tmpfs", "-o", "size=3m", "none")
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	mkfs := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", image)
	if out, err := mkfs.CombinedOutput(); err != nil {
		t.Logf("NOT TESTED: a full ext4: mkfs.ext4: %v: %s", err, out)
	} else {
		mount("ext4", "-o", "loop", image)
	}
	if len(dirs) == 0 {
		t.Fatal("no small file system can be mounted here, so nothing was tested")
	}
	return dirs
}

// ballast fills the disk of dir but for so many bytes.
func ballast(t *testing.T, dir string, rest int64) string {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	if err := os.WriteFile(path, make([]byte, max(0, free-rest)), 0o600); err != nil &&
		!errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return path
}

func TestFullDisk(t *testing.T) {
	for name, dir := range smallDisks(t) {
		for mode, o := range map[string]Options{
			"pages": {LogSize: -1}, "log": {logAtOnce: true, LogSize: 256 << 10},
			"lazy": {Lazy: true, LogSize: 256 << 10}, "nosync": {NoSync: true, LogSize: -1},
			"spill": {CheckpointBytes: 64 << 10, logAtOnce: true, LogSize: 256 << 10},
		} {
			t.Run(name+" "+mode, func(t *testing.T) { fillDisk(t, filepath.Join(dir, mode), o) })
		}
		t.Run(name+" creation", func(t *testing.T) { createOnFullDisk(t, dir) })
	}
}

// fillDisk writes until the disk is full, reads, makes room, and writes again.
func fillDisk(t *testing.T, dir string, o Options) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "full.db")
	db, err := Open(path, 0o600, &o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { db.Close() }()
	r := testRand(t, 900)
	m := model{}.mustUpdate(t, db, r, 50)
	heavy := ballast(t, dir, 300<<10)
	var next model
	for i := range 3000 {
		if next, err = m.grow(db, i, 20); err != nil {
			break
		}
		m = next
	}
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "full.db") {
		t.Fatalf("the disk is full, and a commit gives %v", err)
	}
	t.Logf("%d records, then %v", len(m), err)
	if err := m.compare(db); err != nil {
		t.Errorf("reading on: %v", err)
	}
	if err := os.Remove(heavy); err != nil {
		t.Fatal(err)
	}
	if db.store.failed() != nil {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if db, err = Open(path, 0o600, &o); err != nil {
			t.Fatal(err)
		}
		if m.compare(db) != nil { // or what was under way came to be
			m = next
		}
	}
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		m = m.mustUpdate(t, db, r, 20)
	}
	if err := errors.Join(m.compare(db), checkErrors(db), db.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(path, 0o600, &o); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.compare(db), checkErrors(db)); err != nil {
		t.Fatal(err)
	}
}

// createOnFullDisk creates a database where there is no room for it, or not for all
// that belongs to it.
func createOnFullDisk(t *testing.T, dir string) {
	heavy := ballast(t, dir, 0)
	file, err := os.OpenFile(heavy, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	path := filepath.Join(dir, "new.db")
	failures := 0
	for {
		db, err := Open(path, 0o600, nil)
		if err == nil {
			_, err = model{}.update(db, testRand(t, 901), 5)
			err = errors.Join(err, db.Close())
		}
		if err == nil {
			break
		}
		failures++
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("creation on a full disk: %v", err)
		}
		left, _ := filepath.Glob(path + ".*")
		if len(left) > 0 {
			t.Fatalf("a failed creation has left %v", left)
		}
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Truncate(max(0, info.Size()-8<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if failures < 3 {
		t.Errorf("creation failed only %d times", failures)
	}
	for _, p := range []string{path, path + lockFileSuffix, heavy} {
		if err := os.Remove(p); err != nil {
			t.Error(err)
		}
	}
}
