package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// metrics are the figures of one measurement. The name ends with the unit; less
// is better in all of them. What a system does not tell is left out.
type metrics map[string]float64

// The names of metrics.
const (
	nsPerOp         = "ns_per_op"           // wall time
	allocsPerOp     = "allocs_per_op"       // heap objects of Go
	bytesPerOp      = "heap_bytes_per_op"   // heap bytes of Go
	writtenPerOp    = "written_bytes"       // bytes given to write system calls, per operation
	dirtiedPerOp    = "dirtied_bytes"       // page cache made dirty, in whole folios, per operation
	cpuPerOp        = "cpu_ns_per_op"       // processor time of all threads
	writeCallsPerOp = "write_calls"         // system calls that write, per operation
	p50NS           = "p50_ns"              // half of the operations were not slower
	p99NS           = "p99_ns"              // 99 of 100 were not slower
	maxNS           = "max_ns"              // the slowest
	closeNS         = "close_ns"            // time to close after the loop
	fileBytes       = "file_bytes"          // sum of the lengths of the files
	diskBytes       = "disk_bytes"          // blocks that the files occupy
	compactBytes    = "compact_bytes"       // sum of the lengths after compaction
	compactNS       = "compact_ns"          // time that it took
	anonBytes       = "anon_bytes"          // growth of anonymous memory, at its peak
	residentBytes   = "resident_peak_bytes" // peak of resident memory, mapped files included
	mixedP50NS      = "mixed_p50_ns"        // the same beside a writer
	mixedP99NS      = "mixed_p99_ns"
	mixedMaxNS      = "mixed_max_ns"
	callsPerOp      = "system_calls" // per operation, without those of schedulers
	waitsPerOp      = "device_waits" // system calls that wait for the device, per operation
	tracedOps       = "traced_ops"   // operations between the marks, for the parent alone
	putNS           = "put_ns_per_op"
	getNS           = "get_ns_per_op"
)

// merge adds the figures of other.
func (m metrics) merge(other metrics) metrics {
	for name, value := range other {
		m[name] = value
	}
	return m
}

// measure times loop, which returns how many operations it did, and counts what
// they cost. The collector runs before, so that no garbage of the preparation
// is counted.
func measure(loop func() (ops int, err error)) (metrics, error) {
	var before, after runtime.MemStats
	runtime.GC()
	ioBefore, haveIO := readIO()
	runtime.ReadMemStats(&before)
	cpuBefore := processorTime()
	start := time.Now()
	ops, err := loop()
	took := time.Since(start)
	cpu := processorTime() - cpuBefore
	runtime.ReadMemStats(&after)
	ioAfter, _ := readIO()
	if err != nil {
		return nil, err
	}
	if ops == 0 {
		return nil, errors.New("measure: the loop did no operation")
	}
	each := func(total uint64) float64 { return float64(total) / float64(ops) }
	m := metrics{
		nsPerOp:     float64(took.Nanoseconds()) / float64(ops),
		allocsPerOp: each(after.Mallocs - before.Mallocs),
		bytesPerOp:  each(after.TotalAlloc - before.TotalAlloc),
	}
	if cpu > 0 {
		m[cpuPerOp] = float64(cpu.Nanoseconds()) / float64(ops)
	}
	if haveIO {
		m[writtenPerOp] = each(ioAfter.written - ioBefore.written)
		m[dirtiedPerOp] = each(ioAfter.dirtied - ioBefore.dirtied)
		m[writeCallsPerOp] = each(ioAfter.calls - ioBefore.calls)
	}
	return m, nil
}

// latencies are the durations of single operations, in nanoseconds.
type latencies []float64

// metrics returns the quantiles.
func (l latencies) metrics() metrics {
	if len(l) == 0 {
		return metrics{}
	}
	sorted := slices.Sorted(slices.Values(l))
	return metrics{
		p50NS: quantile(sorted, 0.50),
		p99NS: quantile(sorted, 0.99),
		maxNS: sorted[len(sorted)-1],
	}
}

// ioCounts are what this process sent to storage so far.
type ioCounts struct {
	written uint64 // bytes given to write calls; what goes through a mapping is not in it
	dirtied uint64 // bytes of the page cache made dirty, counted in whole folios
	calls   uint64 // write system calls
}

// readIO reads the counts. It returns false where the system has none.
func readIO() (ioCounts, bool) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return ioCounts{}, false
	}
	written, ok := procField(text, "wchar:")
	dirtied, ok2 := procField(text, "write_bytes:")
	calls, ok3 := procField(text, "syscw:")
	return ioCounts{written: written, dirtied: dirtied, calls: calls}, ok && ok2 && ok3
}

// procField returns the number behind name in a file of /proc that has a name
// and a number in each line. It allocates nothing.
func procField(text []byte, name string) (uint64, bool) {
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		if len(line) < len(name) || string(line[:len(name)]) != name {
			continue
		}
		var n uint64
		digits := 0
		for _, c := range bytes.TrimLeft(line[len(name):], " \t") {
			if c < '0' || c > '9' {
				break
			}
			n = n*10 + uint64(c-'0')
			digits++
		}
		return n, digits > 0
	}
	return 0, false
}

// A memoryGauge samples the anonymous memory of the process. Its samples
// allocate nothing, so that they can run beside any measurement.
type memoryGauge struct {
	file *os.File // the status of the process; nil where there is none
	base uint64   // before the store was opened
	stop chan struct{}
	done sync.WaitGroup
	peak uint64 // owned by the sampling goroutine until done
}

// memorySamplePeriod is the time between two samples: rare enough to cost
// nothing, frequent enough to see each memtable and each transaction.
const memorySamplePeriod = 10 * time.Millisecond

// startGauge begins to sample. What the process holds now is the base; memory
// that the collector could return is returned first.
func startGauge() *memoryGauge {
	debug.FreeOSMemory()
	g := &memoryGauge{stop: make(chan struct{})}
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return g
	}
	g.file = file
	g.base, _ = readStatus(file, make([]byte, statusBytesMax), "RssAnon:")
	g.peak = g.base
	g.done.Go(g.sample)
	return g
}

// sample looks until the gauge is stopped.
func (g *memoryGauge) sample() {
	text := make([]byte, statusBytesMax)
	tick := time.NewTicker(memorySamplePeriod)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-g.stop:
			running = false
		case <-tick.C:
		}
		now, _ := readStatus(g.file, text, "RssAnon:")
		g.peak = max(g.peak, now)
	}
}

// finish stops the sampling and returns what was seen.
func (g *memoryGauge) finish() metrics {
	m := metrics{}
	if g.file == nil {
		return m
	}
	close(g.stop)
	g.done.Wait()
	m[anonBytes] = float64(g.peak - g.base)
	if peak, ok := readStatus(g.file, make([]byte, statusBytesMax), "VmHWM:"); ok {
		m[residentBytes] = float64(peak)
	}
	g.file.Close()
	return m
}

// statusBytesMax is more than the status of a process takes.
const statusBytesMax = 8 << 10

// readStatus returns a size in bytes from the status of this process. It reads
// into text.
func readStatus(file *os.File, text []byte, name string) (uint64, bool) {
	n, err := file.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return 0, false
	}
	kib, ok := procField(text[:n], name)
	return kib << 10, ok
}

// folderSize returns the lengths of all files below dir, and the space that
// they occupy on the device, 0 where the system does not tell.
func folderSize(dir string) (length, disk int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("measure folder: %w", err)
		}
		length += info.Size()
		disk += occupied(info)
		return nil
	})
	return length, disk, err
}

// sizeMetrics returns the size of the files in dir.
func sizeMetrics(dir string) (metrics, error) {
	length, disk, err := folderSize(dir)
	if err != nil {
		return nil, err
	}
	m := metrics{fileBytes: float64(length)}
	if disk > 0 {
		m[diskBytes] = float64(disk)
	}
	return m, nil
}
