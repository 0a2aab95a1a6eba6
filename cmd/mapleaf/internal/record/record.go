// Package record reads records out of text: tab-separated and comma-separated
// tables, JSON lines, and the stanzas of Debian's control files.
//
// Invariants:
//
//	C1 A record and all its bytes are valid until the next call of Next only.
//	C2 After a *LineError the reader stands behind the bad record, and Next
//	   can be called again; after any other error it is finished.
//	C3 Memory is bounded by Limit per record, whatever the input.
package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/jsontext"
)

// Limit is the greatest length of a line, and of a record of several lines,
// in bytes.
const Limit = 64 << 20

// A Reader yields the records of one input in their order.
type Reader interface {
	// Next returns the next record, or io.EOF behind the last one.
	Next() (*Record, error)
}

// A LineError says what is wrong with one record.
type LineError struct {
	Line   int // where the trouble is, counted from 1
	Reason string
}

// Error gives the line and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// A Record is one row, object or stanza.
type Record struct {
	Line   int    // where it begins, counted from 1
	Raw    []byte // its text in the input, without the last line end
	Fields []Field

	numbered bool // fields can be named by their number
	foldCase bool // upper and lower case in names are the same
}

// A Field is one named value of a record.
type Field struct {
	Name string
	Data []byte
	JSON bool // Data is a JSON value rather than text
}

// Lookup returns the index of the field that column names: by its name or,
// in a table, by its number from 1. A name goes before a number.
func (r *Record) Lookup(column string) (int, bool) {
	for i := range r.Fields {
		name := r.Fields[i].Name
		if name == column || r.foldCase && strings.EqualFold(name, column) {
			return i, true
		}
	}
	if r.numbered {
		n, err := strconv.Atoi(column)
		if err == nil && 1 <= n && n <= len(r.Fields) {
			return n - 1, true
		}
	}
	return 0, false
}

// Text returns the field's value as text: a JSON string without its quotes
// and escapes, any other JSON value as it is written.
func (f *Field) Text() []byte {
	if !f.JSON || len(f.Data) == 0 || f.Data[0] != '"' {
		return f.Data
	}
	var text string
	if json.Unmarshal(f.Data, &text) != nil {
		return f.Data
	}
	return []byte(text)
}

// AppendJSON appends a JSON object of all fields but those whose index is in
// skip, in their order. Text that is not valid UTF-8 is a *LineError, because
// JSON could not give it back.
func (r *Record) AppendJSON(dst []byte, skip []int) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	for i := range r.Fields {
		if contains(skip, i) {
			continue
		}
		f := &r.Fields[i]
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsontext.AppendString(dst, []byte(f.Name)), ':')
		switch {
		case f.JSON:
			dst = append(dst, f.Data...)
		case utf8.Valid(f.Data):
			dst = jsontext.AppendString(dst, f.Data)
		default:
			return dst, &LineError{r.Line, fmt.Sprintf("field %s is not valid UTF-8, "+
				"which JSON cannot hold (store it raw)", f.Name)}
		}
	}
	return append(dst, '}'), nil
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// Format names the form of an input.
type Format string

// The formats that can be read.
const (
	TSV    Format = "tsv"    // columns between tabs, no quoting
	CSV    Format = "csv"    // RFC 4180, quotes and lines in quotes included
	NDJSON Format = "ndjson" // one JSON object a line
	Deb822 Format = "deb822" // stanzas of "Field: value", blank lines between
)

// Formats lists all formats, for messages.
func Formats() []string {
	return []string{string(TSV), string(CSV), string(NDJSON), string(Deb822)}
}

// Options say how an input is to be read. The zero value is a table with
// names in its first line.
type Options struct {
	Delimiter rune     // of CSV; zero is the comma
	NoHeader  bool     // tables: the first line is a record; columns are named 1, 2, ...
	Columns   []string // tables: names of the columns, instead of a first line with names
}

// NewReader returns a reader of input in the given format. A byte order mark
// in front is skipped.
func NewReader(input io.Reader, format Format, o Options) (Reader, error) {
	switch format {
	case TSV:
		return newTSV(input, o), nil
	case CSV:
		return newCSV(input, o), nil
	case NDJSON:
		return newNDJSON(input), nil
	case Deb822:
		return newDeb822(input), nil
	}
	return nil, fmt.Errorf("unknown format %q: it is one of %s",
		format, strings.Join(Formats(), ", "))
}

// Guess tells the format from the name of a file, "" if the name says nothing.
func Guess(name string) Format {
	name = strings.ToLower(name)
	name = strings.TrimSuffix(name, ".gz")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	switch {
	case strings.HasSuffix(name, ".tsv"), strings.HasSuffix(name, ".tab"):
		return TSV
	case strings.HasSuffix(name, ".csv"):
		return CSV
	case strings.HasSuffix(name, ".ndjson"), strings.HasSuffix(name, ".jsonl"):
		return NDJSON
	case strings.HasSuffix(name, ".deb822"), strings.HasSuffix(name, ".dsc"),
		strings.HasSuffix(name, "packages"), strings.HasSuffix(name, "sources"),
		name == "control", name == "status", name == "available":
		return Deb822
	}
	return ""
}

// trimMark cuts the byte order mark off the first line of an input.
func trimMark(line []byte) []byte { return bytes.TrimPrefix(line, []byte("\uFEFF")) }
