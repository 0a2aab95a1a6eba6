package command

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const readersText = `Readers lists the processes that have a file open, and what they read: the
state that a read transaction sees, how many transactions it lies behind, for
how long it is open at least, and how many pages were freed since that it still
keeps from being used again.`

// processLine is what readers prints of a process, in JSON with these names.
type processLine struct {
	Process int          `json:"process"`
	Writer  bool         `json:"writer"`
	Readers []readerLine `json:"readers"`
}

type readerLine struct {
	Transaction int     `json:"transaction"`
	Lag         int     `json:"lag"`
	Seconds     float64 `json:"seconds"`
	PagesHeld   int     `json:"pages_held"`
}

func newReaders(a *app) *cobra.Command {
	format := newChoice(formatText, formatJSON)
	cmd := &cobra.Command{
		Use:   "readers FILE",
		Short: "List the processes that have a file open, and what they hold back",
		Long:  readersText,
		Args:  exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.processes(args[0])
			if err != nil {
				return err
			}
			if format.value == formatJSON {
				return a.printReadersJSON(all)
			}
			a.printReaders(all)
			return nil
		},
	}
	addChoiceFlag(cmd, &format, "format", "f", "how to print")
	return cmd
}

// processes returns those that have the file open, without this one.
func (a *app) processes(file string) (others []mapleaf.Process, err error) {
	err = a.viewDB(file, func(db *mapleaf.DB) error {
		all, err := db.Processes()
		for _, p := range all {
			if !p.Self || len(p.Readers) > 0 {
				others = append(others, p)
			}
		}
		return err
	})
	return others, err
}

func (a *app) printReaders(all []mapleaf.Process) {
	readers := 0
	for _, p := range all {
		note := ""
		if p.Writer {
			note = ", has the writer lock"
		}
		a.printf("process %d%s\n", p.PID, note)
		for _, r := range p.Readers {
			age := "less than 2 s"
			if r.Age >= time.Second {
				age = timeText(r.Age.Round(time.Second))
			}
			a.printf("  state %s, %s behind, open for %s, holds %s\n", commas(uint64(r.TxID)),
				plural(uint64(max(r.Lag, 0)), "transaction"), age, plural(uint64(r.Pages), "page"))
		}
		readers += len(p.Readers)
	}
	noun := "processes"
	if len(all) == 1 {
		noun = "process"
	}
	a.printf("%d %s, %s\n", len(all), noun, plural(uint64(readers), "state")+" in use")
}

func (a *app) printReadersJSON(all []mapleaf.Process) error {
	lines := json.NewEncoder(a.out)
	for _, p := range all {
		line := processLine{Process: p.PID, Writer: p.Writer, Readers: []readerLine{}}
		for _, r := range p.Readers {
			line.Readers = append(line.Readers, readerLine{r.TxID, r.Lag, r.Age.Seconds(), r.Pages})
		}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
