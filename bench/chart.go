package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// This file draws a result as SVG: one chart for each group of the report, with
// a horizontal bar for each peer in each row. A bar shows what the peer takes,
// so a short one is good; each row has its own scale, the longest bar fills it.

// Measures of a chart, in pixels.
const (
	chartWidth   = 860
	chartLabel   = 150 // room for the names of peers
	chartValue   = 120 // room for the figures behind the bars
	chartBar     = 15
	chartGap     = 4
	chartTitle   = 22
	chartMargin  = 16
	chartBarsMax = chartWidth - chartLabel - chartValue - 2*chartMargin
)

// chartColors are told apart with any kind of sight; the first is the base's.
var chartColors = []string{
	"#c1440e", "#4c78a8", "#72b7b2", "#9d9da1", "#b279a2", "#8a6d3b", "#54a24b", "#eeca3b",
}

// chartCommand draws the charts of a saved result.
func chartCommand(args []string, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("%w: chart RESULT DIR", errUsage)
	}
	r, err := loadResult(args[0])
	if err != nil {
		return err
	}
	if err := r.writeCharts(args[1]); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "charts written to", args[1])
	return err
}

// writeCharts draws a chart for each group that was measured, or the one of a result of
// sizes, into dir.
func (r *result) writeCharts(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder for charts: %w", err)
	}
	charts := map[string][]byte{}
	for _, group := range groups {
		if len(r.rows(group)) > 0 {
			charts[strings.ReplaceAll(strings.ToLower(group), " ", "-")] = r.chart(group)
		}
	}
	if len(r.Sizes) > 0 {
		charts["sizes"] = r.sizesChart()
	}
	for name, text := range charts {
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), text, 0o644); err != nil {
			return fmt.Errorf("write chart: %w", err)
		}
	}
	return nil
}

// A bar is one peer in one row of a chart.
type bar struct {
	name, color, text string
	value             float64
	best              bool
}

// bars returns the peers that took part in a row.
func (r *result) bars(line reportRow) (bars []bar, longest float64) {
	best := r.best(line.workload, line.metric)
	for i, p := range r.Peers {
		s := r.summary(line.workload, p.Name, line.metric)
		if s.rounds == 0 {
			continue
		}
		bars = append(bars, bar{
			name: p.Name, color: chartColors[i%len(chartColors)], value: s.median,
			text: formatMetric(line.metric, s.median), best: p.Name == best,
		})
		longest = math.Max(longest, s.median)
	}
	return bars, longest
}

// chart draws one group.
func (r *result) chart(group string) []byte {
	var body bytes.Buffer
	y := chartMargin + chartTitle
	drawText(&body, chartMargin, y-6, "bold 16px", "start",
		fmt.Sprintf("%s (less is better)", group))
	for _, line := range r.rows(group) {
		bars, longest := r.bars(line)
		if len(bars) == 0 {
			continue
		}
		y += chartTitle
		drawText(&body, chartMargin, y-5, "13px", "start", line.title)
		for _, b := range bars {
			drawBar(&body, y, b, longest)
			y += chartBar + chartGap
		}
	}
	y += chartTitle
	drawText(&body, chartMargin, y-5, "11px", "start", fmt.Sprintf(
		"%s records, %s keys, values of %d bytes; medians of %d rounds; %s, %s",
		groupDigits(r.Scale.Records), r.Scale.Keys, r.Scale.ValueSize, r.Rounds,
		r.Machine.System, r.Date[:min(10, len(r.Date))]))
	return svg(y+chartMargin, body.Bytes())
}

// svg wraps what was drawn.
func svg(height int, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" `+
		`viewBox="0 0 %d %d">`+"\n", chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, height)
	b.Write(body)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// drawBar draws the bar of one peer with its name and figure.
func drawBar(b *bytes.Buffer, y int, v bar, longest float64) {
	width := 1.0
	if longest > 0 {
		width = math.Max(1, v.value/longest*chartBarsMax)
	}
	font := "12px"
	if v.best {
		font = "bold 12px"
	}
	left := chartMargin + chartLabel
	drawText(b, left-6, y+chartBar-3, font, "end", v.name)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
		left, y, width, chartBar, v.color)
	drawText(b, left+int(width)+6, y+chartBar-3, font, "start", v.text)
}

// drawText draws text with its baseline at y.
func drawText(b *bytes.Buffer, x, y int, font, anchor, text string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" style="font: %s sans-serif" text-anchor="%s" `+
		`fill="#222222">`, x, y, font, anchor)
	// A bytes.Buffer takes everything, so there is no error to see.
	_ = xml.EscapeText(b, []byte(text))
	b.WriteString("</text>\n")
}
