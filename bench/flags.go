package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// This file reads the flags of the commands that measure, and writes what they found.

// resultsFolder is where results are kept, below the current folder. Git ignores it.
const resultsFolder = "bench-results"

// normalScale is the size of a run unless flags say otherwise.
var normalScale = scale{
	Records: 1_000_000, Keys: keysRandom, ValueSize: 100, Seed: 1, PerTx: 10_000,
	Commits: 2000, CommitLimit: 3 * time.Second, LargeValues: 128, Opens: 30,
}

// smokeScale is the size of a run that only shows that everything works.
var smokeScale = scale{
	Records: 10_000, Keys: keysRandom, ValueSize: 100, Seed: 1, PerTx: 1000,
	Commits: 60, CommitLimit: 200 * time.Millisecond, LargeValues: 4, Opens: 3,
}

// runFlags are the flags of a command that measures.
type runFlags struct {
	plan
	dir, jsonPath, charts string

	set                          *flag.FlagSet
	keys, workloadList, peerList string
}

// newRunFlags defines the flags that all commands that measure have. An empty name of a
// file leaves it out.
func newRunFlags(name string, normal scale, rounds int, peers, jsonPath, charts string,
	diag io.Writer,
) *runFlags {
	f := &runFlags{plan: plan{scale: normal, progress: diag}}
	f.set = flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	f.set.SetOutput(diag)
	f.set.IntVar(&f.rounds, "rounds", rounds, "rounds; the report shows medians over them")
	f.set.StringVar(&f.peerList, "peers", peers,
		"names of peers, separated by commas; all if empty")
	f.set.StringVar(&f.keys, "keys", string(normal.Keys), "random, ascending or paths")
	f.set.StringVar(&f.contents, "contents", "",
		"Contents index of Debian whose paths are the keys; without it they are made alike")
	f.set.IntVar(&f.scale.ValueSize, "value", normal.ValueSize, "bytes of a value: 8 to 65536")
	f.set.Uint64Var(&f.scale.Seed, "seed", normal.Seed, "all keys and orders follow from it")
	f.set.IntVar(&f.scale.Commits, "commits", normal.Commits,
		"durable commits at most, per writer")
	f.set.DurationVar(&f.scale.CommitLimit, "limit", normal.CommitLimit, "time for them at most")
	f.set.StringVar(&f.dir, "dir", "", "where databases are made; default the temporary folder")
	f.set.StringVar(&f.jsonPath, "json", jsonPath, "file for the result as JSON; empty for none")
	f.set.StringVar(&f.charts, "charts", charts, "folder for the charts as SVG; empty for none")
	f.set.StringVar(&f.base, "base", "mapleaf", "the peer that ratios are formed with")
	f.set.DurationVar(&f.timeout, "timeout", 0,
		"for one measurement; default 20 minutes for each million records begun")
	return f
}

// parseRunFlags reads the flags of `run` and `smoke`, which differ in their
// defaults only.
func parseRunFlags(name string, args []string, diag io.Writer) (*runFlags, error) {
	normal, rounds := normalScale, 5
	jsonPath, charts := filepath.Join(resultsFolder, "result.json"), resultsFolder
	if name == "smoke" {
		normal, rounds, jsonPath, charts = smokeScale, 1, "", ""
	}
	f := newRunFlags(name, normal, rounds, "", jsonPath, charts, diag)
	f.set.IntVar(&f.scale.Records, "n", normal.Records, "records")
	f.set.StringVar(&f.workloadList, "workloads", "", "names of workloads; all if empty")
	f.set.StringVar(&f.profile, "profile", "", "folder for CPU profiles of the measured loops")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	return f, f.complete()
}

// parse reads the command line.
func (f *runFlags) parse(args []string) error {
	err := f.set.Parse(args)
	f.scale.Keys = keyKind(f.keys)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err)
	case f.set.NArg() > 0:
		return fmt.Errorf("%w: %q is not a flag", errUsage, f.set.Arg(0))
	}
	return nil
}

// complete checks the flags, looks up what they name, and makes the folders of what is
// going to be written: better now than after all has been measured.
func (f *runFlags) complete() (err error) {
	switch {
	case f.scale.Records < recordsMin:
		return fmt.Errorf("%w: %d records, want %d at least", errUsage, f.scale.Records, recordsMin)
	case f.rounds < 1:
		return fmt.Errorf("%w: -rounds is %d, want 1 at least", errUsage, f.rounds)
	case f.scale.ValueSize < 8 || f.scale.ValueSize > 65536:
		return fmt.Errorf("%w: -value is %d, want 8 to 65536", errUsage, f.scale.ValueSize)
	case f.scale.Commits < 1:
		return fmt.Errorf("%w: -commits is %d, want 1 at least", errUsage, f.scale.Commits)
	case f.scale.Records > recordsMax:
		return fmt.Errorf("%w: %d records, want %d at most", errUsage, f.scale.Records, recordsMax)
	case f.contents != "" && f.scale.Keys != keysPaths:
		return fmt.Errorf("%w: -contents goes with -keys %s", errUsage, keysPaths)
	case f.timeout < 0:
		return fmt.Errorf("%w: -timeout is %v", errUsage, f.timeout)
	}
	if err := f.scale.Keys.validate(); err != nil {
		return err
	}
	if f.workloads, err = pickWorkloads(f.workloadList); err != nil {
		return err
	}
	if f.peers, err = pickPeers(f.peerList); err != nil {
		return err
	}
	folders := []string{f.profile, f.charts}
	if f.jsonPath != "" {
		folders = append(folders, filepath.Dir(f.jsonPath))
	}
	for _, dir := range folders {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make folder for results: %w", err)
		}
	}
	return nil
}

// recordsMin and recordsMax are the numbers of records that every workload can work with:
// orders of records are kept in 32 bits.
const (
	recordsMin = 100
	recordsMax = 1<<31 - 1
)

// publish prints the result and writes its files. It ends with errProblem if some
// measurement failed.
func (f *runFlags) publish(r *result, out io.Writer) error {
	if err := r.writeText(out); err != nil {
		return err
	}
	if f.jsonPath != "" {
		if err := r.save(f.jsonPath); err != nil {
			return err
		}
		fmt.Fprintln(f.progress, "result written to", f.jsonPath)
	}
	if f.charts != "" {
		if err := r.writeCharts(f.charts); err != nil {
			return err
		}
		fmt.Fprintln(f.progress, "charts written to", f.charts)
	}
	if r.failures() > 0 {
		return errProblem
	}
	return nil
}
