//go:build unix

package mapleaf_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	mapleaf "github.com/mapleafdb/mapleaf"
)

// TestFileModes looks at every file that the database opens or makes, while it does:
// none is ever wider than what was asked for, temporary files and the lock file among
// them.
func TestFileModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o660} {
		dir := t.TempDir()
		made := map[string]bool{}
		o := &mapleaf.Options{NoSync: true}
		o.OpenFile = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if flag&os.O_CREATE != 0 {
				made[filepath.Base(name)[:4]] = true
				if flag&os.O_EXCL == 0 {
					t.Errorf("%s is made without O_EXCL: it may be a link of somebody else's", name)
				}
				wantAtMost(t, name, mode)
			}
			return f, err
		}
		path := filepath.Join(dir, "data")
		a, err := mapleaf.Open(path, mode, o)
		must(t, err)
		b, err := mapleaf.Open(path, mode, o)
		must(t, err)
		for _, db := range []*mapleaf.DB{a, b} {
			must(t, db.Update(func(tx *mapleaf.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("b"))
				must(t, err)
				return b.Put([]byte("k"), []byte("v"))
			}))
		}
		must(t, a.View(func(tx *mapleaf.Tx) error {
			return tx.CopyFile(filepath.Join(dir, "copy"), mode)
		}))
		must(t, a.Close())
		must(t, b.Close())
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			wantAtMost(t, filepath.Join(dir, e.Name()), mode)
		}
		if len(entries) < 3 || !made["data"] || !made["copy"] {
			t.Errorf("files %v, made through OpenFile %v", entries, made)
		}
	}
}

// A spy is a context that looks around whenever somebody asks whether it is done.
type spy struct {
	context.Context
	look func()
}

func (s spy) Err() error {
	s.look()
	return s.Context.Err()
}

// TestCopyModes looks at what salvage and surgery make of a file: the copy, and before
// that the file under another name, never let others do more than the source does. (Its
// owner may do more to it until it is whole.)
func TestCopyModes(t *testing.T) {
	content := newSpecimen(t, "killed", 0).content
	copies := map[string]func(ctx context.Context, dst, src string) error{
		"Salvage": func(ctx context.Context, dst, src string) error {
			_, err := mapleaf.Salvage(ctx, dst, src, &mapleaf.SalvageOptions{Overwrite: true})
			return err
		},
		"RevertMeta": func(ctx context.Context, dst, src string) error {
			_, err := mapleaf.RevertMeta(ctx, dst, src, &mapleaf.SurgeryOptions{Overwrite: true})
			return err
		},
		"DropLog": func(ctx context.Context, dst, src string) error {
			_, err := mapleaf.DropLog(ctx, dst, src, &mapleaf.SurgeryOptions{Overwrite: true})
			return err
		},
	}
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for name, makeCopy := range copies {
		for _, mode := range []fs.FileMode{0o600, 0o640, 0o664, 0o444, 0o400} {
			for _, umask := range []int{0, 0o077} {
				syscall.Umask(0)
				dir := t.TempDir()
				src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
				must(t, os.WriteFile(src, content, 0o600))
				must(t, os.Chmod(src, mode))
				must(t, os.WriteFile(dst, nil, 0o666)) // which the copy replaces
				temps := 0
				ctx := spy{context.Background(), func() { temps += wantTempsAtMost(t, dir, mode) }}
				syscall.Umask(umask)
				if err := makeCopy(ctx, dst, src); err != nil {
					t.Fatalf("%s of a file of mode %v: %v", name, mode, err)
				}
				info, err := os.Stat(dst)
				must(t, err)
				if want := mode &^ fs.FileMode(umask); info.Mode() != want {
					t.Errorf("%s: a copy of mode %v, want %v", name, info.Mode(), want)
				}
				if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 || temps == 0 {
					t.Errorf("%s: %v are left, %v; %d were seen", name, entries, err, temps)
				}
			}
		}
	}
}

// wantTempsAtMost counts the files that a copy has in the folder while it is made, and
// fails the test if one allows others more than mode.
func wantTempsAtMost(t *testing.T, dir string, mode fs.FileMode) (count int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if e.Name() == "src" || e.Name() == "dst" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it is gone
		}
		count++
		if wide := info.Mode().Perm() &^ (mode | 0o600); wide != 0 {
			t.Errorf("%s has mode %v, the source %v", e.Name(), info.Mode().Perm(), mode)
		}
	}
	return count
}

// wantAtMost fails the test if a file allows more than mode.
func wantAtMost(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	if wide := info.Mode().Perm() &^ mode; wide != 0 {
		t.Errorf("%s has mode %v, where %v was asked for", path, info.Mode().Perm(), mode)
	}
}

// TestLinksInSharedFolder has somebody else put links and other things where the
// database is about to make its files.
func TestLinksInSharedFolder(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	for name, plant := range map[string]func(at string) error{
		"link":          func(at string) error { return os.Symlink(victim, at) },
		"dangling link": func(at string) error { return os.Symlink(filepath.Join(dir, "new"), at) },
		"hard link":     func(at string) error { return os.Link(victim, at) },
		"folder":        func(at string) error { return os.Mkdir(at, 0o700) },
		"pipe":          func(at string) error { return unix.Mkfifo(at, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			must(t, plant(path+"-lock"))
			err := within(t, func() error {
				db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
				if err == nil {
					err = fmt.Errorf("opened; close: %v", db.Close())
				}
				return err
			})
			if err == nil || !strings.Contains(err.Error(), path+"-lock") {
				t.Errorf("the lock file is a %s: %v", name, err)
			}
			content, err := os.ReadFile(victim)
			must(t, err)
			if _, gone := os.Stat(filepath.Join(dir, "new")); gone == nil ||
				string(content) != "precious" {
				t.Errorf("a link at the lock file was followed: %q", content)
			}
		})
	}
	t.Run("copy", func(t *testing.T) {
		db := openDB(t, noSync)
		to := filepath.Join(t.TempDir(), "copy")
		must(t, os.Symlink(victim, to))
		db.MustView(func(tx *mapleaf.Tx) error { return tx.CopyFile(to, 0o600) })
		content, err := os.ReadFile(victim)
		must(t, err)
		if string(content) != "precious" {
			t.Errorf("CopyFile has followed a link")
		}
	})
	t.Run("wide lock file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		must(t, os.WriteFile(path+"-lock", nil, 0o600))
		must(t, os.Chmod(path+"-lock", 0o666))
		db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
		must(t, err)
		must(t, db.Close())
		wantAtMost(t, path+"-lock", 0o600)
	})
	for _, readOnly := range []bool{false, true} {
		t.Run(fmt.Sprint("pipe for a file ", readOnly), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			must(t, unix.Mkfifo(path, 0o600))
			err := within(t, func() error {
				_, err := mapleaf.Open(path, 0o600, &mapleaf.Options{ReadOnly: readOnly})
				return err
			})
			if err == nil {
				t.Error("a pipe was opened as a database")
			}
		})
	}
}

// within returns what fn returns, which must not take long.
func within(t *testing.T, fn func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for ever")
		return nil
	}
}
