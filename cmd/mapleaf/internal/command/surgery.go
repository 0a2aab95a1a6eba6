package command

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const surgeryText = `Surgery is for a file that does not open, or opens at a state that is
damaged. It never changes the file: its commands show what there is, or make a
copy that opens at another state. Where pages are destroyed, "mapleaf recover"
is the better choice.`

const surgeryMetaText = `Meta shows the two metas of a file, each of which describes a state:
the newest, and mostly the one before. It says which of them counts when the
file is opened, and why.`

const revertText = `Revert-meta makes a copy, NEW, that opens at the older meta of FILE. It
is of use if the newest state is damaged, and the one before is not: the pages
that the newest commit has replaced are still in the file. If only one meta
verifies, the copy opens at that one.

What is lost: everything that was committed after that state, also what the
redo log holds. Without a log that is one commit; with one, it can be all since
the last checkpoint but one. The command says which transactions.`

const dropLogText = `Drop-log makes a copy, NEW, that opens at the last checkpoint of FILE,
as if there were no redo log. It is of use if the log is damaged, and the file
does not open for that. (Recover does more: it takes the records of the log that
are whole.)

What is lost: everything that was committed since the last checkpoint, which is
all that the log holds. The command says which transactions.`

func newSurgery(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "surgery",
		Short: "Show the metas of a file, or copy it at another state",
		Long:  surgeryText,
		Args:  between(1, "COMMAND", "ARGUMENT..."),
		RunE: func(_ *cobra.Command, args []string) error {
			return usagef("there is no command %q of surgery", args[0])
		},
	}
	cmd.AddCommand(newSurgeryMeta(a),
		a.newOperation("revert-meta", "Copy a file so that it opens at its older meta", revertText,
			mapleaf.RevertMeta),
		a.newOperation("drop-log", "Copy a file so that it opens without its log", dropLogText,
			mapleaf.DropLog))
	return cmd
}

func newSurgeryMeta(a *app) *cobra.Command {
	format := newChoice(formatText, formatJSON)
	cmd := &cobra.Command{
		Use:     "meta FILE",
		Short:   "Show both metas, and which of them counts",
		Long:    surgeryMetaText,
		Example: "  mapleaf surgery meta notes.db",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := exists(args[0]); err != nil {
				return err
			}
			metas, err := mapleaf.ReadMetas(cmd.Context(), args[0], a.timeout)
			if err != nil {
				return openError(args[0], err)
			}
			if format.value == formatJSON {
				err = a.printMetasJSON(metas)
			} else {
				a.printMetas(metas)
			}
			if err == nil && metas.Taken < 0 {
				err = errShown
			}
			return err
		},
	}
	addChoiceFlag(cmd, &format, "format", "f", "how to print")
	return cmd
}

func (a *app) printMetas(m *mapleaf.Metas) {
	for i := range m.Slots {
		s := &m.Slots[i]
		a.printf("meta %d\n", i)
		row := func(name, format string, args ...any) {
			a.printf("  %-18s %s\n", name, fmt.Sprintf(format, args...))
		}
		if s.Err != nil {
			row("damaged", "%s", plainText(s.Err))
			continue
		}
		row("transaction", "%s", commas(uint64(s.TxID)))
		row("durable through", "%s", commas(uint64(s.Durable)))
		row("written by", "%s", writtenBy(s))
		row("page size", "%s", bytesText(int64(s.PageSize)))
		row("pages", "%s", commas(uint64(s.Pages)))
		row("root", "%s", rootOf(s))
		if s.LogPages > 0 {
			row("log", "%s, through transaction %s", plural(uint64(s.LogPages), "page"),
				commas(uint64(s.LogTxID)))
		}
		row("database", "%s", hex.EncodeToString(s.FileID[:]))
		if s.Whole != nil {
			row("not whole", "%s", plainText(s.Whole))
		}
	}
	a.printf("%s\n", takenText(m))
}

func writtenBy(s *mapleaf.MetaInfo) string {
	if s.Closed {
		return "Close: the file was closed properly"
	}
	return "a commit"
}

func rootOf(s *mapleaf.MetaInfo) string {
	if s.Root == 0 {
		return "none: there are no buckets"
	}
	return fmt.Sprintf("page %d", s.Root)
}

// takenText says which meta counts, and why.
func takenText(m *mapleaf.Metas) string {
	if m.Taken < 0 {
		return "neither counts: " + plainText(m.Err)
	}
	s, other := &m.Slots[m.Taken], &m.Slots[1-m.Taken]
	why := "it is the newer one"
	switch {
	case other.Err != nil:
		why = "the other one is damaged"
	case other.TxID == s.TxID:
		why = "both are of the same state"
	case other.TxID > s.TxID:
		why = "the newer one is not whole, and nothing shows that it was ever durable"
	}
	if s.LogTxID > s.TxID {
		why += fmt.Sprintf("; the log leads on to transaction %s", commas(uint64(s.LogTxID)))
	}
	return fmt.Sprintf("meta %d counts: %s", m.Taken, why)
}

// plainText returns the text of an error in one line, without the name of the store.
func plainText(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	return strings.ReplaceAll(text, "mapleaf: ", "")
}

// metaLine is a meta in JSON.
type metaLine struct {
	Meta        int    `json:"meta"`
	Counts      bool   `json:"counts"`
	Damaged     string `json:"damaged,omitempty"`
	Transaction int    `json:"transaction"`
	Durable     int    `json:"durable"`
	Closed      bool   `json:"closed"`
	PageBytes   int    `json:"page_bytes"`
	Pages       int    `json:"pages"`
	Root        int    `json:"root"`
	LogPages    int    `json:"log_pages"`
	LogTxID     int    `json:"log_transaction"`
	Database    string `json:"database"`
	NotWhole    string `json:"not_whole,omitempty"`
}

func (a *app) printMetasJSON(m *mapleaf.Metas) error {
	lines := json.NewEncoder(a.out)
	for i := range m.Slots {
		s := &m.Slots[i]
		line := metaLine{
			Meta: i, Counts: m.Taken == i, Transaction: s.TxID, Durable: s.Durable, Closed: s.Closed,
			PageBytes: s.PageSize, Pages: s.Pages, Root: s.Root, LogPages: s.LogPages,
			LogTxID: s.LogTxID, Database: hex.EncodeToString(s.FileID[:]),
		}
		if s.Err != nil {
			line.Damaged = plainText(s.Err)
		}
		if s.Whole != nil {
			line.NotWhole = plainText(s.Whole)
		}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// operation is mapleaf.RevertMeta or mapleaf.DropLog.
type operation func(ctx context.Context, dst, src string, o *mapleaf.SurgeryOptions) (
	*mapleaf.SurgeryReport, error)

func (a *app) newOperation(name, short, long string, do operation) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     name + " FILE NEW",
		Short:   short,
		Long:    long + "\n\nThe copy is checked; exit code 1 tells that there are problems in it.",
		Example: "  mapleaf surgery " + name + " notes.db other.db",
		Args:    exactly("FILE", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := exists(args[0]); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			o := &mapleaf.SurgeryOptions{Overwrite: force, Timeout: a.timeout}
			r, err := do(ctx, args[1], args[0], o)
			if err != nil {
				return copyError(args[0], args[1], err)
			}
			return a.printOperation(args[1], r)
		},
	}
	addForceFlag(cmd, &force)
	return cmd
}

func (a *app) printOperation(file string, r *mapleaf.SurgeryReport) error {
	a.printf("%s: opens at meta %d, transaction %s\n", file, r.Meta, commas(uint64(r.TxID)))
	switch {
	case r.LastTxID <= r.TxID:
		a.printf("no later transaction was seen: nothing is lost\n")
	case r.LastTxID == r.TxID+1:
		a.printf("lost: transaction %s\n", commas(uint64(r.LastTxID)))
	default:
		a.printf("lost: transactions %s to %s\n", commas(uint64(r.TxID+1)), commas(uint64(r.LastTxID)))
	}
	for _, problem := range r.Problems {
		a.printf("problem: %s\n", strings.TrimPrefix(problem.Error(), "mapleaf: "))
	}
	if len(r.Problems) > 0 {
		a.printf("%s: %s\n", file, plural(uint64(len(r.Problems)), "problem"))
		return errShown
	}
	a.printf("%s: no problems\n", file)
	return nil
}
