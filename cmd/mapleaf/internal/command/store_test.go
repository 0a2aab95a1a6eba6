package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf"
)

// Commands that only read leave every byte of the file as it was, its time of
// change too, and no other file beside it but the lock file that was there.
func TestReadersChangeNothing(t *testing.T) {
	var records []string
	for i := range 2000 {
		records = append(records, fmt.Sprintf("key %d=%s", i, strings.Repeat("value ", i%50)))
	}
	file := makeFile(t, records...)
	for _, args := range [][]string{
		{"get", file, "key 1", "--bucket", "a/b"},
		{"get", file, "no such key", "--bucket", "a/b"},
		{"scan", file, "--bucket", "a/b"},
		{"scan", file, "--bucket", "a/b", "--reverse", "--from", "key 5"},
		{"buckets", file},
		{"stats", file},
		{"readers", file},
		{"check", file},
	} {
		want, info := snapshot(t, file)
		r := mapleafCommand("", args...)
		if r.code != ExitFine && args[2] != "no such key" {
			t.Fatalf("%q: exit code %d, %s", args, r.code, r.err)
		}
		got, after := snapshot(t, file)
		if !bytes.Equal(got, want) {
			t.Errorf("%q changed the file", args)
		}
		if !after.ModTime().Equal(info.ModTime()) {
			t.Errorf("%q wrote to the file", args)
		}
		if others, err := os.ReadDir(filepath.Dir(file)); err != nil || len(others) != 2 {
			t.Fatalf("%q left something behind: %v, %v", args, others, err)
		}
	}
}

func snapshot(t *testing.T, file string) ([]byte, os.FileInfo) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return content, info
}

// A file that cannot be written to can be read.
func TestReadOnlyFile(t *testing.T) {
	file := makeFile(t, "k=v")
	if err := os.Chmod(file, 0o444); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "", "get", file, "k", "--bucket", "a/b"); out != "v\n" {
		t.Errorf("got %q", out)
	}
}

func TestFileInUse(t *testing.T) {
	file := makeFile(t, "k=v")
	db, err := mapleaf.Open(file, fileMode, &mapleaf.Options{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	r := mapleafCommand("", "get", file, "k", "--bucket", "a/b", "--timeout", "50ms")
	want := "mapleaf: " + file + ": another process has the file open: "
	if r.code != ExitProblem || !strings.HasPrefix(r.err, want) {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "", "get", file, "k", "--bucket", "a/b"); out != "v\n" {
		t.Errorf("got %q after the other one closed", out)
	}
}

// What is no Mapleaf file is refused by every command, and not touched.
func TestForeignFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "foreign")
	for _, content := range []string{"just some text\n", strings.Repeat("0123456789abcdef", 8192)} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"check", file}, {"buckets", file}, {"put", file, "k", "v", "--bucket", "a"},
			{"del", file, "k", "--bucket", "a"},
			{"import", file, "-", "--format", "csv", "--bucket", "a"},
		} {
			r := mapleafCommand("", args...)
			if r.code != ExitProblem || !strings.HasPrefix(r.err, "mapleaf: "+file+": ") ||
				strings.Count(r.err, "mapleaf: ") != 1 || strings.Count(r.err, "\n") != 1 {
				t.Errorf("%q: exit code %d, %s", args, r.code, r.err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != content {
			t.Errorf("the file was changed: %v", err)
		}
	}
}
