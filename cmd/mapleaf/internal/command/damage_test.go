package command

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
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
	if len(fields) < 2 || !strings.Contains(c.Use, "FILE") || !c.Runnable() {
		return lines
	}
	line := strings.Fields(c.CommandPath())[1:]
	for _, field := range fields[1:] {
		field = strings.Trim(field, "[].")
		switch {
		case strings.HasPrefix(field, "--"), field == "PATH":
		case field == "FILE":
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

func TestDamageCommands(t *testing.T) {
	var records []string
	for i := range 1500 {
		records = append(records, fmt.Sprintf("key %04d=the value of number %04d", i, i))
	}
	content, err := os.ReadFile(makeFile(t, records...))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(*damageSeed, 0))
	refused, ran := 0, 0
	for trial := range *damageTrials {
		damaged, dir := damageFile(r, content), t.TempDir()
		file := filepath.Join(dir, "damaged.db")
		for _, line := range commandLines(newRoot(newApp(Standard())), file, dir) {
			if err := os.WriteFile(file, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			ran++
			if !runDamaged(t, line, dir) {
				refused++
			}
			if t.Failed() {
				t.Fatalf("trial %d, seed %d: mapleaf %q", trial, *damageSeed, line)
			}
		}
	}
	if ran < 8**damageTrials || refused == 0 {
		t.Errorf("%d commands ran, %d told of damage", ran, refused)
	}
	t.Logf("%d commands on %d damaged files, %d told of damage", ran, *damageTrials, refused)
}

// runDamaged runs a command on a damaged file, and reports whether all was fine.
func runDamaged(t *testing.T, line []string, dir string) bool {
	t.Helper()
	input := filepath.Join(dir, "input.json")
	if err := os.WriteFile(input, []byte(`{"Package": "p", "Version": "1"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.RemoveAll(filepath.Join(dir, "other.db")) // what the last command has made
	name := strings.Join(line, " ")
	watchdog := time.AfterFunc(time.Minute, func() { panic(name + " hangs") })
	defer watchdog.Stop()
	got := mapleafCommand("", line...)
	if strings.Contains(got.err, "internal error") || strings.Contains(got.err, "goroutine ") {
		t.Errorf("it panics: %s", got.err)
	}
	if got.code == ExitUsage && !strings.Contains(got.err, "usage") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	if got.code != ExitFine && got.err == "" && got.out == "" {
		t.Errorf("exit code %d without a word", got.code)
	}
	if line[0] == "get" && got.code == ExitFine && got.out != "the value of number 0100\n" {
		t.Errorf("other data: %.200q", got.out)
	}
	if line[0] == "scan" {
		for text := range strings.Lines(got.out) {
			if n := strings.Index(text, "key "); n >= 0 && len(text) >= n+8 &&
				strings.Contains(text, "number") && !strings.Contains(text, "number "+text[n+4:n+8]) {
				t.Errorf("other data: %.200q", text)
			}
		}
		if lines := strings.Count(got.out, "\n"); got.code == ExitFine && lines < 1500 {
			t.Errorf("only %d of 1500 records, and no error", lines)
		}
	}
	return got.code == ExitFine
}
