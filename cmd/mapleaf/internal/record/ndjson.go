package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// ndjsonReader reads one JSON object a line. Blank lines are skipped. Values
// keep the spelling that they have in the input, numbers in particular.
type ndjsonReader struct {
	lines  *lineReader
	record Record
	seen   map[string]bool
}

func newNDJSON(input io.Reader) *ndjsonReader {
	return &ndjsonReader{lines: newLineReader(input), seen: make(map[string]bool)}
}

// Next returns the next object.
func (n *ndjsonReader) Next() (*Record, error) {
	for {
		line, err := n.lines.next()
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if err := n.parse(line); err != nil {
			return nil, n.lines.errorf("%v", err)
		}
		return &n.record, nil
	}
}

func (n *ndjsonReader) parse(line []byte) error {
	if !utf8.Valid(line) {
		return fmt.Errorf("not valid UTF-8")
	}
	r := &n.record
	r.Line, r.Raw, r.Fields = n.lines.line, line, r.Fields[:0]
	clear(n.seen)
	d := json.NewDecoder(bytes.NewReader(line))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return fmt.Errorf("not a JSON object")
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return badJSON(err)
		}
		name := token.(string) // the decoder accepts no other token here
		if n.seen[name] {
			return fmt.Errorf("the object has two members named %q", name)
		}
		n.seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return badJSON(err)
		}
		r.Fields = append(r.Fields, Field{Name: name, Data: value, JSON: true})
	}
	if _, err := d.Token(); err != nil {
		return badJSON(err)
	}
	if rest := bytes.TrimSpace(line[d.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("something follows the JSON object: %.20q", rest)
	}
	return nil
}

func badJSON(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the JSON object is not complete")
	}
	return fmt.Errorf("bad JSON: %w", err)
}
