package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadTrace(t *testing.T) {
	const trace = `10 openat(AT_FDCWD, "db", O_RDWR|O_CLOEXEC) = 5
10 openat(AT_FDCWD, "db", O_RDWR|O_DSYNC|O_CLOEXEC <unfinished ...>
11 pwrite64(5, "early", 5, 0)           = 5
11 fsync(5)                             = 0
10 <... openat resumed>)                = 6
10 openat(AT_FDCWD, "x", O_WRONLY|O_SYNC) = 7
10 write(2, "mapleaf-bench begin\n", 20) = 20
10 pwrite64(5, "plain, O_SYNC", 13, 0)  = 13
10 fdatasync(5 <unfinished ...>
11 msync(0xc000, 4096, MS_ASYNC)        = 0
10 <... fdatasync resumed>)             = 0
10 pwritev(6, [{iov_base="x", iov_len=1}], 1, 0) = 1
10 pwritev2(5, [{iov_base="x", iov_len=1}], 1, 0, RWF_DSYNC) = 1
10 msync(0xc000, 4096, MS_SYNC)         = 0
10 sync_file_range(5, 0, 0, SYNC_FILE_RANGE_WRITE) = 0
10 sync_file_range(5, 0, 0, SYNC_FILE_RANGE_WRITE|SYNC_FILE_RANGE_WAIT_AFTER) = 0
10 close(6)                             = 0
10 pwrite64(6, "x", 1, 0)               = 1
10 write(7, "x", 1)                     = 1
--- SIGURG {si_signo=SIGURG, si_code=SI_TKILL} ---
10 write(2, "mapleaf-bench end\n", 18)  = 18
11 fsync(5)                             = 0
`
	got, err := readTrace(strings.NewReader(trace))
	if want := (traceCounts{calls: 11, waits: 6}); err != nil || got != want {
		t.Errorf("counts are %+v, %v; want %+v", got, err, want)
	}
	begin, _, _ := strings.Cut(trace, "--- SIGURG")
	for name, bad := range map[string]string{
		"no marks": "10 fsync(5) = 0\n",
		"no end":   begin,
		"io_uring": strings.Replace(trace, "msync(", "io_uring_enter(", 1),
	} {
		if _, err := readTrace(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: the trace is counted", name)
		}
	}
}

// TestTracedChild counts the calls of a real child where there is strace: bbolt is known
// to wait twice in each commit, for its pages and for its meta.
func TestTracedChild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	task := task{Workload: "put-1-calls", Peer: "bbolt", Dir: t.TempDir(), Scale: tinyScale}
	m, err := runTraced(context.Background(), task, path)
	if _, statErr := os.Stat(path); statErr == nil {
		t.Error("the trace is left behind")
	}
	if traceable() != nil {
		if err == nil {
			t.Errorf("counts without strace: %v", m)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if m[waitsPerOp] != 2 || m[callsPerOp] < 4 || m[callsPerOp] > 40 || len(m) != 2 {
		t.Errorf("counts are %v, want 2 waits and some more calls", m)
	}
}
