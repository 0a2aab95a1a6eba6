package record

import (
	"fmt"
	"strconv"
)

// columns holds the names of a table's columns and makes records of its rows.
// TSV and CSV share it.
type columns struct {
	names  []string // nil until the first row was seen
	record Record   // reused for every row (C1)
}

func newColumns(o Options) columns {
	return columns{names: o.Columns, record: Record{numbered: true}}
}

// setHeader takes the names from the first row.
func (c *columns) setHeader(line int, row [][]byte) error {
	seen := make(map[string]int, len(row))
	names := make([]string, 0, len(row))
	for i, cell := range row {
		name := string(cell)
		if at, twice := seen[name]; twice {
			return fmt.Errorf("line %d: columns %d and %d of the header are both named %q "+
				"(give other names, or none, and say that there is no header)",
				line, at+1, i+1, name)
		}
		seen[name] = i
		names = append(names, name)
	}
	c.names = names
	return nil
}

// setNumbers names the columns by their numbers.
func (c *columns) setNumbers(count int) {
	c.names = make([]string, count)
	for i := range c.names {
		c.names[i] = strconv.Itoa(i + 1)
	}
}

// row makes a record of the cells of one row.
func (c *columns) row(line int, raw []byte, cells [][]byte) (*Record, error) {
	if len(cells) != len(c.names) {
		return nil, &LineError{line, fmt.Sprintf("%d columns instead of %d",
			len(cells), len(c.names))}
	}
	r := &c.record
	r.Line, r.Raw, r.Fields = line, raw, r.Fields[:0]
	for i, cell := range cells {
		r.Fields = append(r.Fields, Field{Name: c.names[i], Data: cell})
	}
	return r, nil
}
