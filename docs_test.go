package mapleaf_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readDocument returns the text of a document of the checkout.
func readDocument(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return string(content)
}

// trimmedLines returns the lines of a text without their indentation.
func trimmedLines(text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		all.WriteString(strings.TrimSpace(line) + "\n")
	}
	return all.String()
}

// TestReadmePrograms finds every Go program of the README in the examples, which
// are compiled and run.
func TestReadmePrograms(t *testing.T) {
	examples := trimmedLines(readDocument(t, "example_test.go")) +
		trimmedLines(readDocument(t, filepath.Join("mmapfile", "example_test.go")))
	programs := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(
		readDocument(t, "README.md"), -1)
	if len(programs) != 3 {
		t.Fatalf("the README has %d programs", len(programs))
	}
	for _, program := range programs {
		if !strings.Contains(examples, trimmedLines(program[1])) {
			t.Errorf("this program of the README is in no example:\n%s", program[1])
		}
	}
	if lines := strings.Count(programs[0][1], "\n"); lines != 12 {
		t.Errorf("the first program of the README has %d lines, not 12", lines)
	}
}

// TestReadmeCommands looks for the two commands that a newcomer runs.
func TestReadmeCommands(t *testing.T) {
	readme := readDocument(t, "README.md")
	for _, command := range []string{
		"\n    go run ./cmd/mapleaf demo\n", "\n    go test ./... ./cmd/mapleaf/...\n",
	} {
		if !strings.Contains(readme, command) {
			t.Errorf("the README does not say %q", strings.TrimSpace(command))
		}
	}
}

// TestLinks follows every link of the documents to a file of the checkout.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"} {
		for _, found := range link.FindAllStringSubmatch(readDocument(t, name), -1) {
			target, _, _ := strings.Cut(found[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.FromSlash(target)); err != nil {
				t.Errorf("%s links to %s: %v", name, found[1], err)
			}
		}
	}
}
