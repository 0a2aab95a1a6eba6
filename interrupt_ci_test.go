//go:build ci && linux

package mapleaf

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Calls that the system interrupts (EINTR): strace makes every second, third or fifth of
// them end so in a real process, which makes each again and tells nobody. Of the calls that
// the others make, mmap, munmap and close never end so: the first two do not wait, and the
// last has given the descriptor back whatever it returns.

const interruptEnv = "MAPLEAF_INTERRUPT_TEST_FILE"

func init() { testChildren[interruptEnv] = interruptChild }

// interruptChild works on the file in several ways, and never returns nil.
func interruptChild(path string) error {
	work, n := &powerWork{seed: 3}, uint64(0)
	for i, o := range []*Options{
		{LogSize: -1}, {logAtOnce: true, LogSize: 64 << 10, CheckpointBytes: 64 << 10}, {},
		{Lazy: true, SyncBytes: 4096},
	} {
		db, err := Open(path, 0o600, o)
		if err != nil {
			return err
		}
		for range 6 {
			if n, err = work.step(db, nil); err != nil {
				return err
			}
		}
		_, err = work.compare(db, n, n)
		if i%2 == 1 {
			err = errors.Join(err, abandon(db))
		} else {
			err = errors.Join(err, checkErrors(db), db.Close())
		}
		if err != nil {
			return err
		}
	}
	fmt.Println("fine")
	return nil
}

func TestInterruptedCalls(t *testing.T) {
	const calls = "openat,pread64,pwrite64,pwritev,pwritev2,fdatasync,fsync,fallocate,ftruncate," +
		"sync_file_range,fcntl,fstat,newfstatat,statx,renameat,renameat2,unlinkat,linkat"
	for _, when := range []string{"1+2", "2+3", "3+5"} {
		path := filepath.Join(t.TempDir(), "interrupted.db")
		child, err := childCommand(interruptEnv + "=" + path)
		if err != nil {
			t.Fatal(err)
		}
		log := filepath.Join(t.TempDir(), "trace")
		args := append([]string{"-f", "-qq", "-o", log, "-e", "trace=" + calls, "-P", path,
			"-e", "inject=" + calls + ":error=EINTR:when=" + when}, child.Args...)
		traced := exec.Command("strace", args...)
		traced.Env = child.Env
		said, err := traced.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(said), "fine\n") {
			t.Fatalf("every %s: %v: %s", when, err, said)
		}
		out, err := exec.Command("grep", "-c", "INJECTED", log).Output()
		if n := strings.TrimSpace(string(out)); err != nil || len(n) < 2 {
			t.Errorf("every %s: only %s calls were interrupted", when, n)
		}
		t.Logf("every %s: %s calls were interrupted", when, strings.TrimSpace(string(out)))
	}
}
