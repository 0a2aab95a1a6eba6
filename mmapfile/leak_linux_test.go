package mmapfile_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func mapID(id int) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
}

// resources counts what this process has open and mapped of files in dir.
func resources(t *testing.T, dir string) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	noErr(t, "read maps", err)
	count := strings.Count(string(maps), dir)
	fds, err := os.ReadDir("/proc/self/fd")
	noErr(t, "read descriptors", err)
	for _, fd := range fds {
		target, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if strings.HasPrefix(target, dir) {
			count++
		}
	}
	return count
}

// cpuTime returns how long this process has run on a processor.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var ru unix.Rusage
	noErr(t, "getrusage", unix.Getrusage(unix.RUSAGE_SELF, &ru))
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// The kernel itself says what a call was given.
func TestKernelSeesFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := openT(t, path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew,
		Flags: mmapfile.WriteThrough, Mode: 0o640,
	})
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	noErr(t, "get flags", err)
	if flags&unix.O_DSYNC == 0 {
		t.Errorf("flags %o", flags)
	}
	info, err := os.Stat(path)
	noErr(t, "stat", err)
	if info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	for want, inherit := range map[int]mmapfile.Flags{unix.FD_CLOEXEC: 0, 0: mmapfile.Inherit} {
		f := openT(t, path, mmapfile.Options{Flags: inherit})
		if got, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); got != want || err != nil {
			t.Errorf("descriptor flags %d, %v, want %d", got, err, want)
		}
	}
	_, err = mmapfile.Open(path, mmapfile.Options{Security: "D:(A;;GA;;;WD)"})
	wantErr(t, "a security descriptor", err, mmapfile.ErrUnsupported)
}

// A child that got no handle on purpose has none by accident.
func TestDescriptorsAreNotInherited(t *testing.T) {
	f, path := create(t, 10)
	viewT(t, mapT(t, f, mmapfile.MapOptions{}), mmapfile.Read, 0, 0)
	out, err := exec.Command("ls", "-l", "/proc/self/fd").CombinedOutput()
	noErr(t, fmt.Sprintf("ls: %s", out), err)
	if strings.Contains(string(out), path) {
		t.Errorf("the child has the file:\n%s", out)
	}
}

// Allocate has room set aside on the disk, and Sparse has not.
func TestAllocateTakesRoom(t *testing.T) {
	const size = 1 << 20
	blocks := func(path string) int64 {
		var st unix.Stat_t
		noErr(t, "stat", unix.Stat(path, &st))
		return st.Blocks * 512
	}
	f, path := create(t, 0)
	noErr(t, "allocate", f.Allocate(size))
	if got := blocks(path); got < size {
		t.Errorf("%d bytes on disk after Allocate", got)
	}
	g, path := create(t, 0)
	mapT(t, g, mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite, Size: size, Sparse: true,
	})
	if got := blocks(path); got >= size {
		t.Errorf("%d bytes on disk after a sparse mapping", got)
	}
}

func TestLargePages(t *testing.T) {
	if os.Getenv("MAPLEAF_TEST_EXEC") != "" {
		return // the emulator has small pages only
	}
	const hugePages = "/proc/sys/vm/nr_hugepages"
	old, err := os.ReadFile(hugePages)
	noErr(t, "read", err)
	o := mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: 1, LargePages: true}
	if strings.TrimSpace(string(old)) == "0" {
		_, err := mmapfile.MapMemory(o)
		wantErr(t, "large pages where there are none", err)
		if os.WriteFile(hugePages, []byte("2"), 0) != nil {
			return // only root can have some made
		}
		defer os.WriteFile(hugePages, old, 0)
		if now, _ := os.ReadFile(hugePages); strings.TrimSpace(string(now)) != "2" {
			return // memory is in too small pieces
		}
	}
	m, err := mmapfile.MapMemory(o)
	noErr(t, "map", err)
	closeLater(t, m)
	if m.Size() < 1<<20 {
		t.Errorf("size %d is no large page", m.Size())
	}
	v := viewT(t, m, mmapfile.Write, 5000, 0)
	v.Bytes()[v.Len()-1] = 1
	noErr(t, "close", v.Close())
	f, _ := create(t, 10)
	o.Size = 0
	_, err = f.Map(o)
	wantErr(t, "large pages of a file", err, mmapfile.ErrUnsupported)
}
