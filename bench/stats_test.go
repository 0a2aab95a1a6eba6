package main

import (
	"math"
	"testing"
)

func TestQuantile(t *testing.T) {
	values := []float64{1, 2, 3, 4, 5}
	for _, c := range []struct {
		q, want float64
	}{{0, 1}, {0.25, 2}, {0.5, 3}, {0.75, 4}, {0.9, 4.6}, {1, 5}} {
		if got := quantile(values, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", c.q, got, c.want)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing is %v, want NaN", got)
	}
	if got := quantile([]float64{7}, 0.99); got != 7 {
		t.Errorf("quantile of one value is %v, want 7", got)
	}
}

func TestSummarize(t *testing.T) {
	s := summarize([]float64{30, 10, 20, 40})
	if s.rounds != 4 || s.median != 25 || s.min != 10 || s.max != 40 {
		t.Errorf("summary is %+v", s)
	}
	if got := s.spread(); got != 1.2 {
		t.Errorf("spread is %v, want 1.2", got)
	}
	if s := summarize(nil); s.rounds != 0 || !math.IsNaN(s.median) {
		t.Errorf("summary of nothing is %+v", s)
	}
	if got := summarize([]float64{0, 0}).spread(); got != 0 {
		t.Errorf("spread of zeros is %v, want 0", got)
	}
}

func TestMedianRatioPairsRounds(t *testing.T) {
	// The machine was twice as slow in round 1: the ratio of each round is 2.
	peer := map[int]float64{0: 200, 1: 400, 2: 220}
	base := map[int]float64{0: 100, 1: 200, 2: 110}
	if got := medianRatio(peer, base); got != 2 {
		t.Errorf("ratio is %v, want 2", got)
	}
	// Only rounds that both have count.
	if got := medianRatio(map[int]float64{0: 3, 5: 900}, map[int]float64{0: 1, 1: 1}); got != 3 {
		t.Errorf("ratio of one common round is %v, want 3", got)
	}
	if got := medianRatio(peer, nil); !math.IsNaN(got) {
		t.Errorf("ratio without a base is %v, want NaN", got)
	}
	if got := medianRatio(peer, map[int]float64{0: 0}); !math.IsNaN(got) {
		t.Errorf("ratio with a base of zero is %v, want NaN", got)
	}
}

func TestLatencyQuantiles(t *testing.T) {
	l := make(latencies, 101)
	for i := range l {
		l[len(l)-1-i] = float64(i)
	}
	m := l.metrics()
	if m[p50NS] != 50 || m[p99NS] != 99 || m[maxNS] != 100 {
		t.Errorf("quantiles are %v", m)
	}
	if len(latencies(nil).metrics()) != 0 {
		t.Error("no latencies have quantiles")
	}
}
