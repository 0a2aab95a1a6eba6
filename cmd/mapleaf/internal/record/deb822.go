package record

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// deb822Reader reads the stanzas of Debian's control files, as its package
// index has them: lines of "Field: value"; a line that begins with a space or
// a tab continues the value; a line that begins with '#' is a comment; blank
// lines end a stanza. A value keeps its line breaks; of each continuation line
// one leading space or tab is cut, and all carriage returns at the end of any line.
// Upper and lower case in field names are the same.
type deb822Reader struct {
	lines  *lineReader
	record Record
	raw    []byte // the stanza's lines
	text   []byte // the values, one after the other
	spans  []span // where in text each field's value is
	names  map[string]fieldName
	seen   map[string]bool // folded names of this stanza's fields
}

type span struct{ start, end int }

type fieldName struct{ name, folded string }

func newDeb822(input io.Reader) *deb822Reader {
	return &deb822Reader{
		lines:  newLineReader(input),
		record: Record{foldCase: true},
		names:  make(map[string]fieldName),
		seen:   make(map[string]bool),
	}
}

// Next returns the next stanza. After something wrong it reads on to the end
// of the stanza and then reports the first error.
func (d *deb822Reader) Next() (*Record, error) {
	r := &d.record
	r.Line, r.Fields = 0, r.Fields[:0]
	d.raw, d.text, d.spans = d.raw[:0], d.text[:0], d.spans[:0]
	clear(d.seen)
	var bad error
	for {
		line, err := d.lines.next()
		var lineError *LineError
		switch {
		case errors.As(err, &lineError):
			r.Line = max(r.Line, 1) // inside a stanza, whatever the line was
			bad = first(bad, err)
			continue
		case err == io.EOF && r.Line > 0:
			return d.finish(bad)
		case err != nil:
			return nil, err
		case len(bytes.TrimSpace(line)) == 0:
			if r.Line > 0 {
				return d.finish(bad)
			}
			continue
		case line[0] == '#' && r.Line == 0:
			continue
		}
		if r.Line == 0 {
			r.Line = d.lines.line
		}
		if bad == nil {
			bad = d.add(bytes.TrimRight(line, "\r"))
		}
	}
}

// add takes one line of the stanza.
func (d *deb822Reader) add(line []byte) error {
	if len(d.raw)+len(line) >= d.lines.limit {
		return d.lines.errorf("the stanza is longer than %d bytes", d.lines.limit)
	}
	if len(d.raw) > 0 {
		d.raw = append(d.raw, '\n')
	}
	d.raw = append(d.raw, line...)
	switch line[0] {
	case '#':
		return nil
	case ' ', '\t':
		if len(d.spans) == 0 {
			return d.lines.errorf("a continuation line without a field before it")
		}
		d.text = append(append(d.text, '\n'), line[1:]...)
		d.spans[len(d.spans)-1].end = len(d.text)
		return nil
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return d.lines.errorf("no field name: %.40q", line)
	}
	name := d.name(bytes.TrimRight(line[:colon], " \t"))
	if strings.ContainsAny(name.name, " \t") {
		return d.lines.errorf("a field name with a space in it: %.40q", line)
	}
	if d.seen[name.folded] {
		return d.lines.errorf("field %s stands twice in the stanza", name.name)
	}
	d.seen[name.folded] = true
	start := len(d.text)
	d.text = append(d.text, bytes.TrimSpace(line[colon+1:])...)
	d.spans = append(d.spans, span{start, len(d.text)})
	d.record.Fields = append(d.record.Fields, Field{Name: name.name})
	return nil
}

// name returns b as a string, without allocating for names that came before.
// How many it remembers is bounded, since names are the input's (C3).
func (d *deb822Reader) name(b []byte) fieldName {
	if name, ok := d.names[string(b)]; ok {
		return name
	}
	name := fieldName{name: string(b), folded: strings.ToLower(string(b))}
	if len(d.names) < 1000 && len(b) < 100 {
		d.names[name.name] = name
	}
	return name
}

func (d *deb822Reader) finish(bad error) (*Record, error) {
	if bad != nil {
		return nil, bad
	}
	r := &d.record
	for i, s := range d.spans {
		r.Fields[i].Data = d.text[s.start:s.end:s.end]
	}
	r.Raw = d.raw
	return r, nil
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
