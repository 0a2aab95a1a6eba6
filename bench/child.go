package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// This file runs one measurement in a process of its own: the parent starts its
// own program again, hands it a task as JSON on the standard input, and reads
// an answer as JSON from the standard output.
//
// Invariants:
//
//	C1 A process measures one workload of one peer once. No cache, heap or
//	   goroutine of another measurement is in it.
//	C2 A child that fails, in any way, gives an error and never a figure.

// childCommand is the first argument of a child.
const childCommand = "child"

// scale says how large a run is.
type scale struct {
	Records     int           `json:"records"`
	Keys        keyKind       `json:"keys"`
	Contents    string        `json:"contents,omitempty"` // sum of the index of real paths
	ValueSize   int           `json:"value_size"`
	Seed        uint64        `json:"seed"`
	PerTx       int           `json:"per_tx"`       // puts or deletes in an unsynced transaction
	Commits     int           `json:"commits"`      // durable commits at most
	CommitLimit time.Duration `json:"commit_limit"` // time for them at most, in ns
	LargeValues int           `json:"large_values"` // values of 1 MiB
	Opens       int           `json:"opens"`        // times that a database is opened
}

// fixtureTask is the name of the task that prepares a database.
const fixtureTask = "fixture"

// A task is what a child does.
type task struct {
	Workload string `json:"workload"` // or fixtureTask
	Peer     string `json:"peer"`
	Dir      string `json:"dir"`               // where the database is, or is to be
	Profile  string `json:"profile,omitempty"` // file for a CPU profile
	Paths    string `json:"paths,omitempty"`   // list of real paths
	Scale    scale  `json:"scale"`
}

// An answer is what a child found.
type answer struct {
	Metrics metrics `json:"metrics,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// childMain does the task on in and writes the answer to out. A task that fails
// is an answer too; the error returned is for what could not be answered.
func childMain(in io.Reader, out io.Writer) error {
	var t task
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return fmt.Errorf("decode task: %w", err)
	}
	var a answer
	m, err := perform(t)
	if err != nil {
		a.Error = err.Error()
	} else {
		a.Metrics = m
	}
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return nil
}

// perform does a task. A panic of a peer is an error like any other (C2).
func perform(t task) (m metrics, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	p, err := findPeer(t.Peer)
	if err != nil {
		return nil, err
	}
	tr := &trial{
		task: t, peer: p, scale: t.Scale, dir: t.Dir,
		keys: keySet{kind: t.Scale.Keys, seed: t.Scale.Seed},
	}
	if t.Paths != "" {
		list, err := openPaths(t.Paths)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, list.close()) }()
		tr.keys.paths = list
	}
	if t.Workload == fixtureTask {
		return nil, tr.prepare()
	}
	w, err := findWorkload(t.Workload)
	if err != nil {
		return nil, err
	}
	m, err = w.run(tr)
	if err != nil {
		return nil, err
	}
	if tr.gauge != nil {
		m.merge(tr.gauge.finish())
	}
	if p.mapped {
		delete(m, writtenPerOp)
		delete(m, writeCallsPerOp)
	}
	return m, nil
}

// A trial is one run of a workload in the child.
type trial struct {
	task  task
	peer  peer
	scale scale
	dir   string
	keys  keySet
	gauge *memoryGauge
}

// open opens the trial's database. The first call begins to watch the memory,
// so what a workload needs for itself is to be made before.
func (t *trial) open(o openOptions) (store, loops, error) {
	if o.ValueSize == 0 {
		o.ValueSize = t.scale.ValueSize
	}
	if t.gauge == nil {
		t.gauge = startGauge()
	}
	s, err := t.peer.open(t.dir, o)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", t.peer.name, err)
	}
	return s, loopsOf(s, o), nil
}

// with opens the database, runs fn and closes it. The time that closing took is
// returned with the metrics of fn.
func (t *trial) with(o openOptions, fn func(store, loops) (metrics, error)) (metrics, error) {
	s, l, err := t.open(o)
	if err != nil {
		return nil, err
	}
	m, err := fn(s, l)
	start := time.Now()
	if closeErr := s.close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close %s: %w", t.peer.name, closeErr))
	}
	if err != nil {
		return nil, err
	}
	if m == nil {
		m = metrics{}
	}
	m[closeNS] = float64(time.Since(start).Nanoseconds())
	return m, nil
}

// measure is measure, with a CPU profile if the task asks for one.
func (t *trial) measure(loop func() (int, error)) (m metrics, err error) {
	if t.task.Profile == "" {
		return measure(loop)
	}
	file, err := os.Create(t.task.Profile)
	if err != nil {
		return nil, fmt.Errorf("create profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	m, err = measure(loop)
	pprof.StopCPUProfile()
	return m, errors.Join(err, file.Close())
}

// addSize adds the size of the closed database to m.
func (t *trial) addSize(m metrics) (metrics, error) {
	size, err := sizeMetrics(t.dir)
	if err != nil {
		return nil, err
	}
	return m.merge(size), nil
}

// prepare makes the database that the reading workloads share: all records, put
// in random order, at rest.
func (t *trial) prepare() error {
	_, err := t.with(openOptions{}, func(s store, l loops) (metrics, error) {
		if err := l.load(t.keys.shuffled(t.scale.Records), t.scale.PerTx, 0); err != nil {
			return nil, err
		}
		if rests, ok := s.(settler); ok {
			return nil, rests.settle()
		}
		return nil, nil
	})
	if t.gauge != nil {
		t.gauge.finish()
	}
	return err
}

// runChild starts a child with the task and waits for its answer. under is the command
// that the child is an argument of, if any.
func runChild(ctx context.Context, t task, under ...string) (metrics, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find program: %w", err)
	}
	request, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode task: %w", err)
	}
	var out, diag bytes.Buffer
	command := append(under, program, childCommand)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &out, &diag
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("child: %w%s", err, ends(diag.String()))
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return nil, fmt.Errorf("decode answer of child: %w%s", err, ends(diag.String()))
	}
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	return a.Metrics, nil
}

// ends returns the first and the last lines of what a child said, for an error message:
// a panic says why in its first ones.
func ends(text string) string {
	const linesMax = 12
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	if n := len(lines); n > 2*linesMax {
		lines = slices.Concat(lines[:linesMax], []string{"..."}, lines[n-linesMax:])
	}
	return "\n\t" + strings.Join(lines, "\n\t")
}
