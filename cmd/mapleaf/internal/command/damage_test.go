package command

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

// Damaged files under every command that the program has: each prints what is right or
// says what is wrong, and none panics, hangs, prints other data, or takes much memory. What
// a command has written to is read again.
//
//	go test ./cmd/mapleaf/internal/command -run TestDamageCommands -args -damage 500

var (
	damageTrials = flag.Int("damage", 24, "damaged files under every command")
	damageSeed   = flag.Uint64("seed", 1, "seed of the damage")
)

const (
	damageInput = "input.deb822" // a file with a record p for import
	damageOther = "other.db"     // what a command makes
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
			input := filepath.Join(dir, damageInput)
			line = append(line, input)
		default:
			line = append(line, filepath.Join(dir, damageOther))
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

// damageAllocMax is how many bytes a command may allocate, in all.
const damageAllocMax = 32 << 20

func TestDamageCommands(t *testing.T) {
	sources := newDamageSources(t, damageKinds)
	r := rand.New(rand.NewPCG(*damageSeed, 0))
	var n damageTally
	for trial := range *damageTrials {
		s, way := sources[trial%len(sources)], trial%len(damageWays)
		v := newDamageVictim(t, s, s.damage(r, way), &n)
		v.what = fmt.Sprintf("trial %d, seed %d, %s", trial, *damageSeed, damageWays[way].name)
		v.everyCommand(t, nil, func(line []string, got result) {
			v.wantRight(t, line, got)
			v.wantAfter(t, line[0], got.code == ExitFine)
		})
	}
	n.report(t, *damageTrials)
}

// A damageTally counts the commands that ran, those that told of damage, and the bytes
// that one of them has allocated.
type damageTally struct {
	ran, refused int
	most         uint64
}

// report logs the counts for so many files, and fails the test if nothing was damaged.
func (n *damageTally) report(t *testing.T, files int) {
	t.Helper()
	if n.ran < len(damageCommands)*files || n.refused == 0 {
		t.Errorf("%d commands ran, %d told of damage", n.ran, n.refused)
	}
	t.Logf("%d commands on %d files, %d told of damage; one allocated %d bytes at most",
		n.ran, files, n.refused, n.most)
}

// A damageVictim is a damaged file on which commands run.
type damageVictim struct {
	*damageSource
	*damageTally
	dir, file string
	other     string // what a command makes
	damaged   []byte
	what      string // was done to the file, for messages
}

func newDamageVictim(t *testing.T, s *damageSource, file []byte, n *damageTally) *damageVictim {
	t.Helper()
	dir := t.TempDir()
	return &damageVictim{damageSource: s, damageTally: n, dir: dir, damaged: file,
		file: filepath.Join(dir, "damaged.db"), other: filepath.Join(dir, damageOther)}
}

// everyCommand runs each command on the file, and then the lines in more, each on the file
// as it was damaged; want looks at what came out.
func (v *damageVictim) everyCommand(t *testing.T, more [][]string, want func([]string, result)) {
	t.Helper()
	lines := commandLines(newRoot(newApp(Standard())), v.file, v.dir)
	wantAllCommands(t, lines)
	input := filepath.Join(v.dir, damageInput)
	if err := os.WriteFile(input, []byte("Package: p\nVersion: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range append(lines, more...) {
		if err := os.WriteFile(v.file, v.damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.RemoveAll(v.other)
		got := v.run(t, line)
		if v.ran++; got.code != ExitFine {
			v.refused++
		}
		want(line, got)
		if t.Failed() {
			kept := filepath.Join(os.TempDir(), "mapleaf-damaged-command.db")
			err := os.WriteFile(kept, v.damaged, 0o600)
			t.Fatalf("%s: mapleaf %q; the file is kept at %s (%v)", v.what, line, kept, err)
		}
	}
}

// lateMin is how many of the late records a reader gets at least who gets no error: the
// last one may be missing, as if it had been torn by a crash. An older meta in the place
// of the newest one takes the log with it.
func (v *damageVictim) lateMin() int {
	n := min(len(v.damaged), 2*metaDistance)
	if v.late == 0 || !bytes.Equal(v.damaged[:n], v.content[:n]) {
		return 0
	}
	return v.late - 1
}

// wantAfter fails the test unless a command has left the file as it was; or has written
// what it should, and whoever reads the file then gets right data, or an error.
func (v *damageVictim) wantAfter(t *testing.T, name string, fine bool) {
	t.Helper()
	change, writes := damageChanges[name]
	if !writes {
		v.wantUnchanged(t)
		return
	}
	scanned := mapleafCommand("", "scan", v.file, "--bucket", "a/b")
	change.mayBe = !fine
	v.wantScanned(t, scanned.out, scanned.code == ExitFine, &change)
	checked := mapleafCommand("", "check", v.file)
	if checked.code == ExitFine && scanned.code != ExitFine {
		t.Errorf("check finds nothing, and scan does: %s", scanned.err)
	}
}

// wantUnchanged fails the test unless a command has left the file as it was.
func (v *damageVictim) wantUnchanged(t *testing.T) {
	t.Helper()
	after, err := os.ReadFile(v.file)
	if err != nil || !bytes.Equal(after, v.damaged) {
		t.Errorf("the file was changed: %v", err)
	}
}

// A damageEdit is what a command changes in a/b.
type damageEdit struct {
	key, line string // the line is what scan prints, nothing if the record is deleted
	mayBe     bool   // else it is there
}

var damageChanges = map[string]damageEdit{
	"del":    {key: "key 0100"},
	"put":    {key: "key 0100", line: "key 0100\ta value\n"},
	"import": {key: "p", line: "p\t{\"Version\":\"1\"}\n"},
}

// sayOnOut are the commands whose results tell of damage; the others have an error to tell.
var sayOnOut = []string{"check", "recover", "surgery"}

// run runs a command line, and fails the test unless it ends in time, without much memory,
// and with an exit code and the words that belong to it.
func (v *damageVictim) run(t *testing.T, line []string) result {
	t.Helper()
	watchdog := time.AfterFunc(time.Minute, func() {
		panic(fmt.Sprintf("%s: mapleaf %q hangs", v.what, line))
	})
	defer watchdog.Stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := mapleafCommand("", line...)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	v.most = max(v.most, allocated)
	if allocated > damageAllocMax {
		t.Errorf("%q allocates %d bytes for a file of %d", line, allocated, len(v.damaged))
	}
	if strings.Contains(got.err, "internal error") || strings.Contains(got.err, "goroutine ") {
		t.Errorf("%q panics: %s", line, got.err)
	}
	if got.code != ExitFine && got.code != ExitProblem {
		t.Errorf("%q ends with exit code %d: %s", line, got.code, got.err)
	}
	onOut := got.err == "" && got.out != "" && slices.Contains(sayOnOut, line[0])
	first, rest, whole := strings.Cut(got.err, "\n")
	oneLine := strings.HasPrefix(first, "mapleaf: ") && whole && rest == ""
	if got.code == ExitProblem && !onOut && !oneLine { // K3
		t.Errorf("%q ends with exit code %d and the words %q", line, got.code, got.err)
	}
	return got
}

// wantRight fails the test unless a command that tells all is fine has printed, or made,
// what the file holds.
func (v *damageVictim) wantRight(t *testing.T, line []string, got result) {
	t.Helper()
	fine := got.code == ExitFine
	switch line[0] {
	case "get":
		if fine && got.out != "the value of number 0100\n" {
			t.Errorf("other data: %.200q", got.out)
		}
	case "scan":
		v.wantScanned(t, got.out, fine, nil)
	case "check":
		wantChecked(t, line[1], got)
	case "recover":
		// Exit code 0 says that everything is there. With a guess, there may be too much.
		if saved := mapleafCommand("", "scan", v.other, "--bucket", "a/b"); fine {
			v.wantScanned(t, saved.out, true, nil)
		} else if saved.code == ExitFine {
			wantSaved(t, saved.out)
		}
		if made := mapleafCommand("", "check", v.other); fine && made.code != ExitFine {
			t.Errorf("what was saved is damaged: %s", made.out)
		}
	}
}

// damageLines returns what scan prints of a/b with so many late records.
func damageLines(late int, edit *damageEdit) string {
	var b strings.Builder
	for i := range 1500 {
		key := fmt.Sprintf("key %04d", i)
		if edit != nil && edit.key == key {
			b.WriteString(edit.line)
			continue
		}
		fmt.Fprintf(&b, "%s\tthe value of number %04d\n", key, i)
	}
	for i := range late {
		fmt.Fprintf(&b, "late %02d\tlate number %02d\n", i, i)
	}
	if edit != nil && !strings.HasPrefix(edit.key, "key ") {
		b.WriteString(edit.line)
	}
	return b.String()
}

// wantScanned fails the test unless what scan prints is what a/b holds, with the edit if
// there is one: all of it if all was fine, else what comes before some place.
func (v *damageVictim) wantScanned(t *testing.T, out string, fine bool, edit *damageEdit) {
	t.Helper()
	least := v.lateMin()
	if least == 0 { // the state may be that before the last transaction
		out = strings.TrimPrefix(out, "gone\t"+strings.Repeat("gone", 25_000)+"\n")
	}
	edits := []*damageEdit{edit}
	if edit != nil && edit.mayBe {
		edits = append(edits, nil)
	}
	for _, edit := range edits {
		for late := least; late <= v.late; late++ {
			all := damageLines(late, edit)
			if out == all || !fine && strings.HasPrefix(all, out) {
				return
			}
		}
	}
	whole := damageLines(v.late, edit)
	at := 0
	for at < min(len(out), len(whole)) && out[at] == whole[at] {
		at++
	}
	t.Errorf("other data (fine: %t): %.200q, not %.200q", fine, out[max(0, at-30):],
		whole[max(0, at-30):])
}

// wantSaved fails the test unless each record that was saved as a guess has been in the
// file.
func wantSaved(t *testing.T, out string) {
	t.Helper()
	for text := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\t")
		number, isKey := strings.CutPrefix(key, "key ")
		late, isLate := strings.CutPrefix(key, "late ")
		switch {
		case isKey && (value == "the value of number "+number || value == "the value of old "+number),
			isLate && value == "late number "+late,
			key == "gone" && value == strings.Repeat("gone", 25_000):
		default:
			t.Errorf("what was saved was never in the file: %.200q", text)
		}
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
