package command

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command says what is wrong with its command line in one line, hints at
// its help, and ends with 2.
func TestUsageErrors(t *testing.T) {
	session(t, nil,
		step{line: "nosuch"}, step{line: "gett"}, step{line: "--nosuch"}, step{line: "get"},
		step{line: "get f.db"}, step{line: "get f.db k v"}, step{line: "get f.db k --nosuch"},
		step{line: "get f.db k --bucket a//b"}, step{line: "get f.db k --format xml"},
		step{line: "get f.db hex:0g --bucket a"}, step{line: "put f.db k v"},
		step{line: "put f.db '' v --bucket a"}, step{line: "put f.db k v --hex --bucket a"},
		step{line: "del f.db --bucket a"}, step{line: "del f.db k --prefix p --bucket a"},
		step{line: "del f.db k"}, step{line: "del f.db zz --hex --bucket a"},
		step{line: "scan f.db --limit -1 --bucket a"}, step{line: "scan --bucket a"},
		step{line: "scan f.db --from hex:x --bucket a"}, step{line: "scan f.db --to 1 --hex"},
		step{line: "buckets"}, step{line: "stats f.db more"}, step{line: "check"},
		step{line: "version 1"}, step{line: "demo a b"}, step{line: "help nosuch"},
		step{line: "import"}, step{line: "import f.db"}, step{line: "import f.db --bucket a"},
		step{line: "import f.db x.txt --bucket a"},
		step{line: "import f.db --bucket a --format ndjson"},
		step{line: "import f.db --bucket a --format csv --batch 0"},
		step{line: "import f.db --bucket a --format csv --delimiter xx"},
		step{line: "import f.db --bucket a --duplicates maybe"},
		step{line: "get f.db k --bucket a --timeout soon"},
		step{line: "get f.db k --bucket a --timeout -1s"},
	)
}

// A file that is missing or a directory is named, whatever the command, and
// nothing is created.
func TestMissingFiles(t *testing.T) {
	session(t, nil,
		step{line: "get no.db k --bucket a"}, step{line: "scan no.db --bucket a"},
		step{line: "buckets no.db"}, step{line: "stats no.db"}, step{line: "check no.db"},
		step{line: "del no.db k --bucket a"}, step{line: "buckets ."},
		step{line: "import f.db no.csv --bucket a"}, step{line: "check f.db"},
	)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no paper") }

func TestOutputErrorIsAFailure(t *testing.T) {
	var err bytes.Buffer
	code := Run([]string{"version"}, Streams{Out: brokenWriter{}, Err: &err, Now: clock()})
	if code != ExitProblem || err.String() != "mapleaf: write the output: no paper\n" {
		t.Errorf("exit code %d, %s", code, &err)
	}
}

// brokenReader panics, as a bug would.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { panic("a bug") }

func TestPanicIsOneLine(t *testing.T) {
	var out, err bytes.Buffer
	code := Run([]string{"put", "f.db", "key", "--bucket", "a"},
		Streams{In: brokenReader{}, Out: &out, Err: &err, Now: clock()})
	if code != ExitProblem || err.String() != "mapleaf: internal error: a bug\n" {
		t.Errorf("exit code %d, %s", code, &err)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	root := newRoot(&app{})
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		r := mapleafCommand("", cmd.Name(), "--help")
		if r.code != ExitFine || r.err != "" || !strings.Contains(r.out, "Usage:\n  mapleaf ") {
			t.Errorf("mapleaf %s --help: exit code %d, %s%s", cmd.Name(), r.code, r.out, r.err)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > 81 {
				t.Errorf("help of %s: a line of %d characters", cmd.Name(), len(line)-1)
			}
		}
	}
}

func TestShellCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := must(t, "", "completion", shell); !strings.Contains(out, "mapleaf") {
			t.Errorf("completion of %s: %.200s", shell, out)
		}
	}
	for want, args := range map[string][]string{
		"scan\tPrint records in":  {"sc"},
		"text\nhex\njson\n:4\n":   {"scan", "f.db", "--format", ""},
		"last\nfirst\nerror\n":    {"import", "f.db", "--duplicates", ""},
		"text\nraw\nhex\njson\n:": {"get", "f.db", "k", "-f", ""},
	} {
		r := mapleafCommand("", append([]string{cobra.ShellCompRequestCmd}, args...)...)
		if !strings.HasPrefix(r.out, want) {
			t.Errorf("%q completes to %q, want %q", args, r.out, want)
		}
	}
}
