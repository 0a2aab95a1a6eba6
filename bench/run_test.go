package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mustRun runs a command that measures, with its databases in a folder of which nothing
// may be left. It returns the result that is written to path, and what is printed.
func mustRun(t *testing.T, databases, path string, args ...string) (*result, *bytes.Buffer) {
	t.Helper()
	var out, diag bytes.Buffer
	args = append(args, "-dir", databases, "-json", path)
	if code := dispatch(context.Background(), args, nil, &out, &diag); code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", code, out.String(), diag.String())
	}
	left, err := os.ReadDir(databases)
	if err != nil || len(left) > 0 {
		t.Errorf("the run left %v behind, %v", left, err)
	}
	r, err := loadResult(path)
	if err != nil {
		t.Fatal(err)
	}
	return r, &out
}

// TestRun measures every workload, for a rival that is always in the binary,
// from the command line to the files of the result.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	databases := filepath.Join(dir, "databases")
	if err := os.Mkdir(databases, 0o700); err != nil {
		t.Fatal(err)
	}
	jsonPath, charts := filepath.Join(dir, "result.json"), filepath.Join(dir, "charts")
	r, _ := mustRun(t, databases, jsonPath, "smoke", "-n", "500", "-commits", "3",
		"-peers", "bbolt,bbolt-batch-64", "-base", "bbolt", "-charts", charts, "-rounds", "2",
		"-profile", filepath.Join(dir, "profiles"))
	picked, err := pickWorkloads("")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range picked {
		if w.traced && traceable() != nil {
			if len(r.Notes) != 1 || r.has(w.name) {
				t.Errorf("notes are %q where calls cannot be counted", r.Notes)
			}
			continue
		}
		for _, line := range w.rows {
			if s := r.summary(w.name, "bbolt", line.metric); s.rounds != 2 {
				t.Errorf("%s: %s has %d rounds, want 2", w.name, line.metric, s.rounds)
			}
		}
		profile := filepath.Join(dir, "profiles", w.name+".bbolt.1.pprof")
		if w.name == "large" || w.traced {
			continue
		}
		if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
			t.Errorf("profile of %s: %v", w.name, err)
		}
	}
	for _, command := range [][]string{
		{"report", jsonPath}, {"chart", jsonPath, charts}, {"compare", jsonPath, jsonPath}, {"list"},
	} {
		var out bytes.Buffer
		code := dispatch(context.Background(), command, nil, &out, io.Discard)
		if code != exitOK || out.Len() == 0 {
			t.Errorf("%v: exit code %d, %d bytes", command, code, out.Len())
		}
	}
}

// TestRunReportsFailures gives a plan a peer that cannot be measured.
func TestRunReportsFailures(t *testing.T) {
	w, err := findWorkload("scan")
	if err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	p := plan{
		workloads: []workload{w}, peers: []peer{{name: "broken"}}, rounds: 2, scale: tinyScale,
		progress: &progress,
	}
	r, err := p.execute(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if r.failures() != 2 || !strings.Contains(progress.String(), "FAILED") {
		t.Errorf("%d failures in\n%s", r.failures(), progress.String())
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"fly"}, {"run", "-n", "5"}, {"run", "-rounds", "0"}, {"run", "-value", "7"},
		{"run", "-keys", "none"}, {"run", "-peers", "none"}, {"run", "-workloads", "none"},
		{"run", "-commits", "0"}, {"run", "extra"}, {"run", "-none"}, {"compare", "one"},
		{"report"}, {"chart", "one"}, {"compare", "-none"}, {"run", "-timeout", "-1s"},
		{"sizes", "-from", "5"}, {"sizes", "-from", "500", "-to", "200"}, {"sizes", "extra"},
		{"run", "-contents", "x"}, {"run", "-n", "2147483648"}, {"sizes", "-to", "2147483648"},
		{"sizes", "-n", "1000"}, {"sizes", "-peers", "none"}, {"sizes", "-rounds", "0"},
	} {
		var out, diag bytes.Buffer
		if code := dispatch(context.Background(), args, nil, &out, &diag); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d\n%s", args, code, exitUsage, diag.String())
		}
	}
	if code := dispatch(context.Background(), []string{"run", "-h"}, nil, io.Discard,
		io.Discard); code != exitOK {
		t.Errorf("help: exit code %d", code)
	}
	if code := dispatch(context.Background(), []string{"report", "/none"}, nil, io.Discard,
		io.Discard); code != exitProblem {
		t.Errorf("report of nothing: exit code %d", code)
	}
}

func TestCopyFolder(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	if err := os.MkdirAll(filepath.Join(src, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"one": "1", "a/two": "22", "a/b/three": ""} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyFolder(dst, src); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"one": "1", "a/two": "22", "a/b/three": ""} {
		if got, err := os.ReadFile(filepath.Join(dst, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if err := copyFolder(dst, src); err == nil {
		t.Error("a copy over a folder that is there succeeds")
	}
}
