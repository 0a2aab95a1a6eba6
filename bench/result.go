package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// resultFormat is the version of the JSON of a result.
const resultFormat = 1

// A result is all that a run found. It is kept as JSON.
type result struct {
	Format  int         `json:"format"`
	Date    string      `json:"date"`
	Machine machine     `json:"machine"`
	Scale   scale       `json:"scale"`
	Rounds  int         `json:"rounds"`
	Base    string      `json:"base"` // the peer that ratios are formed with
	Peers   []peerFacts `json:"peers"`
	Notes   []string    `json:"notes,omitempty"` // what was not measured, and why
	Samples []sample    `json:"samples,omitempty"`

	// Sizes are results that differ in the number of records, which then is 0 here,
	// ascending; a result that has them has no samples of its own.
	Sizes []*result `json:"sizes,omitempty"`
}

// peerFacts tell what was measured.
type peerFacts struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Version string `json:"version,omitempty"`
}

// A sample is one measurement: one workload of one peer in one round.
type sample struct {
	Workload string  `json:"workload"`
	Peer     string  `json:"peer"`
	Round    int     `json:"round"`
	Metrics  metrics `json:"metrics,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// add adds a sample.
func (r *result) add(w workload, p peer, round int, m metrics, err error) {
	s := sample{Workload: w.name, Peer: p.name, Round: round, Metrics: m}
	if err != nil {
		s.Metrics, s.Error = nil, err.Error()
	}
	r.Samples = append(r.Samples, s)
}

// failures returns how many measurements failed.
func (r *result) failures() (n int) {
	for _, s := range r.Samples {
		if s.Error != "" {
			n++
		}
	}
	for _, one := range r.Sizes {
		n += one.failures()
	}
	return n
}

// values returns a metric of a workload of a peer by round.
func (r *result) values(workload, peer, metric string) map[int]float64 {
	values := map[int]float64{}
	for _, s := range r.Samples {
		if s.Workload != workload || s.Peer != peer {
			continue
		}
		if value, ok := s.Metrics[metric]; ok {
			values[s.Round] = value
		}
	}
	return values
}

// summary returns the summary of a metric over the rounds. It has no rounds if
// nothing was measured.
func (r *result) summary(workload, peer, metric string) summary {
	var list []float64
	for _, value := range r.values(workload, peer, metric) {
		list = append(list, value)
	}
	return summarize(list)
}

// ratio returns how many times the metric of peer is that of the base: above 1
// the base is better. It is NaN if one of them was not measured.
func (r *result) ratio(workload, peer, metric string) float64 {
	return medianRatio(r.values(workload, peer, metric), r.values(workload, r.Base, metric))
}

// best returns the peer with the smallest median, "" if none was measured.
func (r *result) best(workload, metric string) (name string) {
	var least float64
	for _, p := range r.Peers {
		s := r.summary(workload, p.Name, metric)
		if s.rounds > 0 && (name == "" || s.median < least) {
			name, least = p.Name, s.median
		}
	}
	return name
}

// has tells whether the workload was measured at all.
func (r *result) has(workload string) bool {
	for _, s := range r.Samples {
		if s.Workload == workload {
			return true
		}
	}
	return false
}

// save writes the result to a file.
func (r *result) save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// loadResult reads a result from a file.
func loadResult(path string) (*result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read result %s: %w", path, err)
	}
	if r.Format != resultFormat {
		return nil, fmt.Errorf("read result %s: format %d, want %d", path, r.Format, resultFormat)
	}
	return &r, nil
}
