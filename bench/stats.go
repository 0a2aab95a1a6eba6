package main

import (
	"math"
	"slices"
)

// A summary describes the values of several rounds.
type summary struct {
	rounds           int
	median, min, max float64
}

// spread returns how far the rounds lie apart, as a share of the median.
func (s summary) spread() float64 {
	if s.median == 0 {
		return 0
	}
	return (s.max - s.min) / s.median
}

// summarize returns the summary of values, the zero summary if there are none.
func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{median: math.NaN(), min: math.NaN(), max: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	return summary{
		rounds: len(sorted),
		median: quantile(sorted, 0.5),
		min:    sorted[0],
		max:    sorted[len(sorted)-1],
	}
}

// quantile returns the value below which the share q of the sorted values lies,
// interpolated between neighbours.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[high]*part
}

// medianRatio returns the median of a[i]/b[i] over the rounds that both have.
// Rounds run close together, so what disturbs the machine for a while disturbs
// both sides of a ratio. It returns NaN if there is none.
func medianRatio(a, b map[int]float64) float64 {
	var ratios []float64
	for round, over := range a {
		if under, ok := b[round]; ok && under > 0 {
			ratios = append(ratios, over/under)
		}
	}
	return summarize(ratios).median
}
