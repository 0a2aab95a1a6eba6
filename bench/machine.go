package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A machine is where a run took place.
type machine struct {
	System     string `json:"system"`
	Processor  string `json:"processor,omitempty"`
	Processors int    `json:"processors"`
	Memory     uint64 `json:"memory_bytes,omitempty"`
	FileSystem string `json:"file_system,omitempty"`
	Go         string `json:"go"`

	// SyncNS is the median time to append 4 KiB to a file and sync it: the floor
	// of every durable commit. Zero if it could not be measured.
	SyncNS float64 `json:"sync_ns,omitempty"`
}

// describeMachine looks at this machine and at the device below dir.
func describeMachine(dir string) machine {
	m := machine{
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		Processors: runtime.NumCPU(),
		Go:         runtime.Version(),
		FileSystem: fileSystemOf(dir),
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += " " + strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Processor = cpuModel(text)
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _ := procField(text, "MemTotal:")
		m.Memory = kib << 10
	}
	if took, err := measureSync(dir); err == nil {
		m.SyncNS = took
	}
	return m
}

// cpuModel returns the model from the text of /proc/cpuinfo.
func cpuModel(text []byte) string {
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// fileSystemOf returns the type of the file system that holds dir, "" if the
// system does not list its mounts.
func fileSystemOf(dir string) string {
	path, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	return mountType(string(text), path)
}

// mountType returns the type of the deepest mount that holds path. Of two at
// the same place the later one counts.
func mountType(mounts, path string) string {
	best, kind := -1, ""
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		point := fields[1]
		inside := point == "/" || path == point || strings.HasPrefix(path, point+"/")
		if inside && len(point) >= best {
			best, kind = len(point), fields[2]
		}
	}
	return kind
}

// measureSync returns the median time of a small durable append, in ns.
func measureSync(dir string) (median float64, err error) {
	const appends = 60
	file, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	block := make([]byte, 4096)
	took := make([]float64, 0, appends)
	for range appends {
		start := time.Now()
		if _, err := file.Write(block); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(start).Nanoseconds()))
	}
	slices.Sort(took)
	return quantile(took, 0.5), nil
}

// moduleVersion returns the version of a module in this binary, "" if it is not
// one of its dependencies.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok || path == "" {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path != path {
			continue
		}
		if dep.Replace != nil && dep.Replace.Version == "" {
			return "checkout"
		}
		if dep.Version == "(devel)" {
			return "checkout"
		}
		return dep.Version
	}
	return ""
}

// String describes the machine in one line.
func (m machine) String() string {
	parts := []string{m.System}
	if m.Processor != "" {
		parts = append(parts, fmt.Sprintf("%d x %s", m.Processors, m.Processor))
	} else {
		parts = append(parts, fmt.Sprintf("%d processors", m.Processors))
	}
	if m.Memory > 0 {
		parts = append(parts, formatBytes(float64(m.Memory))+" memory")
	}
	if m.FileSystem != "" {
		parts = append(parts, m.FileSystem)
	}
	if m.SyncNS > 0 {
		parts = append(parts, "4 KiB durable in "+formatNS(m.SyncNS))
	}
	return strings.Join(append(parts, m.Go), ", ")
}
