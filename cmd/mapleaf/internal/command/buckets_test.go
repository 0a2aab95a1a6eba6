package command

import (
	"strings"
	"testing"
)

func TestBuckets(t *testing.T) {
	session(t, nil,
		step{line: "put f.db k v --bucket b/one/deep/deeper"},
		step{line: "put f.db k v --bucket b/one/deep2"},
		step{line: "put f.db k v --bucket b/three"},
		step{line: "put f.db k v --bucket b"},
		step{line: "put f.db k2 v --bucket b"},
		step{line: `put f.db k v --bucket 'ä\/\x09'`},
		step{line: "put f.db k v --bucket a"},
		step{line: "buckets f.db"},
		step{line: "buckets f.db --bucket b"},
		step{line: "buckets f.db --bucket b/one --format json"},
		step{line: "buckets f.db --format json"},
		step{line: "buckets f.db --bucket a"},
		step{line: "buckets f.db --bucket nosuch"},
	)
}

func TestBucketsOfEmptyFile(t *testing.T) {
	file := makeFile(t)
	must(t, "", "del", file, "--whole-bucket", "--bucket", "a")
	if out := must(t, "", "buckets", file); out != "0 buckets, 0 records\n" {
		t.Errorf("got %q", out)
	}
}

func TestBucketsTooDeep(t *testing.T) {
	file := makeFile(t)
	must(t, "", "put", file, "k", "v", "--bucket", strings.Repeat("x/", depthMax)+"x")
	must(t, "", "get", file, "k", "--bucket", strings.Repeat("x/", depthMax)+"x")
	r := mapleafCommand("", "buckets", file)
	if r.code != ExitProblem || r.err != "mapleaf: buckets are nested more than 1000 deep\n" {
		t.Errorf("exit code %d, %.200s", r.code, r.err)
	}
}
