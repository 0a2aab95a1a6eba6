package record

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	l := newLineReader(strings.NewReader("\uFEFFone\r\n\ntwo\n" + strings.Repeat("z", 300_000)))
	for i, want := range []string{"one", "", "two", strings.Repeat("z", 300_000)} {
		got, err := l.next()
		if err != nil || string(got) != want || l.line != i+1 {
			t.Fatalf("line %d: got %.20q (number %d), %v, want %.20q", i+1, got, l.line, err, want)
		}
	}
	for range 2 {
		if _, err := l.next(); err != io.EOF {
			t.Fatalf("behind the end: %v", err)
		}
	}
}

func TestLineLimit(t *testing.T) {
	const size = 1 << 18 // the buffer's: lines of both kinds, within it and beyond
	for _, limit := range []int{100, size - 1, size, size + 1, 3 * size} {
		long := strings.Repeat("y", limit+1)
		l := newLineReader(strings.NewReader("a\n" + long[:limit-1] + "\n" + long + "\nb\n" + long))
		l.limit = limit
		if got, err := l.next(); string(got) != "a" || err != nil {
			t.Fatalf("limit %d: %q, %v", limit, got, err)
		}
		if got, err := l.next(); len(got) != limit-1 || err != nil {
			t.Fatalf("limit %d: %d bytes, %v", limit, len(got), err)
		}
		var bad *LineError
		if _, err := l.next(); !errors.As(err, &bad) || bad.Line != 3 {
			t.Fatalf("limit %d: %v, want a LineError of line 3", limit, err)
		}
		if got, err := l.next(); string(got) != "b" || err != nil || l.line != 4 {
			t.Fatalf("limit %d: %q (line %d), %v", limit, got, l.line, err)
		}
		if _, err := l.next(); !errors.As(err, &bad) || bad.Line != 5 {
			t.Fatalf("limit %d: %v, want a LineError of line 5", limit, err)
		}
		if _, err := l.next(); err != io.EOF {
			t.Fatalf("limit %d: %v at the end", limit, err)
		}
	}
}

func TestReadErrorsPassThrough(t *testing.T) {
	for _, format := range Formats() {
		for _, text := range []string{"", "a: 1\n", "{\"a\": 1}\n", "a,b\n1,2\n3"} {
			r, err := NewReader(failing(text), Format(format), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, r); !strings.HasSuffix(got, "end: disk on fire\n") {
				t.Errorf("%s of %q: the read error is lost:\n%s", format, text, got)
			}
		}
	}
}
