package command

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/unicodedata"
)

// What differs from run to run in the output of demo.
var demoVaries = []struct {
	pattern *regexp.Regexp
	alike   string
}{
	{regexp.MustCompile(`file  .*unicode\.db, removed`), "file  (temporary)/unicode.db, removed"},
	{regexp.MustCompile(`[\d.]+ [KM]iB copied, [\d,]+ commits? meanwhile +`),
		"# MiB copied, # commits meanwhile "},
	{regexp.MustCompile(`[\d.]+ [KM]iB checked: no problems +`), "# MiB checked: no problems "},
	{regexp.MustCompile(` +[\d.,]+ MiB/s`), " # MiB/s"},
	{regexp.MustCompile(`the file has [\d.]+ [KM]iB`), "the file has # MiB"},
}

func scrubDemo(s string) string {
	for _, v := range demoVaries {
		s = v.pattern.ReplaceAllString(s, v.alike)
	}
	return s
}

// The demo runs in a temporary folder, and leaves nothing behind.
func TestDemo(t *testing.T) {
	temporary := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, temporary)
	}
	session(t, scrubDemo, step{line: "demo"})
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) != 0 {
		t.Errorf("the demo leaves %v behind, %v", left, err)
	}
}

// An interrupted demo cleans up behind itself.
func TestDemoInterrupted(t *testing.T) {
	temporary := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, temporary)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := newApp(Streams{Out: io.Discard, Err: io.Discard, Now: clock()}).demo(ctx, nil)
	if !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("the demo leaves %v behind, %v", left, err)
	}
}

// A file that was named is kept, as sound as it was, and never overwritten.
func TestDemoFile(t *testing.T) {
	session(t, scrubDemo,
		step{line: "demo unicode.db"},
		step{line: "demo unicode.db"},
		step{line: "buckets unicode.db"},
		step{line: "scan unicode.db --bucket name --prefix MAPLE"},
		step{line: "scan unicode.db --bucket category/So --from 01F340 --to 01F343"},
		step{line: "scan unicode.db --bucket name --count"},
	)
	if out := must(t, "", "check", "unicode.db"); !strings.Contains(out, "no problems") {
		t.Error(out)
	}
}

func TestDemoLicense(t *testing.T) {
	out := must(t, "", "demo", "--license")
	if strings.TrimSpace(out) != strings.TrimSpace(unicodedata.Source) {
		t.Errorf("got %s", out)
	}
}

// Titles are bold on a terminal, unless the user wants no colours.
func TestDemoColours(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		noColor  string
		want     string
	}{
		{true, "", "\x1b[1mLoad\x1b[0m"}, {true, "1", "Load"}, {false, "", "Load"},
	} {
		t.Setenv("NO_COLOR", c.noColor)
		d := demo{app: newApp(Streams{Out: io.Discard, OutTerminal: c.terminal})}
		if got := d.bold("Load"); got != c.want {
			t.Errorf("terminal %v, NO_COLOR=%q: %q", c.terminal, c.noColor, got)
		}
	}
}

// A demonstration whose data is not what the source says fails.
func TestDemoVerify(t *testing.T) {
	characters, err := unicodedata.Load()
	if err != nil {
		t.Fatal(err)
	}
	characters = characters[:1000]
	leaf, name := codeKey('A'), []byte("LATIN CAPITAL LETTER A")
	code := func(tx *mapleaf.Tx) *mapleaf.Bucket { return tx.Bucket(bucketCode) }
	names := func(tx *mapleaf.Tx) *mapleaf.Bucket { return tx.Bucket(bucketNames) }
	for what, spoil := range map[string]func(*mapleaf.Tx) error{
		"a name":     func(tx *mapleaf.Tx) error { return code(tx).Put(leaf, []byte("B")) },
		"a record":   func(tx *mapleaf.Tx) error { return code(tx).Delete(leaf) },
		"one more":   func(tx *mapleaf.Tx) error { return code(tx).Put([]byte("FF"), name) },
		"a code":     func(tx *mapleaf.Tx) error { return names(tx).Put(name, []byte("B")) },
		"a new name": func(tx *mapleaf.Tx) error { return names(tx).Put([]byte("B"), leaf) },
		"a category": func(tx *mapleaf.Tx) error {
			return tx.Bucket(bucketCategory).DeleteBucket([]byte("Lu"))
		},
		"a bucket": func(tx *mapleaf.Tx) error { return tx.DeleteBucket(bucketNames) },
		"":         func(*mapleaf.Tx) error { return nil },
	} {
		d := &demo{app: newApp(Streams{Out: io.Discard}), characters: characters}
		d.file = filepath.Join(t.TempDir(), "f.db")
		if err := d.open(); err != nil {
			t.Fatal(err)
		}
		err := d.db.Update(func(tx *mapleaf.Tx) error {
			return errors.Join(store(tx, characters), spoil(tx))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.verify(d.db); (err != nil) != (what != "") {
			t.Errorf("spoiled %q: %v", what, err)
		}
		if err := d.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
