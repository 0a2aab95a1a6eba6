package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
)

// This file counts the system calls of a child, which runs under strace for that and
// writes a mark before and behind the loop that counts.
//
// Invariants:
//
//	Q1 A call counts if it begins between the marks, in any thread. Those by which
//	   threads wait for one another or for time are not traced: there are more of them
//	   the slower a process runs, and strace makes it slow.
//	Q2 Every way to wait for the device is seen, whatever its name: the sync calls,
//	   writes with a synchronous flag or through a synchronous descriptor, msync.
//	Q3 A traced child gives counts and nothing else: its times mean nothing.

// The marks, as lines on the standard error of the child.
const (
	traceBegin = "mapleaf-bench begin"
	traceEnd   = "mapleaf-bench end"
)

// untraced are the calls of schedulers: of Go's, and of threads in C.
const untraced = "futex,nanosleep,clock_nanosleep,sched_yield,epoll_wait,epoll_pwait," +
	"epoll_pwait2,epoll_ctl,rt_sigaction,rt_sigprocmask,rt_sigreturn,sigaltstack,tgkill," +
	"getpid,gettid,madvise,clone,clone3,set_robust_list,rseq,exit,restart_syscall"

// traceable returns why the children of this process cannot be traced, nil if they can.
var traceable = sync.OnceValue(func() error {
	text, err := exec.Command("strace", "-qq", "-e", "trace=none", "-o", os.DevNull,
		"true").CombinedOutput()
	if err != nil {
		return fmt.Errorf("strace: %w%s", err, ends(string(text)))
	}
	return nil
})

// runTraced is runChild for a child whose system calls are counted. The trace is kept in
// a file at path meanwhile.
func runTraced(ctx context.Context, t task, path string) (m metrics, err error) {
	defer func() {
		if removeErr := os.Remove(path); !errors.Is(removeErr, os.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}()
	found, err := runChild(ctx, t, "strace", "-f", "-qq", "-o", path, "-e", "trace=!"+untraced)
	if err != nil {
		return nil, err
	}
	ops := found[tracedOps]
	if ops == 0 {
		return nil, errors.New("count system calls: the child did no operation")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	defer file.Close()
	counts, err := readTrace(file)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	return metrics{
		callsPerOp: float64(counts.calls) / ops,
		waitsPerOp: float64(counts.waits) / ops,
	}, nil
}

// mark writes a mark into the trace.
func mark(text string) error {
	_, err := io.WriteString(os.Stderr, text+"\n")
	return err
}

// traceCounts are the system calls between the marks.
type traceCounts struct {
	calls int
	waits int // for the device
}

var (
	callBegin   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	callResumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
	callFile    = regexp.MustCompile(`^(\d+)`)
	returned    = regexp.MustCompile(` = (\d+)$`)
	openSync    = regexp.MustCompile(`\bO_D?SYNC\b`)
	writeSync   = regexp.MustCompile(`\bRWF_D?SYNC\b`)
)

// A tracer reads a trace line by line.
type tracer struct {
	traceCounts
	within      bool            // between the marks
	done        bool            // behind them
	synchronous map[string]bool // descriptors opened with O_SYNC or O_DSYNC
	opening     map[string]bool // threads inside such an open
}

// readTrace counts the calls of a trace.
func readTrace(in io.Reader) (traceCounts, error) {
	t := tracer{synchronous: map[string]bool{}, opening: map[string]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := t.line(lines.Bytes()); err != nil {
			return traceCounts{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return traceCounts{}, err
	}
	if !t.done {
		return traceCounts{}, errors.New("the marks are not in it")
	}
	return t.traceCounts, nil
}

// line takes one line of the trace.
func (t *tracer) line(line []byte) error {
	line = bytes.TrimRight(line, " ")
	if m := callResumed.FindSubmatch(line); m != nil && t.opening[string(m[1])] {
		delete(t.opening, string(m[1]))
		t.opened(line)
	}
	m := callBegin.FindSubmatch(line)
	if m == nil {
		return nil
	}
	thread, call, args := string(m[1]), string(m[2]), string(m[3])
	switch {
	case call == "write" && strings.Contains(args, traceBegin):
		t.within = true
		return nil
	case call == "write" && strings.Contains(args, traceEnd):
		t.done, t.within = t.within, false
		return nil
	case strings.HasPrefix(call, "open") && openSync.MatchString(args):
		if !t.opened(line) {
			t.opening[thread] = true
		}
	case call == "close":
		delete(t.synchronous, callFile.FindString(args))
	}
	if !t.within {
		return nil
	}
	if strings.HasPrefix(call, "io_") {
		return fmt.Errorf("what %s does cannot be counted", call)
	}
	t.calls++
	if t.waitsFor(call, args) {
		t.waits++
	}
	return nil
}

// opened notes the descriptor that a synchronous open returns, if the line tells it.
func (t *tracer) opened(line []byte) bool {
	m := returned.FindSubmatch(line)
	if m != nil {
		t.synchronous[string(m[1])] = true
	}
	return m != nil
}

// waitsFor tells whether a call waits for the device (Q2).
func (t *tracer) waitsFor(call, args string) bool {
	switch {
	case call == "msync":
		return strings.Contains(args, "MS_SYNC")
	case call == "sync_file_range":
		return strings.Contains(args, "SYNC_FILE_RANGE_WAIT")
	case strings.Contains(call, "sync"):
		return true
	case strings.Contains(call, "write"):
		return t.synchronous[callFile.FindString(args)] || writeSync.MatchString(args)
	}
	return false
}
