package command

import (
	"bytes"
	"testing"
)

func TestGet(t *testing.T) {
	session(t, nil,
		step{line: "put f.db tree 'a maple' --bucket a/b"},
		step{line: "put f.db hex:ff00 hex:00ff --bucket a/b"},
		step{line: "put f.db empty '' --bucket a/b"},
		step{line: "get f.db tree --bucket a/b"},
		step{line: "get f.db tree -b a/b -f raw"},
		step{line: "get f.db tree -b a/b -f hex"},
		step{line: "get f.db tree -b a/b -f json"},
		step{line: "get f.db ff00 --hex -b a/b -f hex"},
		step{line: "get f.db hex:ff00 -b a/b -f json"},
		step{line: "get f.db empty -b a/b"},
		step{line: "get f.db text:tree -b a/b"},
		step{line: "get f.db nosuch -b a/b"},
		step{line: "get f.db hex:0a00 -b a/b"},
		step{line: "get f.db b -b a"},
		step{line: "get f.db tree -b a/c"},
		step{line: "get f.db tree -b c/a"},
		step{line: "get f.db tree"},
	)
}

// On a terminal a value can do no harm; in a pipe it is what it is.
func TestGetOnTerminal(t *testing.T) {
	file := makeFile(t, "k=two\nlines \x1b[31m\\")
	for terminal, want := range map[bool]string{
		true:  "two\nlines \\x1b[31m\\\n",
		false: "two\nlines \x1b[31m\\\n",
	} {
		var out, err bytes.Buffer
		code := Run([]string{"get", file, "k", "--bucket", "a/b"},
			Streams{Out: &out, Err: &err, OutTerminal: terminal, Now: clock()})
		if code != ExitFine || out.String() != want {
			t.Errorf("terminal %v: %q, want %q (%s)", terminal, &out, want, &err)
		}
	}
}
