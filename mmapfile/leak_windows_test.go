package mmapfile_test

import (
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

var procGetProcessHandleCount = windows.NewLazySystemDLL("kernel32.dll").
	NewProc("GetProcessHandleCount")

// alwaysReplaces: a rename replaces a file that is open from Windows 10 on, on
// NTFS. Under Wine it is refused.
const alwaysReplaces = false

// systemDeletes: DeleteOnClose is the system's work.
const systemDeletes = true

// cpuTime returns how long this process has run on a processor.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var began, ended, kernel, user windows.Filetime
	noErr(t, "process times",
		windows.GetProcessTimes(windows.CurrentProcess(), &began, &ended, &kernel, &user))
	ticks := func(f windows.Filetime) int64 {
		return int64(f.HighDateTime)<<32 | int64(f.LowDateTime)
	}
	return time.Duration(ticks(kernel)+ticks(user)) * 100 // a tick is 100 ns
}

// resources counts the handles of this process.
func resources(t *testing.T, _ string) int {
	t.Helper()
	var n uint32
	ok, _, err := procGetProcessHandleCount.Call(uintptr(windows.CurrentProcess()),
		uintptr(unsafe.Pointer(&n)))
	if ok == 0 {
		t.Fatal(err)
	}
	return int(n)
}

// handleFlags returns whether children inherit the handle.
func handleFlags(t *testing.T, f *mmapfile.File) uint32 {
	t.Helper()
	var flags uint32
	proc := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetHandleInformation")
	ok, _, err := proc.Call(f.Fd(), uintptr(unsafe.Pointer(&flags)))
	if ok == 0 {
		t.Fatal(err)
	}
	return flags
}

func TestInheritance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := openT(t, path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew,
	})
	if handleFlags(t, f)&windows.HANDLE_FLAG_INHERIT != 0 {
		t.Error("a handle is inherited without being asked for")
	}
	g := openT(t, path, mmapfile.Options{Flags: mmapfile.Inherit})
	if handleFlags(t, g)&windows.HANDLE_FLAG_INHERIT == 0 {
		t.Error("a handle is not inherited")
	}
}

func TestSecurityDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	openT(t, path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew,
		Security: "D:P(A;;GA;;;WD)",
	})
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION)
	noErr(t, "get security", err)
	dacl, _, err := sd.DACL()
	noErr(t, "get DACL", err)
	if dacl == nil || dacl.AceCount == 0 {
		t.Errorf("descriptor %v", sd)
	}
	_, err = mmapfile.Open(path, mmapfile.Options{Security: "no descriptor"})
	wantErr(t, "a bad descriptor", err)
}

func TestHiddenAttribute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	openT(t, path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew, Flags: mmapfile.Hidden,
	}).Close()
	name, err := windows.UTF16PtrFromString(path)
	noErr(t, "name", err)
	attrs, err := windows.GetFileAttributes(name)
	noErr(t, "attributes", err)
	if attrs&windows.FILE_ATTRIBUTE_HIDDEN == 0 {
		t.Errorf("attributes %x", attrs)
	}
}
