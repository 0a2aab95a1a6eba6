package command

import (
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf"
)

func TestPut(t *testing.T) {
	session(t, nil,
		step{line: "put f.db k one --bucket a/b"},
		step{line: "get f.db k --bucket a/b"},
		step{line: "put f.db k two --bucket a/b"},
		step{line: "get f.db k --bucket a/b"},
		step{line: "put f.db k --bucket a/b", stdin: "of standard input\n"},
		step{line: "get f.db k --bucket a/b"},
		step{line: "put f.db k - --bucket a/b", stdin: "again"},
		step{line: "get f.db k --bucket a/b"},
		step{line: "put f.db k text:- --bucket a/b"},
		step{line: "get f.db k --bucket a/b"},
		step{line: "put f.db 6b 6869 --hex --bucket a/b"},
		step{line: "get f.db k --bucket a/b"},
		step{line: `put f.db k v --bucket 'with\/slash/\x00\xff'`},
		step{line: "buckets f.db"},
		step{line: "put f.db b v --bucket a"},
		step{line: "put f.db k v --bucket a/b/k"},
	)
}

func TestPutLargeValue(t *testing.T) {
	file := makeFile(t)
	value := strings.Repeat("0123456789", 300_000)
	must(t, value, "put", file, "large", "--bucket", "a")
	if got := must(t, "", "get", file, "large", "--bucket", "a", "-f", "raw"); got != value {
		t.Errorf("%d bytes come back, not %d", len(got), len(value))
	}
}

func TestPutKeyTooLarge(t *testing.T) {
	file := makeFile(t, "k=v")
	r := mapleafCommand("", "put", file, strings.Repeat("k", 32769), "v", "--bucket", "a/b")
	if r.code != ExitProblem || r.err != mapleaf.ErrKeyTooLarge.Error()+"\n" {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
	if out := must(t, "", "scan", file, "--bucket", "a/b"); out != "k\tv\n" {
		t.Errorf("the bucket holds %q", out)
	}
}
