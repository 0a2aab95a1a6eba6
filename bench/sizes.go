package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// This file measures how what an operation takes grows with the number of records: the
// same few workloads at 10,000 records, at ten times as many, and so on. A tree grows by
// a level each time that the records become a hundred times as many or so, and what of
// it lies in a cache becomes less: on a logarithmic axis the cost ought to be a straight
// line.
//
// Invariants:
//
//	Z1 A size is measured like any run: its own databases, processes and rounds. Only
//	   the number of records differs between two sizes.

// sizeFactor is how many times as many records the next size has.
const sizeFactor = 10

// sizeWorkloads are the workloads that are measured at each size: a get, a put and a commit.
var sizeWorkloads = []string{"get-long", "load-random", "put-1"}

// A sizePlan is what `sizes` is going to measure.
type sizePlan struct {
	*runFlags
	from, to int
}

// sizesCommand measures and reports.
func sizesCommand(ctx context.Context, args []string, out, diag io.Writer) error {
	p, err := parseSizesFlags(args, diag)
	if err != nil {
		return err
	}
	r, err := p.execute(ctx)
	if err != nil {
		return err
	}
	return p.publish(r, out)
}

// parseSizesFlags reads the flags of `sizes`.
func parseSizesFlags(args []string, diag io.Writer) (*sizePlan, error) {
	p := &sizePlan{runFlags: newRunFlags("sizes", normalScale, 3, "mapleaf,bbolt",
		filepath.Join(resultsFolder, "sizes.json"), resultsFolder, diag)}
	p.set.IntVar(&p.from, "from", 10_000, "records of the smallest size")
	p.set.IntVar(&p.to, "to", 10_000_000, "records of the largest size at most")
	if err := p.parse(args); err != nil {
		return nil, err
	}
	if p.to > recordsMax {
		return nil, fmt.Errorf("%w: -to is %d, want %d at most", errUsage, p.to, recordsMax)
	}
	if p.to < p.from {
		return nil, fmt.Errorf("%w: -to is %d, below -from, %d", errUsage, p.to, p.from)
	}
	// Transactions of one length, of which also the smallest size has several: what a
	// transaction costs by itself is then the same share at every size.
	p.scale.Records, p.scale.PerTx = p.from, max(1, p.from/10)
	if err := p.complete(); err != nil {
		return nil, err
	}
	p.workloads = nil
	for _, name := range sizeWorkloads {
		w, err := findWorkload(name)
		if err != nil {
			return nil, err
		}
		p.workloads = append(p.workloads, w)
	}
	return p, nil
}

// execute measures all sizes, each in a folder that goes with it. The result has no
// samples of its own, only one result for each size.
func (p *sizePlan) execute(ctx context.Context) (*result, error) {
	var all *result
	for records := p.from; ; records *= sizeFactor {
		fmt.Fprintf(p.progress, "%s records\n", groupDigits(records))
		one, err := p.size(ctx, records)
		if err != nil {
			return nil, err
		}
		if all == nil {
			head := *one
			head.Samples, head.Scale.Records = nil, 0
			head.Date = time.Now().UTC().Format(time.RFC3339)
			all = &head
		}
		all.Sizes = append(all.Sizes, one)
		if records > p.to/sizeFactor {
			return all, nil
		}
	}
}

// size measures one size.
func (p *sizePlan) size(ctx context.Context, records int) (r *result, err error) {
	dir, err := os.MkdirTemp(p.dir, "mapleaf-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder for the databases: %w", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(dir); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("remove folder of the databases: %w", removeErr))
		}
	}()
	one := p.plan
	one.scale.Records = records
	return one.execute(ctx, dir)
}

// sizeRows returns the rows that a result of sizes shows.
func (r *result) sizeRows() (rows []reportRow) {
	for _, name := range sizeWorkloads {
		if w, err := findWorkload(name); err == nil {
			rows = append(rows, reportRow{name, w.rows[0]})
		}
	}
	return rows
}

// writeSizes prints the tables of a result of sizes.
func (r *result) writeSizes(b *bytes.Buffer) {
	fmt.Fprint(b, "\nMedians, with (largest - smallest) / median of the rounds; * marks the best\n")
	r.sizeTable(b, func(one *result, line reportRow, peer string) string {
		best := one.best(line.workload, line.metric)
		return formatSummary(line.metric, one.summary(line.workload, peer, line.metric), peer == best)
	})
	fmt.Fprintf(b, "\nMedians as a multiple of those at %s records\n",
		groupDigits(r.Sizes[0].Scale.Records))
	r.sizeTable(b, func(one *result, line reportRow, peer string) string {
		now := one.summary(line.workload, peer, line.metric)
		first := r.Sizes[0].summary(line.workload, peer, line.metric)
		return formatRatio(now.median / first.median)
	})
	for _, one := range r.Sizes {
		one.writeFailures(b)
	}
}

// sizeTable prints a table with a line for each size of each row.
func (r *result) sizeTable(b *bytes.Buffer, cell func(*result, reportRow, string) string) {
	t := newTable("")
	for _, p := range r.Peers {
		t.head(p.Name)
	}
	for _, line := range r.sizeRows() {
		t.title(line.title)
		for _, one := range r.Sizes {
			t.line(groupDigits(one.Scale.Records) + " records")
			for _, p := range r.Peers {
				t.cell(cell(one, line, p.Name))
			}
		}
	}
	t.write(b)
}
