package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a terminal an import draws a bar on the error stream, which is gone when
// it ends; elsewhere it draws nothing.
func TestProgressBar(t *testing.T) {
	text := strings.Repeat("a line of text\twith a tab\n", 50_000)
	input := filepath.Join(t.TempDir(), "lines.tsv")
	if err := os.WriteFile(input, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		input    string
		terminal bool
		want     string
	}{
		"file":     {input, true, "importing   0% |"},
		"pipe":     {"-", true, "importing"},
		"no bar":   {input, false, ""},
		"no bar 2": {"-", false, ""},
	} {
		var out, err bytes.Buffer
		code := Run([]string{"import", filepath.Join(t.TempDir(), "f.db"), c.input,
			"--format", "tsv", "--no-header", "--bucket", "a", "--batch", "10000"},
			Streams{In: strings.NewReader(text), Out: &out, Err: &err,
				ErrTerminal: c.terminal, Now: clock()})
		if code != ExitFine || !strings.Contains(err.String(), c.want) {
			t.Errorf("%s: exit code %d, %q", name, code, err.String())
		}
		if !c.terminal && err.Len() > 0 {
			t.Errorf("%s: %q", name, err.String())
		}
		if c.terminal && strings.Contains(err.String(), "\n") {
			t.Errorf("%s: the bar leaves a line: %q", name, err.String())
		}
		if !strings.HasPrefix(out.String(), "imported 50,000 records into a in ") {
			t.Errorf("%s: %s", name, &out)
		}
	}
}
