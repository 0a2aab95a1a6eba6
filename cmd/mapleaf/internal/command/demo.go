package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/unicodedata"
)

const demoText = `Demo loads the names of all Unicode characters into a new file, reads them back
in several ways, makes a backup while a writer goes on, checks the file, and
prints how long each step took. Every result is compared with the source; if one
differs, the demo fails.

Without FILE it works in a temporary folder, which it removes at the end. FILE
must not exist yet, and is kept.

The rates are those of one short run with a warm cache on this machine: a first
impression, not a benchmark.`

func newDemo(a *app) *cobra.Command {
	var license bool
	cmd := &cobra.Command{
		Use:   "demo [FILE]",
		Short: "Show what the store can do, on real data",
		Long:  demoText,
		Args:  between(0, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if license {
				a.printf("%s\n", strings.TrimSpace(unicodedata.Source))
				return nil
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return a.demo(ctx, args)
		},
	}
	cmd.Flags().BoolVar(&license, "license", false,
		"print where the data comes from, and its license, and nothing else")
	return cmd
}

// demo is one demonstration.
type demo struct {
	*app
	folder     string // temporary
	file       string
	kept       bool // the file is the user's
	characters []unicodedata.Character
	byName     map[string]rune
	db         *mapleaf.DB
}

// The buckets of the demonstration's file.
var (
	bucketCode     = []byte("code")     // 01F341 -> MAPLE LEAF
	bucketNames    = []byte("name")     // MAPLE LEAF -> 01F341
	bucketCategory = []byte("category") // a bucket for each: So -> 01F341 -> MAPLE LEAF
	bucketCommits  = []byte("commits")  // what the durable commits write; goes at the end
)

func (a *app) demo(ctx context.Context, args []string) (err error) {
	d := &demo{app: a}
	if d.folder, err = os.MkdirTemp("", "mapleaf-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.folder)) }()
	d.file = filepath.Join(d.folder, "unicode.db")
	if len(args) == 1 {
		d.file, d.kept = args[0], true
		if _, err := os.Lstat(d.file); !errors.Is(err, fs.ErrNotExist) {
			return &fileError{d.file, errors.New("this file exists already: name a new one")}
		}
	}
	if d.characters, err = unicodedata.Load(); err != nil {
		return err
	}
	d.byName = make(map[string]rune, len(d.characters))
	for _, c := range d.characters {
		d.byName[c.Name] = c.Code
	}
	d.head()
	if err := d.run(ctx); err != nil {
		return err
	}
	d.tail()
	return nil
}

// run opens the file, goes through the steps, and closes it. Between steps it
// can be interrupted, so that the temporary folder is removed then, too.
func (d *demo) run(ctx context.Context) (err error) {
	if err := d.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.db.Close()) }()
	steps := []struct {
		title string
		run   func() error
	}{
		{"Load", d.load},
		{"Get", d.get},
		{"Scan", d.scanAll},
		{"Prefix and range", d.ranges},
		{"Nested buckets and counts", d.counts},
		{"Durable commits", d.commits},
		{"Backup while a writer goes on", d.backup},
		{"Check and reopen", d.reopen},
	}
	for _, step := range steps {
		if ctx.Err() != nil {
			return errInterrupted
		}
		d.printf("\n%s\n", d.bold(step.title))
		if err := d.out.Flush(); err != nil {
			return err
		}
		if err := step.run(); err != nil {
			return fmt.Errorf("demo: %s: %w", strings.ToLower(step.title), err)
		}
	}
	return nil
}

func (d *demo) open() (err error) {
	d.db, err = mapleaf.Open(d.file, fileMode, &mapleaf.Options{Timeout: d.timeout})
	if err != nil {
		return openError(d.file, err)
	}
	return nil
}

func (d *demo) head() {
	d.printf("%s  the names of %s Unicode characters\n",
		d.bold("Mapleaf demo"), commas(uint64(len(d.characters))))
	d.printf("  data  %s\n", unicodedata.Origin)
	d.printf("        %s\n", unicodedata.Copyright)
	d.printf("        (its text: mapleaf demo --license)\n")
	if d.kept {
		d.printf("  file  %s\n", d.file)
	} else {
		d.printf("  file  %s, removed at the end\n", d.file)
	}
}

func (d *demo) tail() {
	d.printf("\nEvery result agreed with the source. The rates are of one short run with a\n" +
		"warm cache: a first impression, not a benchmark.\n")
	if d.kept {
		d.printf("\nThe file is kept. Try:\n")
		d.printf("  mapleaf buckets %s\n", d.file)
		d.printf("  mapleaf scan %s --bucket name --prefix MAPLE\n", d.file)
		d.printf("  mapleaf scan %s --bucket category/So --from 01F330 --to 01F345\n", d.file)
	}
}

func (d *demo) bold(text string) string {
	if d.OutTerminal && os.Getenv("NO_COLOR") == "" {
		return "\x1b[1m" + text + "\x1b[0m"
	}
	return text
}

// rated prints what was done to count things, and how fast.
func (d *demo) rated(what string, count float64, unit string, took time.Duration) {
	d.printf("  %-52s %9s %14s %s/s\n", what, timeText(took), perSecond(count, took), unit)
	d.out.Flush()
}

// timed runs fn and returns how long it took.
func (d *demo) timed(fn func() error) (time.Duration, error) {
	start := d.Now()
	err := fn()
	return d.Now().Sub(start), err
}

// shown is how a character is printed: with its code point and its name.
func shown(code rune, name string) string {
	return strings.TrimRight(fmt.Sprintf("%-8s %-28s %s", fmt.Sprintf("%U", code), name,
		appendText(nil, []byte(string(code)), textLine)), " ")
}

// codeKey is the key of a character in the buckets by code point: six digits,
// so that the order of the keys is that of the code points.
func codeKey(code rune) []byte { return fmt.Appendf(nil, "%06X", code) }
