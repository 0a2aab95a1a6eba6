package command

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/record"
)

// stanza is one package of a generated index.
type stanza map[string]string

// makeIndex generates an index in the form of Debian's, with fields of several
// lines, comments, and lines of any length.
func makeIndex(random *rand.Rand, count int) (text string, want map[string]stanza) {
	var b strings.Builder
	want = make(map[string]stanza, count)
	letters := func(n int) string {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte('a' + random.IntN(26))
		}
		return string(out)
	}
	for i := range count {
		name := fmt.Sprintf("%s-%d", letters(1+random.IntN(12)), i)
		s := stanza{
			"Version":      fmt.Sprintf("%d.%d-%d", random.IntN(9), random.IntN(99), i),
			"Architecture": []string{"all", "amd64"}[random.IntN(2)],
		}
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\n", name, s["Version"])
		if random.IntN(5) == 0 {
			b.WriteString("# a comment\n")
		}
		fmt.Fprintf(&b, "Architecture:%s\n", s["Architecture"])
		description := letters(random.IntN(60))
		for range random.IntN(6) {
			line := []string{".", letters(random.IntN(70)) + "x", "ä \"\\ 🍁"}[random.IntN(3)]
			description += "\n" + line
		}
		if random.IntN(1000) == 0 {
			description += "\n" + letters(300_000)
		}
		s["Description"] = description
		fmt.Fprintf(&b, "Description: %s\n\n", strings.ReplaceAll(description, "\n", "\n "))
		want[name] = s
	}
	return b.String(), want
}

// End to end: an index, zipped, through the program into a file, and every
// record of it back.
func TestImportIndexEndToEnd(t *testing.T) {
	const seed, count = 3, 6000
	text, want := makeIndex(rand.New(rand.NewPCG(seed, 0)), count)
	folder := t.TempDir()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	input := filepath.Join(folder, "Packages.gz")
	if err := os.WriteFile(input, zipped.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "packages.db")
	out := must(t, "", "import", file, input, "--bucket", "debian/packages", "--batch", "700")
	if !strings.HasPrefix(out, "imported 6,000 records into debian/packages in ") ||
		!strings.HasSuffix(out, "\n6,000 new\n") {
		t.Errorf("seed %d: %s", seed, out)
	}
	compareIndex(t, seed, file, want)
	if out := must(t, "", "check", file); !strings.Contains(out, "no problems") {
		t.Errorf("seed %d: %s", seed, out)
	}
	// Once more, from standard input: everything is replaced by itself.
	out = must(t, text, "import", file, "--format", "deb822", "--bucket", "debian/packages")
	if !strings.HasSuffix(out, "\n0 new, 6,000 in the place of others\n") {
		t.Errorf("seed %d: %s", seed, out)
	}
	compareIndex(t, seed, file, want)
}

func compareIndex(t *testing.T, seed int, file string, want map[string]stanza) {
	t.Helper()
	out := must(t, "", "scan", file, "--bucket", "debian/packages", "--format", "json")
	lines, last := 0, ""
	for line := range strings.Lines(out) {
		lines++
		var r struct{ Key, Value string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("seed %d: %v: %.200s", seed, err, line)
		}
		if r.Key <= last {
			t.Fatalf("seed %d: %s stands behind %s", seed, r.Key, last)
		}
		last = r.Key
		var got stanza
		if err := json.Unmarshal([]byte(r.Value), &got); err != nil {
			t.Fatalf("seed %d: %s: %v", seed, r.Key, err)
		}
		if !maps.Equal(got, want[r.Key]) {
			t.Fatalf("seed %d: %s is %.300q, want %.300q", seed, r.Key, got, want[r.Key])
		}
	}
	if lines != len(want) {
		t.Errorf("seed %d: %d records, want %d", seed, lines, len(want))
	}
}

// endless yields three lines; whoever asks for more is interrupted, and waits
// for nothing until the test ends.
type endless struct {
	lines     *strings.Reader
	interrupt context.CancelFunc
	end       <-chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	if e.lines.Len() == 0 {
		e.interrupt()
		<-e.end
	}
	return e.lines.Read(p)
}

// An interrupted import does not wait for input that never comes, and says how
// much is stored.
func TestImportInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.db")
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan struct{})
	defer close(end)
	var out, errs bytes.Buffer
	a := newApp(Streams{
		In:  &endless{strings.NewReader("1\n2\n3\n"), cancel, end},
		Out: &out, Err: &errs, Now: clock(),
	})
	i := &importing{file: file, input: "-", batch: 3, keys: []string{"1"}, value: valueRaw,
		bucket: bucketPath{[]byte("a")}, format: choice{value: "tsv"},
		duplicates: choice{value: duplicatesLast}, options: record.Options{NoHeader: true}}
	err := a.importInto(ctx, i)
	if !errors.Is(err, errInterrupted) {
		t.Fatalf("got %v", err)
	}
	stored := 0
	if r := mapleafCommand("", "scan", file, "--bucket", "a", "--keys-only"); r.code == ExitFine {
		stored = strings.Count(r.out, "\n")
	}
	want := fmt.Sprintf("interrupted (%d records stored and kept)", stored)
	if err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	must(t, "", "check", file)
}
