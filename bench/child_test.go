package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be its own child, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		os.Exit(dispatch(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// tinyScale is small enough for a test.
var tinyScale = scale{
	Records: 1000, Keys: keysRandom, ValueSize: 100, Seed: 42, PerTx: 100, Commits: 5,
	CommitLimit: time.Second, LargeValues: 2, Opens: 2,
}

func TestChildAnswers(t *testing.T) {
	task := task{Workload: "load-random", Peer: "bbolt", Dir: t.TempDir(), Scale: tinyScale}
	m, err := runChild(context.Background(), task)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{nsPerOp, allocsPerOp, fileBytes, closeNS} {
		if m[name] <= 0 {
			t.Errorf("%s is %v in %v", name, m[name], m)
		}
	}
}

func TestChildReportsErrors(t *testing.T) {
	for _, c := range []struct {
		task task
		want string
	}{
		{task{Workload: "get-long", Peer: "nobody", Scale: tinyScale}, `no peer "nobody"`},
		{task{Workload: "nothing", Peer: "bbolt", Scale: tinyScale}, `no workload "nothing"`},
		{task{Workload: "load-random", Peer: "bbolt", Dir: "/none/such", Scale: tinyScale},
			"open bbolt"},
		// An empty database: the first key is missing.
		{task{Workload: "get-long", Peer: "bbolt", Dir: t.TempDir(), Scale: tinyScale},
			errMissing.Error()},
	} {
		m, err := runChild(context.Background(), c.task)
		if err == nil || !strings.Contains(err.Error(), c.want) || m != nil {
			t.Errorf("%s of %s: %v, %v; want an error with %q",
				c.task.Workload, c.task.Peer, m, err, c.want)
		}
	}
}

func TestChildSurvivesPanic(t *testing.T) {
	// A value size that no store can be given makes the workload itself panic.
	scale := tinyScale
	scale.ValueSize = -1
	request, err := json.Marshal(task{
		Workload: "load-random", Peer: "bbolt", Dir: t.TempDir(), Scale: scale,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := childMain(bytes.NewReader(request), &out); err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(a.Error, "panic") || len(a.Metrics) != 0 {
		t.Errorf("answer is %+v, want the panic", a)
	}
}

func TestChildIsStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := runChild(ctx, task{Workload: "load-random", Peer: "bbolt", Scale: tinyScale})
	if err == nil {
		t.Error("a child of a run that was stopped answers")
	}
}

func TestChildRefusesGarbage(t *testing.T) {
	var out bytes.Buffer
	if err := childMain(strings.NewReader("no task"), &out); err == nil || out.Len() > 0 {
		t.Errorf("garbage is answered with %q, %v", out.String(), err)
	}
}

func TestEnds(t *testing.T) {
	if got := ends(" \n"); got != "" {
		t.Errorf("ends of nothing is %q", got)
	}
	if got := ends("a\nb\n"); got != "\n\ta\n\tb" {
		t.Errorf("ends of two lines is %q", got)
	}
	long := "first\n" + strings.Repeat("x\n", 100) + "last"
	if got := ends(long); strings.Count(got, "\n") != 25 ||
		!strings.HasPrefix(got, "\n\tfirst") || !strings.HasSuffix(got, "last") {
		t.Errorf("ends of many lines is %q", got)
	}
}
