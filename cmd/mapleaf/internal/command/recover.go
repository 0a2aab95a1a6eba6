package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/jsontext"
)

const recoverText = `Recover reads every page of the file DAMAGED, takes what verifies, and
writes a new file, NEW. DAMAGED is not changed, and may be in any state: without
metas, cut off, with pages that the drive cannot read. With one page destroyed,
everything that lies in the others is saved.

It follows the file from its roots. Where a page is missing, it looks for the
pages that only this one led to, and puts them where their keys belong; then it
does again what the redo log tells. Old versions of pages, which lie between
those in use, are left out. Buckets whose names were lost are called
recovered-PAGE.

It prints what was saved and what is missing, by bucket and range of keys. A
guess is what was saved although the file does not prove that it belongs to the
newest state, or to that bucket; --certain leaves all that out.

Exit codes: 0 everything is there; 1 something is missing, or a guess, or the
work could not be done; 2 the command line is wrong.`

// recovery is what one recover command was asked for.
type recovery struct {
	damaged, new string
	force        bool
	json         bool
	format       choice
	options      mapleaf.SalvageOptions
}

func newRecover(a *app) *cobra.Command {
	r := &recovery{format: newChoice(formatText, formatJSON)}
	cmd := &cobra.Command{
		Use:   "recover DAMAGED NEW",
		Short: "Save what a damaged file still holds into a new one",
		Long:  recoverText,
		Example: "  mapleaf recover notes.db saved.db\n" +
			"  mapleaf recover notes.db saved.db --json | jq .missing",
		Args: exactly("DAMAGED", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.damaged, r.new = args[0], args[1]
			if n := r.options.PageSize; n != 0 && (n < 4096 || n > 65536 || n&(n-1) != 0) {
				return usagef("--page-size %d is no power of two from 4096 to 65536", n)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return a.recover(ctx, r)
		},
	}
	flags := cmd.Flags()
	addForceFlag(cmd, &r.force)
	flags.BoolVar(&r.options.CertainOnly, "certain", false, "leave out what would be a guess")
	flags.IntVar(&r.options.PageSize, "page-size", 0,
		"`BYTES` of a page, if the file does not tell any more")
	addChoiceFlag(cmd, &r.format, "format", "f", "how to print the report")
	flags.BoolVar(&r.json, "json", false, "the same as --format json")
	return cmd
}

// addForceFlag adds the flag by which a command replaces the file that it makes.
func addForceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "replace NEW if there is such a file")
}

func (a *app) recover(ctx context.Context, r *recovery) error {
	if err := exists(r.damaged); err != nil {
		return err
	}
	info, err := os.Stat(r.damaged)
	if err != nil {
		return err
	}
	bar := a.newStages(info.Size())
	r.options.Overwrite, r.options.Timeout = r.force, a.timeout
	r.options.Progress = bar.show
	report, err := mapleaf.Salvage(ctx, r.new, r.damaged, &r.options)
	bar.end()
	if err != nil {
		return copyError(r.damaged, r.new, err)
	}
	if r.json || r.format.value == formatJSON {
		err = a.printRecoveryJSON(report)
	} else {
		a.printRecovery(r, report)
	}
	if err == nil && !report.Complete() {
		err = errShown
	}
	return err
}

// copyError says which file it is that an error of making new from file is about.
func copyError(file, new string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return &fileError{new, errors.New("this file exists already: name a new one, or say --force")}
	}
	return openError(file, err)
}

// stages is a progress bar for work in stages over the pages of a file; its bar is nil if
// nobody would see it.
type stages struct {
	bar   *progressbar.ProgressBar
	size  int64
	stage string
}

func (a *app) newStages(size int64) *stages {
	return &stages{bar: a.newBar("reading", size), size: size}
}

// show moves the bar. One that cannot be drawn is no reason to stop.
func (s *stages) show(p mapleaf.SalvageProgress) {
	if s.bar == nil {
		return
	}
	if p.Stage != s.stage {
		s.stage = p.Stage
		s.bar.Describe(p.Stage)
	}
	// The bar ends itself at its maximum, but the work goes on.
	_ = s.bar.Set64(min(s.size*p.Done/max(p.Total, 1), max(s.size-1, 0)))
}

func (s *stages) end() {
	if s.bar != nil {
		_ = s.bar.Clear()
	}
}

// printRecovery prints the report for people.
func (a *app) printRecovery(r *recovery, s *mapleaf.SalvageReport) {
	row := func(name, format string, args ...any) {
		a.printf("%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("state", "%s", s.State)
	if s.LogTxID > 0 {
		row("log", "through transaction %s", commas(uint64(s.LogTxID)))
	}
	row("pages", "%s of %s", commas(s.Read), bytesText(int64(s.PageSize)))
	row("good", "%s", pagesText(&s.Good))
	row("damaged", "%s", pagesText(&s.Damaged))
	if s.Unreadable > 0 {
		row("unreadable", "%s", plural(s.Unreadable, "page"))
	}
	row("saved", "%s in %s, into %s", plural(s.Records, "record"), plural(s.Buckets, "bucket"), r.new)
	for _, m := range s.Missing {
		row("missing", "%s", rangeText(&m))
	}
	for _, g := range s.Guesses {
		row("guess", "%s", rangeText(&g))
	}
	for _, b := range s.Recovered {
		row("recovered", "%s of a bucket whose name is lost, in %s (page %d)",
			plural(b.Records, "record"), b.Name, b.Page)
	}
	for _, note := range s.Notes {
		row("note", "%s", note)
	}
	if s.Complete() {
		a.printf("nothing is missing\n")
	}
}

// pagesText counts pages by their kinds.
func pagesText(p *mapleaf.SalvagePages) string {
	var kinds []string
	for _, k := range []struct {
		count uint64
		name  string
	}{
		{p.Branch, "branch"}, {p.Leaf, "leaf"}, {p.Extent, "overflow"},
		{p.FreeSpace, "free-space"}, {p.Manifest, "manifest"},
	} {
		if k.count > 0 {
			kinds = append(kinds, commas(k.count)+" "+k.name)
		}
	}
	if len(kinds) == 0 {
		return "none"
	}
	return strings.Join(kinds, ", ")
}

// rangeText describes a range of keys, with its records and why it is named.
func rangeText(r *mapleaf.SalvageRange) string {
	var b strings.Builder
	switch {
	case r.Counted:
		b.WriteString(plural(r.Records, "record"))
	case r.Kind == "meta", r.Kind == "log":
		b.WriteString("of all buckets")
	default:
		b.WriteString("an unknown number of records")
	}
	path := bucketPath(r.Bucket)
	if len(path) > 0 {
		fmt.Fprintf(&b, " of %s", path.String())
	} else if r.Counted {
		b.WriteString(" below the root")
	}
	if single := len(r.To) == len(r.From)+1 && strings.HasPrefix(string(r.To), string(r.From)) &&
		r.To[len(r.To)-1] == 0; single && len(r.From) > 0 {
		fmt.Fprintf(&b, " with the key %s", appendText(nil, r.From, textName))
	} else {
		if len(r.From) > 0 {
			fmt.Fprintf(&b, " from %s", appendText(nil, r.From, textName))
		}
		if r.To != nil {
			fmt.Fprintf(&b, " before %s", appendText(nil, r.To, textName))
		}
	}
	if r.Page > 0 {
		fmt.Fprintf(&b, " (page %d: %s)", r.Page, r.Reason)
	} else {
		fmt.Fprintf(&b, " (%s)", r.Reason)
	}
	return b.String()
}

// jsonBytes is a key in JSON, as other commands print keys; nil is null.
type jsonBytes []byte

// MarshalJSON implements json.Marshaler.
func (b jsonBytes) MarshalJSON() ([]byte, error) {
	if b == nil {
		return []byte("null"), nil
	}
	return jsontext.AppendBytes(nil, b), nil
}

// recoveryRange is a range of keys as the report has it in JSON.
type recoveryRange struct {
	Bucket  string    `json:"bucket"`
	From    jsonBytes `json:"from"`
	To      jsonBytes `json:"to"`
	Records *uint64   `json:"records"`
	Page    int       `json:"page"`
	Kind    string    `json:"kind"`
	Reason  string    `json:"reason"`
}

// recoveredBucket is a bucket without a name in JSON.
type recoveredBucket struct {
	Bucket      string `json:"bucket"`
	Page        int    `json:"page"`
	Transaction int    `json:"transaction"`
	Records     uint64 `json:"records"`
	Certain     bool   `json:"certain"`
}

// recoveryReport is what recover prints in JSON.
type recoveryReport struct {
	Complete    bool                 `json:"complete"`
	State       string               `json:"state"`
	Transaction int                  `json:"transaction"`
	Log         int                  `json:"log_transaction"`
	PageBytes   int                  `json:"page_bytes"`
	Read        uint64               `json:"pages_read"`
	Unreadable  uint64               `json:"pages_unreadable"`
	Empty       uint64               `json:"pages_empty"`
	Other       uint64               `json:"pages_other"`
	Good        mapleaf.SalvagePages `json:"pages_good"`
	Damaged     mapleaf.SalvagePages `json:"pages_damaged"`
	Buckets     uint64               `json:"buckets"`
	Records     uint64               `json:"records"`
	Missing     []recoveryRange      `json:"missing"`
	Guesses     []recoveryRange      `json:"guesses"`
	Recovered   []recoveredBucket    `json:"recovered"`
	Notes       []string             `json:"notes"`
}

func (a *app) printRecoveryJSON(s *mapleaf.SalvageReport) error {
	r := recoveryReport{
		Complete: s.Complete(), State: s.State, Transaction: s.TxID, Log: s.LogTxID,
		PageBytes: s.PageSize, Read: s.Read, Unreadable: s.Unreadable, Empty: s.Empty,
		Other: s.Other, Good: s.Good, Damaged: s.Damaged, Buckets: s.Buckets, Records: s.Records,
		Missing: jsonRanges(s.Missing), Guesses: jsonRanges(s.Guesses),
		Recovered: []recoveredBucket{}, Notes: append([]string{}, s.Notes...),
	}
	for _, b := range s.Recovered {
		r.Recovered = append(r.Recovered,
			recoveredBucket{bucketName([]byte(b.Name)), b.Page, b.TxID, b.Records, b.Certain})
	}
	out := json.NewEncoder(a.out)
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

func jsonRanges(ranges []mapleaf.SalvageRange) []recoveryRange {
	all := []recoveryRange{}
	for _, r := range ranges {
		path := bucketPath(r.Bucket)
		line := recoveryRange{
			Bucket: path.String(), From: r.From, To: r.To, Page: r.Page, Kind: r.Kind, Reason: r.Reason,
		}
		if r.Counted {
			line.Records = &r.Records
		}
		all = append(all, line)
	}
	return all
}
