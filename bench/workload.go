package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// A workload is one kind of work that every peer does.
type workload struct {
	name  string
	about string
	rows  []row // what the report shows of it; the first is its main figure
	run   func(t *trial) (metrics, error)

	// fixture says that the workload begins with the prepared database. One that
	// also writes works on a copy of it.
	fixture, writes bool

	// cores is how many processors it takes to make sense.
	cores int

	// traced says that the child's system calls are counted, and nothing else is.
	traced bool
}

// A row is one line of the report: a metric of a workload, in a group.
type row struct {
	group  string
	title  string
	metric string
}

// The groups of the report, in its order.
const (
	groupLoad   = "Load"
	groupGet    = "Get"
	groupScan   = "Scan"
	groupCommit = "Durable commits"
	groupMixed  = "Reader beside a writer"
	groupDelete = "Delete"
	groupLarge  = "1 MiB values"
	groupSpace  = "File size"
	groupOpen   = "Open and memory"
)

// groups lists all groups, in the order of the report.
var groups = []string{
	groupLoad, groupGet, groupScan, groupCommit, groupMixed, groupDelete, groupLarge, groupSpace,
	groupOpen,
}

// workloads lists all workloads, in the order in which they run.
var workloads = slices.Concat(loadWorkloads, getWorkloads, scanWorkloads, prefixWorkloads,
	commitWorkloads, mixedWorkloads, deleteWorkloads, largeWorkloads, openWorkloads)

// isTraced tells whether the workload counts system calls.
func isTraced(w workload) bool { return w.traced }

// findWorkload returns the workload of that name.
func findWorkload(name string) (workload, error) {
	for _, w := range workloads {
		if w.name == name {
			return w, nil
		}
	}
	return workload{}, fmt.Errorf("%w: no workload %q; `bench list` names them", errUsage, name)
}

// pickWorkloads returns the workloads of a list of names, separated by commas;
// all that this machine has processors for if it is empty.
func pickWorkloads(list string) ([]workload, error) {
	var picked []workload
	if list == "" {
		for _, w := range workloads {
			if w.cores <= runtime.NumCPU() {
				picked = append(picked, w)
			}
		}
		return picked, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		w, err := findWorkload(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		picked = append(picked, w)
	}
	return picked, nil
}

// pickPeers returns the peers of a list of names, separated by commas; all in
// this binary if it is empty.
func pickPeers(list string) ([]peer, error) {
	if list == "" {
		return allPeers(), nil
	}
	var picked []peer
	for name := range strings.SplitSeq(list, ",") {
		p, err := findPeer(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		picked = append(picked, p)
	}
	return picked, nil
}
