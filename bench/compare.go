package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
)

// This file compares two results.
//
// A change counts only if it is larger than the threshold and the rounds of the
// two results do not overlap, so that noise is not taken for a change. What the
// other peers of the same row did is shown beside it: if they moved alike, the
// machine changed and not the store.

// A change is how a row of one peer moved from one result to the next.
type change struct {
	peer     string
	row      reportRow
	old, new summary
	drift    float64 // median of new/old over the other peers; NaN if there is none
}

// factor returns new/old.
func (c change) factor() float64 { return c.new.median / c.old.median }

// clear tells whether all rounds of one result lie beyond all of the other.
func (c change) clear() bool { return c.new.min > c.old.max || c.new.max < c.old.min }

// verdict says whether the row became better or worse by more than the
// threshold, a share such as 0.1.
func (c change) verdict(threshold float64) string {
	factor := c.factor()
	switch {
	case math.IsNaN(factor) || !c.clear():
		return ""
	case factor > 1+threshold:
		return "worse"
	case factor < 1/(1+threshold):
		return "better"
	}
	return ""
}

// compareCommand compares two saved results. It ends with errProblem if
// something became worse.
func compareCommand(args []string, out, diag io.Writer) error {
	flags := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	flags.SetOutput(diag)
	only := flags.String("peer", "mapleaf", "the peer to compare; \"all\" for every one")
	percent := flags.Float64("threshold", 10, "change in percent that counts")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("%w: compare [flags] OLD NEW", errUsage)
	}
	older, err := loadResult(flags.Arg(0))
	if err != nil {
		return err
	}
	newer, err := loadResult(flags.Arg(1))
	if err != nil {
		return err
	}
	if err := comparable(older, newer); err != nil {
		return err
	}
	worse, err := writeChanges(out, changes(older, newer, *only), *percent/100)
	if err == nil && worse > 0 {
		return errProblem
	}
	return err
}

// comparable returns an error if the results measured different work.
func comparable(older, newer *result) error {
	if older.Scale != newer.Scale {
		return fmt.Errorf("%w: the results differ in size: %+v and %+v",
			errUsage, older.Scale, newer.Scale)
	}
	return nil
}

// changes returns what both results measured of the peer, or of all peers, at each size
// that both have.
func changes(older, newer *result, only string) (list []change) {
	for _, one := range newer.Sizes {
		for _, before := range older.Sizes {
			if before.Scale != one.Scale {
				continue
			}
			for _, c := range changes(before, one, only) {
				c.row.title += ", " + groupDigits(one.Scale.Records) + " records"
				list = append(list, c)
			}
		}
	}
	for _, group := range groups {
		for _, line := range newer.rows(group) {
			for _, p := range newer.Peers {
				if only != "all" && p.Name != only {
					continue
				}
				c := change{
					peer: p.Name, row: line,
					old: older.summary(line.workload, p.Name, line.metric),
					new: newer.summary(line.workload, p.Name, line.metric),
				}
				if c.old.rounds == 0 || c.new.rounds == 0 {
					continue
				}
				c.drift = drift(older, newer, p.Name, line)
				list = append(list, c)
			}
		}
	}
	return list
}

// drift returns the median of new/old over the peers other than the named one.
func drift(older, newer *result, except string, line reportRow) float64 {
	var factors []float64
	for _, p := range newer.Peers {
		before := older.summary(line.workload, p.Name, line.metric)
		after := newer.summary(line.workload, p.Name, line.metric)
		if p.Name != except && before.rounds > 0 && after.rounds > 0 && before.median > 0 {
			factors = append(factors, after.median/before.median)
		}
	}
	slices.Sort(factors)
	return quantile(factors, 0.5)
}

// writeChanges prints the changes and returns how many rows became worse.
func writeChanges(out io.Writer, list []change, threshold float64) (worse int, err error) {
	var b bytes.Buffer
	if len(list) == 0 {
		fmt.Fprintln(&b, "The results have no measurement in common.")
	}
	t := newTable("")
	for _, name := range []string{"peer", "old", "new", "new/old", "others", ""} {
		t.head(name)
	}
	better := 0
	for _, c := range list {
		verdict := c.verdict(threshold)
		switch verdict {
		case "worse":
			worse++
		case "better":
			better++
		}
		t.line(c.row.title)
		t.cell(c.peer)
		t.cell(formatSummary(c.row.metric, c.old, false))
		t.cell(formatSummary(c.row.metric, c.new, false))
		t.cell(formatRatio(c.factor()))
		t.cell(formatRatio(c.drift))
		t.cell(verdict)
	}
	t.write(&b)
	fmt.Fprintf(&b, "\n%d rows: %d worse, %d better by more than %.0f%% and beyond their spread\n",
		len(list), worse, better, threshold*100)
	_, err = out.Write(b.Bytes())
	return worse, err
}
