package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
)

// This file prints a result as text: a table of medians, one of ratios, and
// one line for each measurement that someone else than the base won.

// reportCommand prints a saved result.
func reportCommand(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%w: report RESULT", errUsage)
	}
	r, err := loadResult(args[0])
	if err != nil {
		return err
	}
	return r.writeText(out)
}

// A reportRow is a row of the report together with its workload.
type reportRow struct {
	workload string
	row
}

// rows returns the rows of a group that were measured.
func (r *result) rows(group string) (rows []reportRow) {
	for _, w := range workloads {
		if !r.has(w.name) {
			continue
		}
		for _, line := range w.rows {
			if line.group == group {
				rows = append(rows, reportRow{w.name, line})
			}
		}
	}
	return rows
}

// writeText prints the result.
func (r *result) writeText(out io.Writer) error {
	var b bytes.Buffer
	r.writeHead(&b)
	if len(r.Sizes) > 0 {
		r.writeSizes(&b)
		_, err := out.Write(b.Bytes())
		return err
	}
	r.writeMedians(&b)
	r.writeRatios(&b)
	r.writeLosses(&b)
	r.writeFailures(&b)
	_, err := out.Write(b.Bytes())
	return err
}

// writeHead prints what was measured, and where.
func (r *result) writeHead(b *bytes.Buffer) {
	fmt.Fprintf(b, "%s\n%s\n", r.Date, r.Machine)
	records := groupDigits(r.Scale.Records) + " records"
	if n := len(r.Sizes); n > 0 {
		records = fmt.Sprintf("%s to %s records", groupDigits(r.Sizes[0].Scale.Records),
			groupDigits(r.Sizes[n-1].Scale.Records))
	}
	keys := string(r.Scale.Keys)
	if r.Scale.Contents != "" {
		keys += " of Contents index " + r.Scale.Contents + " as"
	}
	fmt.Fprintf(b, "%s, %s keys, values of %d bytes, seed %d, %d rounds\n",
		records, keys, r.Scale.ValueSize, r.Scale.Seed, r.Rounds)
	fmt.Fprintf(b, "Loads and deletes take %s records a transaction, and wait for no device.\n",
		groupDigits(r.Scale.PerTx))
	fmt.Fprintln(b, "Durable: on stable storage when the commit returns.")
	if r.Machine.FileSystem == "tmpfs" {
		fmt.Fprintln(b, "The files are in memory: durable commits waited for no device.")
	}
	for _, note := range r.Notes {
		fmt.Fprintln(b, note)
	}
	for _, p := range r.Peers {
		fmt.Fprintf(b, "  %s: %s\n", strings.TrimSpace(p.Name+" "+p.Version), p.About)
	}
}

// writeMedians prints the median of each row and how far its rounds lie apart.
func (r *result) writeMedians(b *bytes.Buffer) {
	fmt.Fprint(b, "\nMedians, with (largest - smallest) / median of the rounds; * marks the best\n")
	t := newTable("")
	for _, p := range r.Peers {
		t.head(p.Name)
	}
	for _, group := range groups {
		rows := r.rows(group)
		if len(rows) == 0 {
			continue
		}
		t.title(group)
		for _, line := range rows {
			best := r.best(line.workload, line.metric)
			t.line(line.title)
			for _, p := range r.Peers {
				s := r.summary(line.workload, p.Name, line.metric)
				t.cell(formatSummary(line.metric, s, p.Name == best))
			}
		}
	}
	t.write(b)
}

// formatSummary formats a cell of the table of medians.
func formatSummary(metric string, s summary, best bool) string {
	if s.rounds == 0 {
		return "-"
	}
	text := formatMetric(metric, s.median)
	if s.rounds > 1 {
		text += fmt.Sprintf(" ±%.0f%%", s.spread()*100/2)
	}
	if best {
		return "*" + text
	}
	return text
}

// writeRatios prints each row as multiples of the base.
func (r *result) writeRatios(b *bytes.Buffer) {
	if !r.hasPeer(r.Base) || len(r.Peers) < 2 {
		return
	}
	fmt.Fprintf(b, "\nMedian over the rounds of what a peer takes as a multiple of %s; "+
		"above 1 %s is better\n", r.Base, r.Base)
	t := newTable("")
	for _, p := range r.Peers {
		if p.Name != r.Base {
			t.head(p.Name)
		}
	}
	for _, group := range groups {
		rows := r.rows(group)
		if len(rows) == 0 {
			continue
		}
		t.title(group)
		for _, line := range rows {
			t.line(line.title)
			for _, p := range r.Peers {
				if p.Name != r.Base {
					t.cell(formatRatio(r.ratio(line.workload, p.Name, line.metric)))
				}
			}
		}
	}
	t.write(b)
}

// hasPeer tells whether the peer took part.
func (r *result) hasPeer(name string) bool {
	for _, p := range r.Peers {
		if p.Name == name {
			return true
		}
	}
	return false
}

// writeLosses names each row that a rival wins, and what the rivals that are
// better take of what the base takes.
func (r *result) writeLosses(b *bytes.Buffer) {
	if !r.hasPeer(r.Base) || len(r.Peers) < 2 {
		return
	}
	var lines []string
	for _, group := range groups {
		for _, line := range r.rows(group) {
			if winners := r.winners(line); len(winners) > 0 {
				lines = append(lines, "  "+line.title+": "+strings.Join(winners, ", "))
			}
		}
	}
	if len(lines) == 0 {
		fmt.Fprintf(b, "\n%s wins every row.\n", r.Base)
		return
	}
	fmt.Fprintf(b, "\nRows in which rivals are better than %s, and their share of what it takes:\n",
		r.Base)
	fmt.Fprintln(b, strings.Join(lines, "\n"))
}

// winners returns the peers that are better than the base in a row.
func (r *result) winners(line reportRow) (list []string) {
	for _, p := range r.Peers {
		ratio := r.ratio(line.workload, p.Name, line.metric)
		if p.Name != r.Base && ratio < 1 {
			list = append(list, p.Name+" "+formatRatio(ratio))
		}
	}
	return list
}

// writeFailures prints every measurement that failed.
func (r *result) writeFailures(b *bytes.Buffer) {
	if r.failures() == 0 {
		return
	}
	fmt.Fprintln(b, "\nFailed measurements:")
	for _, s := range r.Samples {
		if s.Error != "" {
			fmt.Fprintf(b, "  %s of %s, round %d: %s\n", s.Workload, s.Peer, s.Round+1, s.Error)
		}
	}
}

// formatMetric formats a figure with the unit that its name ends with.
func formatMetric(metric string, value float64) string {
	switch {
	case metric == allocsPerOp || metric == writeCallsPerOp || metric == callsPerOp ||
		metric == waitsPerOp:
		return fmt.Sprintf("%.2f", value)
	case strings.HasSuffix(metric, "bytes") || metric == bytesPerOp:
		return formatBytes(value)
	}
	return formatNS(value)
}

// formatNS formats a duration in nanoseconds with three digits.
func formatNS(ns float64) string { return formatScaled(ns, 1000, "ns", "us", "ms", "s") }

// formatBytes formats a size with three digits, in powers of 1,000.
func formatBytes(n float64) string { return formatScaled(n, 1000, "B", "kB", "MB", "GB") }

// formatScaled formats value in the largest of the units that it reaches.
func formatScaled(value, step float64, units ...string) string {
	i := 0
	for i+1 < len(units) && math.Abs(value) >= step*0.9995 {
		value /= step
		i++
	}
	switch {
	case value >= 100 || value == math.Trunc(value):
		return fmt.Sprintf("%.0f %s", value, units[i])
	case value >= 10:
		return fmt.Sprintf("%.1f %s", value, units[i])
	}
	return fmt.Sprintf("%.2f %s", value, units[i])
}

// formatRatio formats a multiple.
func formatRatio(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "-"
	case ratio >= 100:
		return fmt.Sprintf("%.0fx", ratio)
	case ratio >= 10:
		return fmt.Sprintf("%.1fx", ratio)
	}
	return fmt.Sprintf("%.2fx", ratio)
}

// groupDigits formats a count with commas.
func groupDigits(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
