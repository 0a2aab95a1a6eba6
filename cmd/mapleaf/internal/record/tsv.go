package record

import (
	"bytes"
	"io"
)

// tsvReader reads lines whose columns stand between tabs. There is no quoting:
// every other byte is data. Empty lines are skipped.
type tsvReader struct {
	lines    *lineReader
	columns  columns
	noHeader bool
	cells    [][]byte
}

func newTSV(input io.Reader, o Options) *tsvReader {
	return &tsvReader{lines: newLineReader(input), columns: newColumns(o), noHeader: o.NoHeader}
}

// Next returns the next row.
func (t *tsvReader) Next() (*Record, error) {
	for {
		line, err := t.lines.next()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			continue
		}
		t.split(line)
		if t.columns.names == nil && !t.noHeader {
			if err := t.columns.setHeader(t.lines.line, t.cells); err != nil {
				return nil, err
			}
			continue
		}
		if t.columns.names == nil {
			t.columns.setNumbers(len(t.cells))
		}
		return t.columns.row(t.lines.line, line, t.cells)
	}
}

func (t *tsvReader) split(line []byte) {
	t.cells = t.cells[:0]
	for {
		i := bytes.IndexByte(line, '\t')
		if i < 0 {
			t.cells = append(t.cells, line)
			return
		}
		t.cells = append(t.cells, line[:i:i])
		line = line[i+1:]
	}
}
