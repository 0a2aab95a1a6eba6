package record

import (
	"errors"
	"strings"
	"testing"
)

func TestGuess(t *testing.T) {
	for name, want := range map[string]Format{
		"a.tsv": TSV, "a.TAB": TSV, "dir/a.csv.gz": CSV, "x.ndjson": NDJSON,
		"x.jsonl.gz": NDJSON, "deb_dists_main_binary-amd64_Packages": Deb822,
		"Packages.gz": Deb822, "Sources": Deb822, "/var/lib/dpkg/status": Deb822,
		"debian/control": Deb822, "hello.dsc": Deb822, "dumpavail": "", "-": "",
		"a.txt": "", `c:\data\available`: Deb822, "remote-control": "", "x.json": "",
	} {
		if got := Guess(name); got != want {
			t.Errorf("Guess(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	_, err := NewReader(strings.NewReader(""), "xml", Options{})
	const want = `unknown format "xml": it is one of tsv, csv, ndjson, deb822`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLookup(t *testing.T) {
	rows := Record{numbered: true, Fields: []Field{{Name: "id"}, {Name: "1"}, {Name: "Name"}}}
	stanza := Record{foldCase: true, Fields: []Field{{Name: "Package"}, {Name: "1"}}}
	for _, c := range []struct {
		record *Record
		column string
		want   int // -1: not there
	}{
		{&rows, "id", 0}, {&rows, "1", 1}, {&rows, "3", 2}, {&rows, "4", -1}, {&rows, "0", -1},
		{&rows, "name", -1}, {&rows, "", -1},
		{&stanza, "package", 0}, {&stanza, "PACKAGE", 0}, {&stanza, "1", 1}, {&stanza, "2", -1},
	} {
		got, ok := c.record.Lookup(c.column)
		if !ok {
			got = -1
		}
		if got != c.want {
			t.Errorf("Lookup(%q) = %d, want %d", c.column, got, c.want)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	r := Record{Line: 7, Fields: []Field{
		{Name: "a", Data: []byte("x\ny")},
		{Name: `"b"`, Data: []byte(`{"n":1.50}`), JSON: true},
		{Name: "c", Data: []byte("")},
		{Name: "d", Data: []byte("bad \xff")},
	}}
	got, err := r.AppendJSON([]byte("+"), []int{3})
	const want = `+{"a":"x\ny","\"b\"":{"n":1.50},"c":""}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	got, err = r.AppendJSON(nil, []int{0, 1, 2, 3})
	if err != nil || string(got) != "{}" {
		t.Errorf("got %s, %v, want {}", got, err)
	}
	_, err = r.AppendJSON(nil, nil)
	var bad *LineError
	if !errors.As(err, &bad) || bad.Line != 7 || !strings.Contains(bad.Reason, "field d is not") {
		t.Errorf("got %v, want a LineError of line 7 about field d", err)
	}
}

func TestTextOfJSON(t *testing.T) {
	for in, want := range map[string]string{
		`"a\u00e4\n"`: "aä\n", `12.50`: "12.50", `true`: "true", `{"a":1}`: `{"a":1}`, ``: ``,
	} {
		f := Field{Data: []byte(in), JSON: true}
		if got := string(f.Text()); got != want {
			t.Errorf("Text of %s = %q, want %q", in, got, want)
		}
	}
}
