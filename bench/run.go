package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A plan is what a run is going to measure.
type plan struct {
	workloads []workload
	peers     []peer
	rounds    int
	scale     scale
	timeout   time.Duration // for one child
	profile   string        // folder for CPU profiles; empty for none
	progress  io.Writer
}

// runFlags are the flags of a run.
type runFlags struct {
	plan
	dir, jsonPath, charts, base string
}

// runCommand measures and reports.
func runCommand(ctx context.Context, name string, args []string, out, diag io.Writer) error {
	f, err := parseRunFlags(name, args, diag)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(f.dir, "mapleaf-bench-")
	if err != nil {
		return fmt.Errorf("make folder for the databases: %w", err)
	}
	result, err := f.execute(ctx, dir)
	if removeErr := os.RemoveAll(dir); err == nil && removeErr != nil {
		err = fmt.Errorf("remove folder of the databases: %w", removeErr)
	}
	if err != nil {
		return err
	}
	result.Base = f.base
	if err := result.writeText(out); err != nil {
		return err
	}
	if f.jsonPath != "" {
		if err := result.save(f.jsonPath); err != nil {
			return err
		}
	}
	if f.charts != "" {
		if err := result.writeCharts(f.charts); err != nil {
			return err
		}
	}
	if result.failures() > 0 {
		return errProblem
	}
	return nil
}

// parseRunFlags reads the flags of `run` and `smoke`, which differ in their
// defaults only.
func parseRunFlags(name string, args []string, diag io.Writer) (*runFlags, error) {
	f := &runFlags{}
	normal := scale{
		Records: 1_000_000, Keys: keysRandom, ValueSize: 100, Seed: 1, PerTx: 10_000,
		Commits: 2000, CommitLimit: 3 * time.Second, LargeValues: 128, Opens: 30,
	}
	rounds := 5
	if name == "smoke" {
		normal.Records, normal.PerTx = 10_000, 1000
		normal.Commits, normal.CommitLimit = 60, 200*time.Millisecond
		normal.LargeValues, normal.Opens = 4, 3
		rounds = 1
	}
	f.scale = normal
	var keys, workloadList, peerList string
	flags := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	flags.SetOutput(diag)
	flags.IntVar(&f.scale.Records, "n", normal.Records, "records")
	flags.IntVar(&f.rounds, "rounds", rounds, "rounds; the report shows medians over them")
	flags.StringVar(&peerList, "peers", "", "names of peers, separated by commas; default all")
	flags.StringVar(&workloadList, "workloads", "", "names of workloads; default all")
	flags.StringVar(&keys, "keys", string(normal.Keys), "random, ascending or paths")
	flags.IntVar(&f.scale.ValueSize, "value", normal.ValueSize, "bytes of a value: 8 to 65536")
	flags.Uint64Var(&f.scale.Seed, "seed", normal.Seed, "all keys and orders follow from it")
	flags.IntVar(&f.scale.Commits, "commits", normal.Commits, "durable commits at most, per writer")
	flags.DurationVar(&f.scale.CommitLimit, "limit", normal.CommitLimit, "time for them at most")
	flags.StringVar(&f.dir, "dir", "", "where databases are made; default the temporary folder")
	flags.StringVar(&f.jsonPath, "json", "", "file for the result as JSON")
	flags.StringVar(&f.charts, "charts", "", "folder for the charts as SVG")
	flags.StringVar(&f.profile, "profile", "", "folder for CPU profiles of the measured loops")
	flags.StringVar(&f.base, "base", "mapleaf", "the peer that ratios are formed with")
	flags.DurationVar(&f.timeout, "timeout", 20*time.Minute, "for one measurement")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	f.scale.Keys = keyKind(keys)
	f.progress = diag
	return f, f.complete(flags.Args(), workloadList, peerList)
}

// complete checks the flags and looks up what they name.
func (f *runFlags) complete(rest []string, workloadList, peerList string) (err error) {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%w: %q is not a flag", errUsage, rest[0])
	case f.scale.Records < 100:
		return fmt.Errorf("%w: -n is %d, want 100 at least", errUsage, f.scale.Records)
	case f.rounds < 1:
		return fmt.Errorf("%w: -rounds is %d, want 1 at least", errUsage, f.rounds)
	case f.scale.ValueSize < 8 || f.scale.ValueSize > 65536:
		return fmt.Errorf("%w: -value is %d, want 8 to 65536", errUsage, f.scale.ValueSize)
	case f.scale.Commits < 1:
		return fmt.Errorf("%w: -commits is %d, want 1 at least", errUsage, f.scale.Commits)
	}
	if err := f.scale.Keys.validate(); err != nil {
		return err
	}
	if f.workloads, err = pickWorkloads(workloadList); err != nil {
		return err
	}
	if f.peers, err = pickPeers(peerList); err != nil {
		return err
	}
	if f.profile != "" {
		if err := os.MkdirAll(f.profile, 0o755); err != nil {
			return fmt.Errorf("make folder for profiles: %w", err)
		}
	}
	return nil
}

// execute measures the whole plan below dir. A measurement that fails is part
// of the result; the error is for a run that cannot go on.
func (p *plan) execute(ctx context.Context, dir string) (*result, error) {
	res := &result{
		Format:  resultFormat,
		Date:    time.Now().UTC().Format(time.RFC3339),
		Machine: describeMachine(dir),
		Scale:   p.scale,
		Rounds:  p.rounds,
	}
	for _, peer := range p.peers {
		res.Peers = append(res.Peers, peerFacts{
			Name: peer.name, About: peer.about, Version: moduleVersion(peer.module),
		})
	}
	fixtures := &fixtureSet{plan: p, dir: filepath.Join(dir, "fixtures"), made: map[string]error{}}
	for _, w := range p.workloads {
		for round := range p.rounds {
			for _, peer := range p.peers {
				if !peer.runs(w.name) {
					continue
				}
				if err := ctx.Err(); err != nil {
					return nil, fmt.Errorf("measure: %w", err)
				}
				m, err := p.once(ctx, fixtures, w, peer, filepath.Join(dir, "work"), round)
				res.add(w, peer, round, m, err)
				p.report(w, peer, round, m, err)
			}
		}
	}
	return res, nil
}

// once measures one workload of one peer in one round.
func (p *plan) once(ctx context.Context, fixtures *fixtureSet, w workload, peer peer,
	work string, round int,
) (m metrics, err error) {
	dir := work
	if w.fixture {
		fixture, err := fixtures.get(ctx, peer)
		if err != nil {
			return nil, err
		}
		dir = fixture
		if w.writes {
			dir = work
			if err := copyFolder(work, fixture); err != nil {
				return nil, err
			}
		}
	} else if err := os.Mkdir(work, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of a measurement: %w", err)
	}
	if dir == work {
		defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	}
	t := task{Workload: w.name, Peer: peer.name, Dir: dir, Scale: p.scale}
	if p.profile != "" {
		name := fmt.Sprintf("%s.%s.%d.pprof", w.name, peer.name, round+1)
		t.Profile = filepath.Join(p.profile, name)
	}
	return p.child(ctx, t)
}

// child runs a child within the time that one may take.
func (p *plan) child(ctx context.Context, t task) (metrics, error) {
	late := fmt.Errorf("not finished within %v", p.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, late)
	defer cancel()
	return runChild(ctx, t)
}

// report tells how far the run is.
func (p *plan) report(w workload, peer peer, round int, m metrics, err error) {
	text := ""
	if err != nil {
		text = "FAILED: " + err.Error()
	} else if value, ok := m[w.rows[0].metric]; ok {
		text = formatMetric(w.rows[0].metric, value)
	}
	fmt.Fprintf(p.progress, "%-14s %-16s round %d of %d  %s\n",
		w.name, peer.name, round+1, p.rounds, strings.TrimSpace(text))
}
