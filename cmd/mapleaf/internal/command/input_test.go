package command

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func zip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Gzip is known by its first bytes, in files and pipes, of one part or several;
// the bytes that are counted are those of the file and those of the text.
func TestInput(t *testing.T) {
	text := strings.Repeat("some text\n", 1000)
	zipped := zip(t, text)
	for name, c := range map[string]struct{ content, want string }{
		"plain":     {text, text},
		"zipped":    {zipped, text},
		"two parts": {zipped + zipped, text + text},
		"empty":     {"", ""},
		"one byte":  {"\x1f", "\x1f"},
	} {
		file := filepath.Join(t.TempDir(), "input")
		if err := os.WriteFile(file, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{file, "-"} {
			a := newApp(Streams{In: strings.NewReader(c.content), Out: io.Discard})
			in, err := a.openInput(source)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(in)
			if err != nil || string(got) != c.want {
				t.Errorf("%s of %s: %d bytes, %v, want %d",
					name, source, len(got), err, len(c.want))
			}
			wantSize := int64(len(c.content))
			if in.source.count.Load() != wantSize || in.text.count.Load() != int64(len(c.want)) {
				t.Errorf("%s of %s: %d bytes of the file and %d of the text were counted",
					name, source, in.source.count.Load(), in.text.count.Load())
			}
			if source == "-" {
				wantSize = -1
			}
			if in.size != wantSize {
				t.Errorf("%s of %s: the size is %d, want %d", name, source, in.size, wantSize)
			}
			if err := in.close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A zipped input that is cut or spoiled is an error, and what was stored of it
// is said.
func TestBadGzip(t *testing.T) {
	zipped := zip(t, strings.Repeat("key\tvalue\n", 20_000))
	for name, input := range map[string]string{
		"cut":     zipped[:len(zipped)-20],
		"spoiled": zipped[:len(zipped)-6] + "x" + zipped[len(zipped)-5:],
		"no gzip": "\x1f\x8bnothing of the kind",
	} {
		file := filepath.Join(t.TempDir(), "f.db")
		r := mapleafCommand(input, "import", file, "--format", "tsv", "--bucket", "a")
		if r.code != ExitProblem || !strings.HasPrefix(r.err, "mapleaf: ") ||
			strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, "standard input") {
			t.Errorf("%s: exit code %d, %s", name, r.code, r.err)
		}
	}
}
