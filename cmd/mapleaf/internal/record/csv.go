package record

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// csvReader reads RFC 4180 tables through encoding/csv. That reader neither
// bounds its memory nor gives back a record's text, so a window beneath it
// keeps what was read since the last record, and ends the input when a record
// (say, behind a quote that is never closed) outgrows the limit.
type csvReader struct {
	csv      *csv.Reader
	window   window
	columns  columns
	noHeader bool
	cells    [][]byte
}

// window is the text that encoding/csv has read, from the end of the last
// record on. Its base is the offset of its first byte in the input.
type window struct {
	input io.Reader
	text  []byte
	base  int64
	limit int // bytes that a record may have, Limit but in tests
}

var errTooLong = errors.New("the record is too long")

// Read hands input through and keeps a copy.
func (w *window) Read(p []byte) (int, error) {
	if len(w.text) > w.limit {
		return 0, errTooLong
	}
	n, err := w.input.Read(p)
	w.text = append(w.text, p[:n]...)
	return n, err
}

// cut returns the text up to the offset end, and forgets it with the next cut.
func (w *window) cut(end int64) []byte {
	n := int(end - w.base)
	raw := w.text[:n:n]
	w.text = w.text[n:]
	w.base = end
	return raw
}

func newCSV(input io.Reader, o Options) *csvReader {
	c := &csvReader{columns: newColumns(o), noHeader: o.NoHeader}
	head := bufio.NewReaderSize(input, 1<<16)
	if mark, _ := head.Peek(3); bytes.Equal(mark, []byte("\uFEFF")) {
		head.Discard(len(mark))
	}
	c.window.input, c.window.limit = head, Limit
	c.csv = csv.NewReader(bufio.NewReaderSize(&c.window, 1<<16))
	c.csv.FieldsPerRecord = -1 // counted against the header, with a better message
	c.csv.ReuseRecord = true
	if o.Delimiter != 0 {
		c.csv.Comma = o.Delimiter
	}
	return c
}

// Next returns the next row.
func (c *csvReader) Next() (*Record, error) {
	for {
		row, err := c.csv.Read()
		if err != nil {
			return nil, c.explain(err)
		}
		raw := trimLines(c.window.cut(c.csv.InputOffset()))
		line, _ := c.csv.FieldPos(0)
		c.cells = c.cells[:0]
		for _, cell := range row {
			c.cells = append(c.cells, []byte(cell))
		}
		if c.columns.names == nil && !c.noHeader {
			if err := c.columns.setHeader(line, c.cells); err != nil {
				return nil, err
			}
			continue
		}
		if c.columns.names == nil {
			c.columns.setNumbers(len(c.cells))
		}
		return c.columns.row(line, raw, c.cells)
	}
}

// trimLines cuts the empty lines in front of a record, which encoding/csv reads
// over, and the line end behind it.
func trimLines(raw []byte) []byte {
	for {
		rest, ok := bytes.CutPrefix(bytes.TrimPrefix(raw, []byte("\r")), []byte("\n"))
		if !ok {
			break
		}
		raw = rest
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
}

// explain turns an error of encoding/csv into a *LineError, if the reader can
// go on behind it.
func (c *csvReader) explain(err error) error {
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		c.window.cut(c.csv.InputOffset())
		return &LineError{parse.Line, parse.Err.Error()}
	case errors.Is(err, errTooLong):
		return fmt.Errorf("a record is longer than %d bytes (is a quote never closed?)",
			c.window.limit)
	}
	return err
}
