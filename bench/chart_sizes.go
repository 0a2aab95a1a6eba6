package main

import (
	"bytes"
	"fmt"
	"math"
)

// This file draws a result of sizes: one chart with a panel for each row, in which a
// line for each peer shows what an operation takes by the number of records. The number
// has a logarithmic axis, what it takes a linear one from zero: there a cost that grows
// with the logarithm is a straight line.

// Measures of the chart, in pixels.
const (
	panelHeight = 260
	panelAxis   = 62 // room for the figures at the left of a panel
	panelGap    = 14
	panelDot    = 3
	panelTicks  = 5 // lines across a panel at most
)

// A panel is one row with the place where it is drawn.
type panel struct {
	left, top, width, height int
	row                      reportRow
	least, most              float64 // logarithms of the numbers of records
	largest                  float64 // what the upper edge stands for
}

// x returns where a number of records is.
func (p *panel) x(records int) float64 {
	if p.most <= p.least {
		return float64(p.left) + float64(p.width)/2
	}
	share := (math.Log10(float64(records)) - p.least) / (p.most - p.least)
	return float64(p.left) + share*float64(p.width)
}

// y returns where a figure is.
func (p *panel) y(value float64) float64 {
	return float64(p.top+p.height) - value/p.largest*float64(p.height)
}

// sizesChart draws the chart.
func (r *result) sizesChart() []byte {
	var body bytes.Buffer
	rows := r.sizeRows()
	drawText(&body, chartMargin, chartMargin+chartTitle-6, "bold 16px", "start",
		"Cost of an operation by the number of records (less is better)")
	top := chartMargin + 2*chartTitle
	left := chartMargin
	for i, p := range r.Peers {
		color := chartColors[i%len(chartColors)]
		fmt.Fprintf(&body, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/>`+"\n",
			left, top-15, color)
		drawText(&body, left+17, top-5, "12px", "start", p.Name)
		left += chartLabel
	}
	top += chartTitle + 4
	room := (chartWidth - 2*chartMargin - (len(rows)-1)*panelGap) / len(rows)
	last := r.Sizes[len(r.Sizes)-1].Scale.Records
	for i, line := range rows {
		p := panel{
			left: chartMargin + i*(room+panelGap) + panelAxis, top: top,
			width: room - panelAxis - 16, height: panelHeight, row: line,
			least:   math.Log10(float64(r.Sizes[0].Scale.Records)),
			most:    math.Log10(float64(last)),
			largest: r.largest(line),
		}
		r.drawPanel(&body, &p)
	}
	bottom := top + panelHeight + 2*chartTitle + 10
	drawText(&body, chartMargin, bottom, "11px", "start", fmt.Sprintf(
		"%s keys, values of %d bytes, loads of %s records a transaction; medians of %d rounds; %s, %s",
		r.Scale.Keys, r.Scale.ValueSize, groupDigits(r.Scale.PerTx), r.Rounds, r.Machine.System,
		r.Date[:min(10, len(r.Date))]))
	return svg(bottom+chartMargin, body.Bytes())
}

// largest returns the largest median of a row, 1 if there is none.
func (r *result) largest(line reportRow) float64 {
	most := 0.0
	for _, one := range r.Sizes {
		for _, p := range r.Peers {
			if s := one.summary(line.workload, p.Name, line.metric); s.rounds > 0 {
				most = math.Max(most, s.median)
			}
		}
	}
	if most == 0 {
		return 1
	}
	return most
}

// drawPanel draws one row.
func (r *result) drawPanel(b *bytes.Buffer, p *panel) {
	drawText(b, p.left-panelAxis, p.top-10, "13px", "start", p.row.title)
	step := tickStep(p.largest)
	for v := 0.0; v <= p.largest; v += step {
		y := p.y(v)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`+"\n",
			p.left, y, p.left+p.width, y)
		drawText(b, p.left-6, int(y)+4, "11px", "end", formatMetric(p.row.metric, v))
	}
	for _, one := range r.Sizes {
		x, bottom := p.x(one.Scale.Records), p.top+p.height
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#222222"/>`+"\n",
			x, bottom, x, bottom+4)
		drawText(b, int(x), bottom+18, "11px", "middle", shortCount(one.Scale.Records))
	}
	drawText(b, p.left+p.width/2, p.top+p.height+36, "11px", "middle", "records")
	for i, peer := range r.Peers {
		r.drawLine(b, p, peer.Name, chartColors[i%len(chartColors)])
	}
}

// drawLine draws what one peer takes at each size where it was measured.
func (r *result) drawLine(b *bytes.Buffer, p *panel, peer, color string) {
	var points, dots bytes.Buffer
	for _, one := range r.Sizes {
		s := one.summary(p.row.workload, peer, p.row.metric)
		if s.rounds == 0 {
			continue
		}
		x, y := p.x(one.Scale.Records), p.y(s.median)
		fmt.Fprintf(&points, "%.1f,%.1f ", x, y)
		fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"><title>`, x, y,
			panelDot, color)
		fmt.Fprintf(&dots, "%s, %s records: %s</title></circle>\n", peer,
			groupDigits(one.Scale.Records), formatMetric(p.row.metric, s.median))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n",
		bytes.TrimSpace(points.Bytes()), color)
	b.Write(dots.Bytes())
}

// tickStep returns a round distance of lines up to largest.
func tickStep(largest float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(largest/panelTicks)))
	for _, factor := range []float64{1, 2, 5} {
		if largest/(step*factor) <= panelTicks {
			return step * factor
		}
	}
	return step * 10
}

// shortCount formats a number of records in thousands or millions.
func shortCount(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%g M", float64(n)/1e6)
	case n >= 1000:
		return fmt.Sprintf("%g k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
