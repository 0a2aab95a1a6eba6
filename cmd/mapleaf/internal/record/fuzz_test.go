package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzReaders reads any input in every format. A reader ends, its lines do not
// go backwards, what it yields does not depend on the sizes of the reads, and
// the text of a record, read alone, is that record again.
func FuzzReaders(f *testing.F) {
	for _, seed := range []string{
		"", "a\tb\n1\t2\n", "a,b\r\n\"x\"\"y\nz\",2\n\n3,4", "{\"a\":1,\"b\":\"\\u00e4\"}\n{}\n",
		"Package: a\n# c\nField:\n more\n .\n\nPackage: b\n", "\uFEFFa,b\n\r,\n", "a:\n\n \n:\n",
		"\"", "a\r\n\"b\" c\n", "\n\r\n\rx\n", "{\"a\":{\"b\":[1,2,{}]}}x\n", "\x00\xff\t\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, format := range Formats() {
			o := Options{NoHeader: true}
			whole := fuzzRead(t, bytes.NewReader(input), Format(format), o, true)
			bits := iotest.HalfReader(bytes.NewReader(input))
			if parts := fuzzRead(t, bits, Format(format), o, false); parts != whole {
				t.Errorf("%s: in parts\n%s\nin one\n%s", format, parts, whole)
			}
			fuzzRead(t, bytes.NewReader(input), Format(format), Options{}, false)
		}
	})
}

// fuzzAlone is how many records of an input are read again: a reader has large
// buffers, and an input many records.
const fuzzAlone = 4

// fuzzRead renders all records. With alone it reads the text of the first ones
// again.
func fuzzRead(t *testing.T, in io.Reader, format Format, o Options, alone bool) string {
	r, err := NewReader(in, format, o)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	last := 0
	for count := 0; ; count++ {
		rec, err := r.Next()
		var bad *LineError
		if err != nil && !errors.As(err, &bad) {
			fmt.Fprintf(&out, "%v\n", err)
			return out.String()
		}
		if bad != nil {
			fmt.Fprintf(&out, "%v\n", bad)
			continue
		}
		if rec.Line <= last {
			t.Fatalf("%s: line %d comes after line %d", format, rec.Line, last)
		}
		last = rec.Line
		text := render(rec)
		fmt.Fprintf(&out, "%d %s\n", rec.Line, text)
		if !alone || count >= fuzzAlone || bytes.HasPrefix(rec.Raw, []byte("\uFEFF")) {
			continue
		}
		ended := bytes.NewReader(append(bytes.Clone(rec.Raw), "\r\n"...))
		again, err := NewReader(ended, format, o)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := again.Next(); err != nil || render(same) != text {
			t.Fatalf("%s: %q read alone is not %s: %v", format, rec.Raw, text, err)
		}
	}
}

func render(r *Record) string {
	var out strings.Builder
	for i := range r.Fields {
		fmt.Fprintf(&out, "%q=%q ", r.Fields[i].Name, r.Fields[i].Data)
	}
	return out.String()
}
