package mmapfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func init() {
	// lock FILE: locks byte 0 exclusively, and lets go when told to.
	children["lock"] = func(c *childIO, args []string) error {
		f, err := mmapfile.Open(args[0], mmapfile.Options{Access: mmapfile.ReadWrite})
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Lock(context.Background(), 0, 1, true); err != nil {
			return err
		}
		c.say("locked")
		if _, err := c.hear(); err != nil {
			return nil
		}
		return f.Unlock(0, 1)
	}
}

func tryT(t *testing.T, f *mmapfile.File, off, n int64, exclusive, want bool) {
	t.Helper()
	got, err := f.TryLock(off, n, exclusive)
	noErr(t, "try", err)
	if got != want {
		t.Fatalf("try [%d, +%d) exclusive %v: %v", off, n, exclusive, got)
	}
}

func TestLocksExclude(t *testing.T) {
	a, path := create(t, 100)
	b := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	tryT(t, a, 10, 10, true, true)
	tryT(t, b, 10, 10, true, false)
	tryT(t, b, 10, 10, false, false)
	noErr(t, "unlock", a.Unlock(10, 10))
	tryT(t, a, 10, 10, false, true)
	tryT(t, b, 10, 10, false, true)
	noErr(t, "unlock", b.Unlock(10, 10))
	tryT(t, b, 10, 10, true, false)
	noErr(t, "close", a.Close())
	tryT(t, b, 10, 10, true, true)
}

func TestCloseReleasesLocksUnderMapping(t *testing.T) {
	a, path := create(t, 100)
	b := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	viewT(t, mapT(t, a, mmapfile.MapOptions{}), mmapfile.Read, 0, 0)
	tryT(t, a, 1000, 0, true, true)
	noErr(t, "close", a.Close())
	tryT(t, b, 1000, 0, true, true)
}

// Opening and closing the same file elsewhere in the process releases nothing,
// as it would with the locks of POSIX.
func TestLocksSurviveAnotherClose(t *testing.T) {
	a, path := create(t, 1)
	b := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	tryT(t, a, 0, 1, true, true)
	c := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	tryT(t, c, 0, 1, true, false)
	noErr(t, "close", c.Close())
	osf, err := mmapfile.OpenOS(path, os.O_RDWR, 0)
	noErr(t, "open", err)
	noErr(t, "close", osf.Close())
	tryT(t, b, 0, 1, false, false)
}

func TestLockWaits(t *testing.T) {
	a, path := create(t, 1)
	b := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	tryT(t, a, 0, 1, true, true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := b.Lock(ctx, 0, 1, true)
	wantErr(t, "lock", err, mmapfile.ErrLocked, context.DeadlineExceeded)
	done := make(chan error)
	go func() { done <- b.Lock(t.Context(), 0, 1, true) }()
	noErr(t, "unlock", a.Unlock(0, 1))
	noErr(t, "lock", <-done)
	go func() { done <- a.Lock(t.Context(), 0, 1, true) }()
	noErr(t, "close", a.Close())
	wantErr(t, "lock of a closed file", <-done, mmapfile.ErrClosed)
}

func TestLockBetweenProcesses(t *testing.T) {
	f, path := create(t, 1)
	c := startChild(t, "lock", path)
	c.expect("locked")
	tryT(t, f, 0, 1, true, false)
	c.say("unlock")
	c.finish()
	tryT(t, f, 0, 1, true, true)
	noErr(t, "unlock", f.Unlock(0, 1))
	c = startChild(t, "lock", path)
	c.expect("locked")
	tryT(t, f, 0, 1, false, false)
	c.kill()
	tryT(t, f, 0, 1, false, true)
}

// A lock is converted in both directions, and a conversion that fails leaves it.
func TestLockConverts(t *testing.T) {
	a, path := create(t, 1)
	b := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	tryT(t, a, 0, 1, false, true)
	tryT(t, b, 0, 1, false, true)
	tryT(t, a, 0, 1, true, false)
	noErr(t, "unlock", b.Unlock(0, 1))
	tryT(t, b, 0, 1, true, false) // a is still there
	tryT(t, a, 0, 1, true, true)
	tryT(t, a, 0, 1, true, true)
	tryT(t, b, 0, 1, false, false)
	tryT(t, a, 0, 1, false, true)
	tryT(t, b, 0, 1, true, false)
	tryT(t, b, 0, 1, false, true)
	noErr(t, "unlock", a.Unlock(0, 1))
	tryT(t, b, 0, 1, true, true)
}

func TestLockRanges(t *testing.T) {
	f, _ := create(t, 1)
	for _, c := range []struct {
		off, n int64
		want   error
	}{{-1, 1, mmapfile.ErrRange}, {0, -1, mmapfile.ErrRange}, {1 << 62, 1, mmapfile.ErrTooLarge},
		{1, 1 << 62, mmapfile.ErrTooLarge}} {
		_, err := f.TryLock(c.off, c.n, true)
		wantErr(t, "try", err, c.want)
		wantErr(t, "unlock", f.Unlock(c.off, c.n), c.want)
		wantErr(t, "lock", f.Lock(t.Context(), c.off, c.n, true), c.want)
	}
}

func init() {
	// open FILE SHARE ACCESS: opens and says what came of it, until told to end.
	children["open"] = func(c *childIO, args []string) error {
		o := mmapfile.Options{
			Share: mmapfile.Share(args[1][0] - '0'), Access: mmapfile.Access(args[2][0] - '0'),
		}
		f, err := mmapfile.Open(args[0], o)
		if errors.Is(err, mmapfile.ErrSharing) {
			c.say("sharing")
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		c.say("open")
		c.hear()
		return nil
	}
}

// conflict is the rule of CreateFile: each handle must share what the other has.
func conflict(a1 mmapfile.Access, s1 mmapfile.Share, a2 mmapfile.Access, s2 mmapfile.Share) bool {
	allows := func(s mmapfile.Share, a mmapfile.Access) bool {
		if s == mmapfile.ShareNone {
			return false
		}
		return (a&mmapfile.Read == 0 || s&mmapfile.ShareRead != 0) &&
			(a&mmapfile.Write == 0 || s&mmapfile.ShareWrite != 0)
	}
	return !allows(s1, a2) || !allows(s2, a1)
}

func TestShareModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	openT(t, path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew,
	}).Close()
	accesses := []mmapfile.Access{mmapfile.Read, mmapfile.Write, mmapfile.ReadWrite}
	for s1 := mmapfile.Share(1); s1 <= mmapfile.ShareNone; s1++ {
		for s2 := mmapfile.Share(1); s2 <= mmapfile.ShareNone; s2++ {
			for _, a1 := range accesses {
				f, err := mmapfile.Open(path, mmapfile.Options{Access: a1, Share: s1})
				noErr(t, "first open", err)
				for _, a2 := range accesses {
					g, err := mmapfile.Open(path, mmapfile.Options{Access: a2, Share: s2})
					if (err != nil) != conflict(a1, s1, a2, s2) {
						t.Fatalf("access %d share %d, then access %d share %d: %v", a1, s1, a2, s2, err)
					}
					if err != nil {
						wantErr(t, "second open", err, mmapfile.ErrSharing)
						continue
					}
					noErr(t, "close", g.Close())
				}
				noErr(t, "close", f.Close())
			}
		}
	}
}

// DeleteOnClose is an access that the others must share.
func TestShareDelete(t *testing.T) {
	_, path := create(t, 0)
	other := filepath.Join(filepath.Dir(path), "other")
	for _, share := range []mmapfile.Share{
		mmapfile.ShareAll, mmapfile.ShareRead | mmapfile.ShareWrite,
	} {
		f, err := mmapfile.Open(other, mmapfile.Options{
			Access: mmapfile.ReadWrite, Disposition: mmapfile.OpenAlways, Share: share,
		})
		noErr(t, "open", err)
		g, err := mmapfile.Open(other, mmapfile.Options{Flags: mmapfile.DeleteOnClose})
		if share == mmapfile.ShareAll {
			noErr(t, "open to delete", err)
			noErr(t, "close", g.Close())
		} else {
			wantErr(t, "open to delete", err, mmapfile.ErrSharing)
			if _, err := os.Stat(other); err != nil {
				t.Errorf("a refused open deleted the file: %v", err)
			}
		}
		noErr(t, "close", f.Close())
	}
}

func TestShareModeKeepsContents(t *testing.T) {
	f, path := create(t, 10)
	_, err := mmapfile.Open(path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Share: mmapfile.ShareNone, Disposition: mmapfile.CreateAlways,
	})
	wantErr(t, "open", err, mmapfile.ErrSharing)
	if size, _ := f.Size(); size != 10 {
		t.Errorf("a refused open cut the file to %d", size)
	}
}

func TestShareModeBetweenProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	o := mmapfile.Options{
		Access: mmapfile.ReadWrite, Share: mmapfile.ShareNone, Disposition: mmapfile.CreateNew,
	}
	f := openT(t, path, o)
	startChild(t, "open", path, "8", "3").expect("sharing")
	noErr(t, "close", f.Close())
	c := startChild(t, "open", path, "8", "3")
	c.expect("open")
	o.Disposition = mmapfile.OpenExisting
	_, err := mmapfile.Open(path, o)
	wantErr(t, "open", err, mmapfile.ErrSharing)
	c.kill()
	eventually(t, "open after the kill", func() bool {
		f, err := mmapfile.Open(path, o)
		return err == nil && f.Close() == nil
	})
}
