package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// sink keeps allocations of tests alive.
var sink []byte

func TestMeasureCountsPerOperation(t *testing.T) {
	const ops = 100
	m, err := measure(func() (int, error) {
		for range ops {
			sink = make([]byte, 4096)
			sink = make([]byte, 4096)
		}
		time.Sleep(20 * time.Millisecond)
		return ops, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if m[allocsPerOp] < 2 || m[allocsPerOp] > 3 {
		t.Errorf("%v allocations per operation, want 2", m[allocsPerOp])
	}
	if m[bytesPerOp] < 8192 || m[bytesPerOp] > 2*8192 {
		t.Errorf("%v heap bytes per operation, want 8192", m[bytesPerOp])
	}
	if m[nsPerOp] < 200_000 {
		t.Errorf("%v ns per operation, want 200,000 at least", m[nsPerOp])
	}
}

func TestMeasureFails(t *testing.T) {
	broken := errors.New("broken")
	if _, err := measure(func() (int, error) { return 1, broken }); !errors.Is(err, broken) {
		t.Errorf("error of the loop: %v", err)
	}
	if _, err := measure(func() (int, error) { return 0, nil }); err == nil {
		t.Error("a loop without operations gives a figure")
	}
}

func TestProcField(t *testing.T) {
	text := []byte("Name:\tbench\nVmHWM:\t   20712 kB\nRssAnon:\t     512 kB\nEmpty:\nsyscw: 3")
	for _, c := range []struct {
		name string
		want uint64
		ok   bool
	}{
		{"VmHWM:", 20712, true}, {"RssAnon:", 512, true}, {"syscw:", 3, true},
		{"Empty:", 0, false}, {"Name:", 0, false}, {"RssFile:", 0, false},
	} {
		if got, ok := procField(text, c.name); got != c.want || ok != c.ok {
			t.Errorf("%s is %d, %v; want %d, %v", c.name, got, ok, c.want, c.ok)
		}
	}
	if n := testing.AllocsPerRun(10, func() { procField(text, "RssAnon:") }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}

func TestGaugeSeesPeak(t *testing.T) {
	const size = 64 << 20
	g := startGauge()
	if g.file == nil {
		if runtime.GOOS == "linux" {
			t.Fatal("the status of the process cannot be read")
		}
		if m := g.finish(); len(m) != 0 {
			t.Errorf("a gauge without a status gives %v", m)
		}
		return
	}
	sink = make([]byte, size)
	for i := 0; i < size; i += 4096 {
		sink[i] = 1
	}
	time.Sleep(5 * memorySamplePeriod)
	sink = nil
	runtime.GC()
	m := g.finish()
	// The kernel counts in batches per thread, and the heap reuses pages that it had.
	if m[anonBytes] < size*9/10 {
		t.Errorf("the peak is %v bytes, want about %d at least", m[anonBytes], size)
	}
	if m[residentBytes] < size*9/10 {
		t.Errorf("the resident peak is %v bytes, want about %d at least", m[residentBytes], size)
	}
}

func TestFolderSize(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"a": 1000, "sub/b": 234, "empty": 0} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := sizeMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m[fileBytes] != 1234 {
		t.Errorf("the files have %v bytes, want 1234", m[fileBytes])
	}
	if _, _, err := folderSize(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there has a size")
	}
}

func TestMountType(t *testing.T) {
	mounts := "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n" +
		"/dev/vdb /tmp/data xfs rw 0 0\n/dev/vdc /tmp/data btrfs rw 0 0\nshort\n"
	for path, want := range map[string]string{
		"/home/x": "ext4", "/tmp": "tmpfs", "/tmp/x": "tmpfs", "/tmpfiles": "ext4",
		"/tmp/data/db": "btrfs",
	} {
		if got := mountType(mounts, path); got != want {
			t.Errorf("%s lies on %q, want %q", path, got, want)
		}
	}
	if got := mountType("", "/x"); got != "" {
		t.Errorf("without mounts the type is %q", got)
	}
}

func TestDescribeMachine(t *testing.T) {
	m := describeMachine(t.TempDir())
	if m.Processors < 1 || m.Go != runtime.Version() || m.SyncNS <= 0 {
		t.Errorf("machine is %+v", m)
	}
	if got := cpuModel([]byte("processor : 0\nmodel name\t: Fast One\n")); got != "Fast One" {
		t.Errorf("model is %q", got)
	}
}
