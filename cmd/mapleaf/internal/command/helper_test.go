package command

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

// result is what a run of the program left behind.
type result struct {
	code     int
	out, err string
}

// clock is a time that passes by a millisecond whenever somebody looks.
func clock() func() time.Time {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

// mapleafCommand runs the program in this process.
func mapleafCommand(stdin string, args ...string) result {
	var out, err bytes.Buffer
	code := Run(args, Streams{
		In: strings.NewReader(stdin), Out: &out, Err: &err, Now: clock(),
	})
	return result{code, out.String(), err.String()}
}

// must runs the program and fails the test unless all is fine.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := mapleafCommand(stdin, args...)
	if r.code != ExitFine || r.err != "" {
		t.Fatalf("mapleaf %q: exit code %d, %s", args, r.code, r.err)
	}
	return r.out
}

// step is one command line of a session: words between spaces, 'quoted' ones
// kept together.
type step struct {
	line  string
	stdin string
}

var word = regexp.MustCompile(`'[^']*'|\S+`)

// words splits a command line.
func words(line string) []string {
	args := word.FindAllString(line, -1)
	for i, arg := range args {
		if len(arg) >= 2 && arg[0] == '\'' {
			args[i] = arg[1 : len(arg)-1]
		}
	}
	return args
}

// session runs command lines in a fresh folder and compares all that they
// print with a golden file. scrub, if any, makes what differs from run to run
// alike.
func session(t *testing.T, scrub func(string) string, steps ...step) {
	t.Helper()
	golden, err := filepath.Abs(filepath.Join("testdata", t.Name()+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "$ mapleaf %s\n", s.line)
		r := mapleafCommand(s.stdin, words(s.line)...)
		b.WriteString(r.out)
		for line := range strings.Lines(r.err) {
			fmt.Fprintf(&b, "error stream: %s", line)
		}
		if r.code != ExitFine {
			fmt.Fprintf(&b, "exit code %d\n", r.code)
		}
	}
	got := b.String()
	if scrub != nil {
		got = scrub(got)
	}
	compareGolden(t, golden, got)
}

func compareGolden(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the output differs from %s (-update writes it anew):\n%s",
			filepath.Base(golden), diff(string(want), got))
	}
}

// diff shows the first line that differs, with what comes before it.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	line := func(lines []string) string {
		if i < len(lines) {
			return lines[i]
		}
		return "(the end)"
	}
	return fmt.Sprintf("%s\nline %d\nwant %s\ngot  %s",
		strings.Join(g[max(0, i-3):min(i, len(g))], "\n"), i+1, line(w), line(g))
}

// makeFile creates a file with the given records of bucket a/b.
func makeFile(t *testing.T, records ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := mapleaf.Open(file, fileMode, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *mapleaf.Tx) error {
		b, err := makeBucket(tx, bucketPath{[]byte("a"), []byte("b")})
		if err != nil {
			return err
		}
		for _, r := range records {
			key, value, _ := strings.Cut(r, "=")
			if err := b.Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}
