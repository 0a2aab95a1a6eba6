package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// scaled returns the sample result with the figures of one peer multiplied.
func scaled(peer string, factor float64) *result {
	r := sampleResult()
	for i, s := range r.Samples {
		if s.Peer == peer && s.Metrics != nil {
			r.Samples[i].Metrics = metrics{nsPerOp: s.Metrics[nsPerOp] * factor}
		}
	}
	return r
}

// saveAll writes results to files and returns their paths.
func saveAll(t *testing.T, results ...*result) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i, r := range results {
		path := filepath.Join(dir, string(rune('a'+i))+".json")
		if err := r.save(path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestCompareVerdicts(t *testing.T) {
	at := func(min, median, max float64) summary {
		return summary{rounds: 3, min: min, median: median, max: max}
	}
	for _, c := range []struct {
		name     string
		old, new summary
		want     string
	}{
		{"clearly slower", at(100, 101, 102), at(120, 121, 122), "worse"},
		{"clearly faster", at(100, 101, 102), at(80, 81, 82), "better"},
		{"within the threshold", at(100, 101, 102), at(105, 106, 107), ""},
		{"rounds overlap", at(100, 101, 130), at(120, 125, 140), ""},
		{"the same", at(100, 101, 102), at(100, 101, 102), ""},
		{"from zero to zero", at(0, 0, 0), at(0, 0, 0), ""},
		{"from zero to one", at(0, 0, 0), at(1, 1, 1), "worse"},
	} {
		if got := (change{old: c.old, new: c.new}).verdict(0.1); got != c.want {
			t.Errorf("%s: verdict %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCompareCommand(t *testing.T) {
	paths := saveAll(t, sampleResult(), scaled("mapleaf", 1.3), scaled("mapleaf", 0.6),
		scaled("bbolt", 2))
	for _, c := range []struct {
		name    string
		args    []string
		problem bool
		want    string
	}{
		{"itself", []string{paths[0], paths[0]}, false, "2 rows: 0 worse, 0 better"},
		{"slower", []string{paths[0], paths[1]}, true, "2 rows: 2 worse, 0 better"},
		{"faster", []string{paths[0], paths[2]}, false, "2 rows: 0 worse, 2 better"},
		{"high threshold", []string{"-threshold", "50", paths[0], paths[1]}, false, "0 worse"},
		{"rival slower", []string{paths[0], paths[3]}, false, "2 rows: 0 worse"},
		{"all peers", []string{"-peer", "all", paths[0], paths[3]}, true, "4 rows: 2 worse"},
	} {
		var out, diag bytes.Buffer
		err := compareCommand(c.args, &out, &diag)
		if (err != nil) != c.problem || (err != nil && !errors.Is(err, errProblem)) {
			t.Errorf("%s: error %v, want a problem: %v", c.name, err, c.problem)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: output lacks %q:\n%s", c.name, c.want, out.String())
		}
	}
}

func TestCompareShowsDrift(t *testing.T) {
	older, newer := sampleResult(), scaled("bbolt", 2)
	for _, c := range changes(older, newer, "mapleaf") {
		if c.drift != 2 || c.factor() != 1 {
			t.Errorf("%s: factor %v, drift %v; want 1 and 2", c.row.title, c.factor(), c.drift)
		}
	}
}

func TestCompareRefusesDifferentWork(t *testing.T) {
	small := sampleResult()
	small.Scale.Records = 10
	paths := saveAll(t, sampleResult(), small)
	var out, diag bytes.Buffer
	if err := compareCommand(paths, &out, &diag); !errors.Is(err, errUsage) {
		t.Errorf("results of different size: %v", err)
	}
	if err := compareCommand(paths[:1], &out, &diag); !errors.Is(err, errUsage) {
		t.Errorf("one result: %v", err)
	}
	if err := compareCommand([]string{paths[0], "none.json"}, &out, &diag); err == nil {
		t.Error("a result that is not there is compared")
	}
}
