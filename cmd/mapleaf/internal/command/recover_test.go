package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damagedFile creates a file of many records, and zeroes the page that holds a text.
func damagedFile(t *testing.T, text string) (file string, content []byte) {
	t.Helper()
	var records []string
	for i := range 3000 {
		records = append(records, fmt.Sprintf("key %04d=the value of number %04d", i, i))
	}
	file = makeFile(t, records...)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, []byte(text))
	if at < 0 {
		t.Fatalf("%q is not in the file", text)
	}
	at &^= 4095
	clear(content[at : at+4096])
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return file, content
}

// A file with one page destroyed is saved but for that page, and the report says which
// keys are missing; the damaged file stays as it is.
func TestRecover(t *testing.T) {
	file, content := damagedFile(t, "the value of number 1500")
	saved := filepath.Join(t.TempDir(), "saved.db")
	r := mapleafCommand("", "recover", file, saved)
	if r.code != ExitProblem || r.err != "" {
		t.Fatalf("exit code %d, %s%s", r.code, r.out, r.err)
	}
	for _, want := range []string{"state        meta 0, transaction ", "\ndamaged      1 leaf\n",
		"\nmissing      ", " of a/b from key 1", " before key 1", "nothing but zeros"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the report does not say %q:\n%s", want, r.out)
		}
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, content) {
		t.Errorf("the damaged file was changed: %v", err)
	}
	must(t, "", "check", saved)
	if out := must(t, "", "get", saved, "key 0001", "--bucket", "a/b"); out !=
		"the value of number 0001\n" {
		t.Errorf("a saved record yields %q", out)
	}

	r = mapleafCommand("", "recover", file, saved)
	if want := "mapleaf: " + saved + ": this file exists already"; r.code != ExitProblem ||
		!strings.HasPrefix(r.err, want) || r.out != "" {
		t.Errorf("over a file: exit code %d, %s%s", r.code, r.out, r.err)
	}
	r = mapleafCommand("", "recover", file, saved, "--force", "--json")
	var report recoveryReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != ExitProblem {
		t.Fatalf("%v, exit code %d: %s%s", err, r.code, r.out, r.err)
	}
	lost := uint64(0)
	for _, m := range report.Missing {
		lost += *m.Records
	}
	if report.Complete || report.Records+lost != 3000 || lost == 0 || report.Damaged.Leaf != 1 {
		t.Errorf("the report says %s", r.out)
	}
}

// UnmarshalJSON reads a key that is text.
func (b *jsonBytes) UnmarshalJSON(text []byte) error {
	var s *string
	err := json.Unmarshal(text, &s)
	if s != nil {
		*b = jsonBytes(*s)
	}
	return err
}

// What is whole is saved whole, with exit code 0.
func TestRecoverNothingMissing(t *testing.T) {
	session(t, scrubSizes,
		step{line: "put f.db k v --bucket a"},
		step{line: "recover f.db g.db"},
		step{line: "recover f.db h.db --json"},
		step{line: "get g.db k --bucket a"},
		step{line: "recover f.db g.db"},
		step{line: "recover f.db f.db --force"},
		step{line: "recover f.db i.db --page-size 1000"},
		step{line: "recover f.db"},
		step{line: "recover none.db i.db"},
	)
}

// On a terminal recover draws a bar, which is gone when it ends.
func TestRecoverBar(t *testing.T) {
	file := makeFile(t, "k=v")
	var out, err bytes.Buffer
	code := Run([]string{"recover", file, file + ".saved"}, Streams{
		In: strings.NewReader(""), Out: &out, Err: &err, ErrTerminal: true, Now: clock(),
	})
	if code != ExitFine || !strings.Contains(err.String(), "reading") ||
		strings.Contains(err.String(), "\n") {
		t.Errorf("exit code %d, %q", code, err.String())
	}
}

// A file of something else is none that could be saved.
func TestRecoverNoDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, bytes.Repeat([]byte("text\n"), 10_000), 0o644); err != nil {
		t.Fatal(err)
	}
	r := mapleafCommand("", "recover", file, file+".saved")
	if r.code != ExitProblem || !strings.Contains(r.err, "not a Mapleaf database") {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.err)
	}
	if _, err := os.Stat(file + ".saved"); err == nil {
		t.Error("there is a new file")
	}
}
