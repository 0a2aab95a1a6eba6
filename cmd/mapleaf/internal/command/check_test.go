package command

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var sizeText = regexp.MustCompile(`[\d.,]+ [KM]iB`)

// scrubSizes hides the sizes of files, which are the store's business.
func scrubSizes(s string) string { return sizeText.ReplaceAllString(s, "# KiB") }

func TestCheck(t *testing.T) {
	session(t, scrubSizes,
		step{line: "put f.db k v --bucket a"},
		step{line: "check f.db"},
	)
}

// A byte that was changed under the store is found, named, and never read as
// data; the other pages can still be read.
func TestCheckFindsDamage(t *testing.T) {
	var records []string
	for i := range 3000 {
		records = append(records, fmt.Sprintf("key %04d=the value of number %04d", i, i))
	}
	file := makeFile(t, records...)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, []byte("the value of number 1500"))
	if at < 0 {
		t.Fatal("the value is not in the file")
	}
	content[at] ^= 0x20
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	r := mapleafCommand("", "check", file)
	if r.code != ExitProblem || !strings.HasPrefix(r.out, "problem: ") || r.err != "" {
		t.Errorf("check: exit code %d, %s%s", r.code, r.out, r.err)
	}
	for _, args := range [][]string{
		{"get", file, "key 1500", "--bucket", "a/b"},
		{"scan", file, "--bucket", "a/b"},
		{"scan", file, "--bucket", "a/b", "--count", "--reverse"},
	} {
		r := mapleafCommand("", args...)
		if r.code != ExitProblem || !strings.HasPrefix(r.err, "mapleaf: ") ||
			strings.Contains(r.out, "The value") {
			t.Errorf("%q: exit code %d, %s", args, r.code, r.err)
		}
	}
	if out := must(t, "", "get", file, "key 0001", "--bucket", "a/b"); out !=
		"the value of number 0001\n" {
		t.Errorf("a sound page yields %q", out)
	}
}
