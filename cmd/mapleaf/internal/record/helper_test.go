package record

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll renders everything that a reader yields, one record or error a
// line: "line: name=text name=text | raw". It ends at the first error that
// finishes the reader.
func readAll(t *testing.T, r Reader) string {
	t.Helper()
	var out strings.Builder
	for range 100_000 {
		rec, err := r.Next()
		var bad *LineError
		switch {
		case err == io.EOF:
			return out.String()
		case errors.As(err, &bad):
			fmt.Fprintf(&out, "bad: %v\n", err)
			continue
		case err != nil:
			fmt.Fprintf(&out, "end: %v\n", err)
			return out.String()
		}
		fmt.Fprintf(&out, "%d:", rec.Line)
		for i := range rec.Fields {
			fmt.Fprintf(&out, " %s=%q", rec.Fields[i].Name, rec.Fields[i].Text())
		}
		fmt.Fprintf(&out, " | %q\n", rec.Raw)
	}
	t.Fatal("the reader does not end")
	return ""
}

// table is one input and what it must yield, whatever the sizes of the reads.
type table struct {
	name, input, want string
	options           Options
}

func runTables(t *testing.T, format Format, tables []table) {
	t.Helper()
	for _, c := range tables {
		t.Run(c.name, func(t *testing.T) {
			for kind, input := range map[string]io.Reader{
				"whole":        strings.NewReader(c.input),
				"byte by byte": iotest.OneByteReader(strings.NewReader(c.input)),
			} {
				r, err := NewReader(input, format, c.options)
				if err != nil {
					t.Fatal(err)
				}
				if got := readAll(t, r); got != c.want {
					t.Errorf("%s: got\n%s\nwant\n%s", kind, got, c.want)
				}
			}
		})
	}
}

// failing yields its text and then an error that is not the end of the file.
func failing(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("disk on fire")))
}

// xs is an endless input of the letter x.
type xs struct{}

func (xs) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
