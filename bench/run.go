package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A plan is what a run is going to measure.
type plan struct {
	workloads []workload
	peers     []peer
	rounds    int
	scale     scale
	timeout   time.Duration // for one child; 0 = by the number of records
	profile   string        // folder for CPU profiles; empty for none
	base      string        // the peer that ratios are formed with
	progress  io.Writer
	contents  string // Contents index whose paths are the keys; empty for none
	paths     string // the list made of it
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
	return f.publish(result, out)
}

// execute measures the whole plan below dir. A measurement that fails is part
// of the result; the error is for a run that cannot go on.
func (p *plan) execute(ctx context.Context, dir string) (_ *result, err error) {
	if p.contents != "" {
		p.paths = filepath.Join(dir, "paths")
		if p.scale.Contents, err = copyContents(p.paths, p.contents); err != nil {
			return nil, err
		}
	}
	res := &result{
		Format:  resultFormat,
		Date:    time.Now().UTC().Format(time.RFC3339),
		Machine: describeMachine(dir),
		Scale:   p.scale,
		Rounds:  p.rounds,
		Base:    p.base,
	}
	for _, peer := range p.peers {
		res.Peers = append(res.Peers, peerFacts{
			Name: peer.name, About: peer.about, Version: moduleVersion(peer.module),
		})
	}
	if err := traceable(); err != nil && slices.ContainsFunc(p.workloads, isTraced) {
		res.Notes = append(res.Notes, fmt.Sprintf("System calls were not counted: %v", err))
	}
	fixtures := &fixtureSet{plan: p, dir: filepath.Join(dir, "fixtures"), made: map[string]error{}}
	for _, w := range p.workloads {
		if w.traced && traceable() != nil {
			continue
		}
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
	t := p.task(w.name, peer, dir)
	if p.profile != "" {
		name := fmt.Sprintf("%s.%s.%d.pprof", w.name, peer.name, round+1)
		t.Profile = filepath.Join(p.profile, name)
	}
	if w.traced {
		return p.limited(ctx, func(ctx context.Context) (metrics, error) {
			return runTraced(ctx, t, work+".trace")
		})
	}
	return p.child(ctx, t)
}

// task returns the task of a child.
func (p *plan) task(workload string, peer peer, dir string) task {
	return task{Workload: workload, Peer: peer.name, Dir: dir, Scale: p.scale, Paths: p.paths}
}

// child runs a child within the time that one may take.
func (p *plan) child(ctx context.Context, t task) (metrics, error) {
	return p.limited(ctx, func(ctx context.Context) (metrics, error) { return runChild(ctx, t) })
}

// limited runs fn within the time that a child may take.
func (p *plan) limited(ctx context.Context, fn func(context.Context) (metrics, error),
) (metrics, error) {
	limit := p.timeLimit()
	late := fmt.Errorf("not finished within %v", limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	return fn(ctx)
}

// timeLimit returns how long a child may take: by itself, 20 minutes for each million
// records begun, since the slowest loads take more than a minute for one.
func (p *plan) timeLimit() time.Duration {
	if p.timeout > 0 {
		return p.timeout
	}
	const million = 1_000_000
	return time.Duration((p.scale.Records+million-1)/million) * 20 * time.Minute
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
