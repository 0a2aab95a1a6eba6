package command

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

// Damaged files under every command that the program has: each prints what is right or
// says what is wrong, and none panics, hangs, or prints other data.
//
//	go test ./cmd/mapleaf/internal/command -run TestDamageCommands -args -damage 500

var (
	damageTrials = flag.Int("damage", 12, "damaged files under every command")
	damageSeed   = flag.Uint64("seed", 1, "seed of the damage")
)

// commandLines returns a command line for each command below c that takes a file.
func commandLines(c *cobra.Command, file, dir string) (lines [][]string) {
	for _, sub := range c.Commands() {
		lines = append(lines, commandLines(sub, file, dir)...)
	}
	fields := strings.Fields(c.Use)
	if !slices.ContainsFunc(fields, isFile) || !c.Runnable() {
		return lines
	}
	line := strings.Fields(c.CommandPath())[1:]
	for _, field := range fields[1:] {
		field = strings.Trim(field, "[].")
		switch {
		case strings.HasPrefix(field, "--"), field == "PATH":
		case isFile(field):
			line = append(line, file)
		case strings.HasPrefix(field, "KEY"):
			line = append(line, "key 0100")
		case strings.HasPrefix(field, "VALUE"):
			line = append(line, "a value")
		case strings.HasPrefix(field, "PAGE"):
			line = append(line, "9")
		case field == "INPUT":
			input := filepath.Join(dir, "input.json")
			line = append(line, input)
		default:
			line = append(line, filepath.Join(dir, "other.db"))
		}
	}
	if c.Flags().Lookup("bucket") != nil {
		line = append(line, "--bucket", "a/b")
	}
	return append(lines, line)
}

// isFile reports whether a word of a usage line stands for the file that may be damaged.
func isFile(word string) bool {
	word = strings.Trim(word, "[].")
	return word == "FILE" || word == "DAMAGED"
}

// damageCommands are those that take such a file.
var damageCommands = []string{"buckets", "check", "del", "demo", "get", "import", "put", "readers",
	"recover", "scan", "stats", "surgery drop-log", "surgery meta", "surgery revert-meta"}

// wantAllCommands fails the test unless lines has one line for each of damageCommands.
func wantAllCommands(t *testing.T, lines [][]string) {
	t.Helper()
	var names []string
	for _, line := range lines {
		name := line[0]
		if name == "surgery" {
			name += " " + line[1]
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, damageCommands) {
		t.Fatalf("the commands that take a file are %q, not %q", names, damageCommands)
	}
}

// damageFile changes a copy of content in one of some ways.
func damageFile(r *rand.Rand, content []byte) []byte {
	file := bytes.Clone(content)
	page := file[r.IntN(len(file)>>12)<<12:][:4096]
	switch r.IntN(6) {
	case 0:
		page[r.IntN(4096)] ^= 1 << r.IntN(8)
	case 1:
		clear(page)
	case 2:
		for i := range page {
			page[i] = byte(r.Uint32())
		}
	case 3:
		copy(page, file[r.IntN(len(file)>>12)<<12:][:4096])
	case 4:
		page[r.IntN(64)] += byte(1 + r.IntN(255))
	default:
		return file[:1+r.IntN(len(file)-1)]
	}
	return file
}

// damageContent returns a file with 1500 records in a/b, long values beside it and free
// pages, after Close or as a process leaves it that is killed.
func damageContent(t *testing.T, pageSize int, killed bool) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := mapleaf.Open(file, 0o600, &mapleaf.Options{PageSize: pageSize, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(b *mapleaf.Bucket) error{
		func(b *mapleaf.Bucket) error {
			for i := range 1500 {
				key, value := fmt.Sprintf("key %04d", i), fmt.Sprintf("the value of number %04d", i)
				if err := b.Put([]byte(key), []byte(value)); err != nil {
					return err
				}
			}
			return nil
		},
		func(b *mapleaf.Bucket) error {
			return b.Put([]byte("gone"), bytes.Repeat([]byte("gone"), 25_000))
		},
		func(b *mapleaf.Bucket) error { return b.Delete([]byte("gone")) },
	} {
		if err := db.Update(func(tx *mapleaf.Tx) error {
			long, err := makeBucket(tx, bucketPath{[]byte("a"), []byte("long")})
			if err == nil {
				err = long.Put(fmt.Append(nil, tx.ID()), bytes.Repeat([]byte("long"), 10_000))
			}
			if err != nil {
				return err
			}
			b, err := makeBucket(tx, bucketPath{[]byte("a"), []byte("b")})
			if err != nil {
				return err
			}
			return change(b)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !killed {
		err = db.Close()
	}
	content, readErr := os.ReadFile(file)
	if killed {
		err = db.Close()
	}
	if err = errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	content = bytes.TrimRight(content, "\x00") // what is set aside behind the last page
	content = append(content, make([]byte, -len(content)&(pageSize-1))...)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "check", file)
	return content
}

func TestDamageCommands(t *testing.T) {
	contents := [][]byte{
		damageContent(t, 4096, false), damageContent(t, 16384, true),
		damageContent(t, 4096, true), damageContent(t, 16384, false),
	}
	r := rand.New(rand.NewPCG(*damageSeed, 0))
	refused, ran := 0, 0
	for trial := range *damageTrials {
		damaged, dir := damageFile(r, contents[trial%len(contents)]), t.TempDir()
		file := filepath.Join(dir, "damaged.db")
		lines := commandLines(newRoot(newApp(Standard())), file, dir)
		wantAllCommands(t, lines)
		for _, line := range lines {
			if err := os.WriteFile(file, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("trial %d, seed %d: mapleaf %q", trial, *damageSeed, line)
			ran++
			if !runDamaged(t, what, line, dir) {
				refused++
			}
			wantUnchanged(t, line[0], file, damaged)
			if t.Failed() {
				t.Fatal(what)
			}
		}
	}
	if ran != len(damageCommands)*(*damageTrials) || refused == 0 {
		t.Errorf("%d commands ran, %d told of damage", ran, refused)
	}
	t.Logf("%d commands on %d damaged files, %d told of damage", ran, *damageTrials, refused)
}

// wantUnchanged fails the test if a command that does not write has changed the file.
func wantUnchanged(t *testing.T, name, file string, content []byte) {
	t.Helper()
	if slices.Contains([]string{"del", "demo", "import", "put"}, name) {
		return
	}
	after, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(after, content) {
		t.Errorf("the file was changed: %v", err)
	}
}

// runDamaged runs a command on a damaged file, and reports whether all was fine.
func runDamaged(t *testing.T, what string, line []string, dir string) bool {
	t.Helper()
	input := filepath.Join(dir, "input.json")
	if err := os.WriteFile(input, []byte(`{"Package": "p", "Version": "1"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.db")
	_ = os.RemoveAll(other) // what the last command has made
	watchdog := time.AfterFunc(time.Minute, func() { panic(what + " hangs") })
	defer watchdog.Stop()
	got := mapleafCommand("", line...)
	fine := got.code == ExitFine
	if strings.Contains(got.err, "internal error") || strings.Contains(got.err, "goroutine ") {
		t.Errorf("it panics: %s", got.err)
	}
	if got.code == ExitUsage && !strings.Contains(got.err, "usage") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	if !fine && got.err == "" && got.out == "" {
		t.Errorf("exit code %d without a word", got.code)
	}
	switch line[0] {
	case "get":
		if fine && got.out != "the value of number 0100\n" {
			t.Errorf("other data: %.200q", got.out)
		}
	case "scan":
		wantScanned(t, got.out, fine)
	case "check":
		wantChecked(t, line[1], got)
	case "recover":
		// Exit code 0 says that everything is there. With a guess, there may be too much.
		if saved := mapleafCommand("", "scan", other, "--bucket", "a/b"); fine || saved.code == ExitFine {
			wantScanned(t, saved.out, fine)
		}
		if made := mapleafCommand("", "check", other); fine && made.code != ExitFine {
			t.Errorf("what was saved is damaged: %s", made.out)
		}
	}
	return fine
}

// wantScanned fails the test unless what scan prints has each key with its value, and
// every key if all was fine.
func wantScanned(t *testing.T, out string, fine bool) {
	t.Helper()
	for text := range strings.Lines(out) {
		if n := strings.Index(text, "key "); n >= 0 && len(text) >= n+8 &&
			strings.Contains(text, "number") && !strings.Contains(text, "number "+text[n+4:n+8]) {
			t.Errorf("other data: %.200q", text)
		}
	}
	if lines := strings.Count(out, "\n"); fine && lines < 1500 {
		t.Errorf("only %d of 1500 records, and no error", lines)
	}
}

// wantChecked compares what check says with what Tx.Check says of the same file.
func wantChecked(t *testing.T, file string, got result) {
	t.Helper()
	problems := 0
	db, err := mapleaf.Open(file, 0o600, &mapleaf.Options{ReadOnly: true})
	if err == nil {
		err = errors.Join(db.View(func(tx *mapleaf.Tx) error {
			for range tx.Check() {
				problems++
			}
			return tx.Err()
		}), db.Close())
	}
	if want := err == nil && problems == 0; (got.code == ExitFine) != want {
		t.Errorf("check ends with %d, Tx.Check with %d problems, %v", got.code, problems, err)
	}
	if lines := strings.Count("\n"+got.out, "\nproblem: "); lines != problems {
		t.Errorf("check prints %d problems, Tx.Check finds %d", lines, problems)
	}
}
