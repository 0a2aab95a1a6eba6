package main

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// A table is text in columns: the first to the left, the others to the right.
type table struct {
	header []string
	lines  []tableLine
}

// A tableLine is a title over the lines that follow, or a line of cells.
type tableLine struct {
	cells []string
	title bool
}

// newTable returns a table whose first column has the given head.
func newTable(first string) *table { return &table{header: []string{first}} }

// head adds a column.
func (t *table) head(name string) { t.header = append(t.header, name) }

// title adds a title.
func (t *table) title(text string) {
	t.lines = append(t.lines, tableLine{cells: []string{text}, title: true})
}

// line begins a line.
func (t *table) line(name string) {
	t.lines = append(t.lines, tableLine{cells: []string{"  " + name}})
}

// cell adds a cell to the last line.
func (t *table) cell(text string) {
	last := &t.lines[len(t.lines)-1]
	last.cells = append(last.cells, text)
}

// write prints the table.
func (t *table) write(b *bytes.Buffer) {
	widths := make([]int, len(t.header))
	measure := func(cells []string) {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	measure(t.header)
	for _, line := range t.lines {
		if !line.title {
			measure(line.cells)
		}
	}
	writeCells(b, t.header, widths)
	for _, line := range t.lines {
		writeCells(b, line.cells, widths)
	}
}

// writeCells prints one line.
func writeCells(b *bytes.Buffer, cells []string, widths []int) {
	var line strings.Builder
	for i, cell := range cells {
		pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
		if i == 0 {
			line.WriteString(cell + pad)
		} else {
			line.WriteString("  " + pad + cell)
		}
	}
	b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}
