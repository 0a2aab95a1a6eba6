package record

import (
	"io"
	"strings"
	"testing"
)

func TestTSV(t *testing.T) {
	runTables(t, TSV, []table{
		{name: "header",
			input: "id\tname\n1\tone\r\n\n2\t\"t w o\"\n",
			want: "2: id=\"1\" name=\"one\" | \"1\\tone\"\n" +
				"4: id=\"2\" name=\"\\\"t w o\\\"\" | \"2\\t\\\"t w o\\\"\"\n"},
		{name: "no header",
			input:   "a\tb",
			options: Options{NoHeader: true},
			want:    "1: 1=\"a\" 2=\"b\" | \"a\\tb\"\n"},
		{name: "given names",
			input:   "a\t\n",
			options: Options{Columns: []string{"x", "y"}},
			want:    "1: x=\"a\" y=\"\" | \"a\\t\"\n"},
		{name: "wrong number of columns",
			input: "a\tb\n1\n1\t2\t3\n1\t2\n",
			want: "bad: line 2: 1 columns instead of 2\nbad: line 3: 3 columns instead of 2\n" +
				"4: a=\"1\" b=\"2\" | \"1\\t2\"\n"},
		{name: "names twice",
			input: "a\tb\ta\n1\t2\t3\n",
			want: "end: line 1: columns 1 and 3 of the header are both named \"a\" " +
				"(give other names, or none, and say that there is no header)\n"},
		{name: "empty", input: "", want: ""},
		{name: "header only", input: "a\tb\n", want: ""},
	})
}

func TestCSV(t *testing.T) {
	runTables(t, CSV, []table{
		{name: "quotes",
			input: "\uFEFFid,text\r\n1,\"a \"\"b\"\"\nc\"\r\n\r\n2,\n",
			want: "2: id=\"1\" text=\"a \\\"b\\\"\\nc\" | \"1,\\\"a \\\"\\\"b\\\"\\\"\\nc\\\"\"\n" +
				"5: id=\"2\" text=\"\" | \"2,\"\n"},
		{name: "delimiter",
			input:   "0041;LATIN CAPITAL LETTER A;Lu\n",
			options: Options{Delimiter: ';', Columns: []string{"code", "name", "gc"}},
			want: "1: code=\"0041\" name=\"LATIN CAPITAL LETTER A\" gc=\"Lu\" | " +
				"\"0041;LATIN CAPITAL LETTER A;Lu\"\n"},
		{name: "a bad line in the middle",
			input: "a,b\n1,2\n3,x\"y\n5,6\n",
			want: "2: a=\"1\" b=\"2\" | \"1,2\"\n" +
				"bad: line 3: bare \" in non-quoted-field\n4: a=\"5\" b=\"6\" | \"5,6\"\n"},
		{name: "wrong number of columns",
			input:   "1,2\n3\n",
			options: Options{NoHeader: true},
			want:    "1: 1=\"1\" 2=\"2\" | \"1,2\"\nbad: line 2: 1 columns instead of 2\n"},
		{name: "an open quote",
			input: "a,b\n1,\"2\n",
			want:  "bad: line 2: extraneous or missing \" in quoted-field\n"},
		{name: "empty", input: "", want: ""},
	})
}

func TestCSVLimit(t *testing.T) {
	c := newCSV(io.MultiReader(strings.NewReader("a\n1\n\""), xs{}), Options{})
	c.window.limit = 200_000
	got := readAll(t, c)
	const want = "2: a=\"1\" | \"1\"\n" +
		"end: a record is longer than 200000 bytes (is a quote never closed?)\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if kept := cap(c.window.text); kept > 1<<20 {
		t.Errorf("%d bytes are kept", kept)
	}
}

func TestCSVWindowStaysSmall(t *testing.T) {
	c := newCSV(strings.NewReader(strings.Repeat("some,short,line\n", 100_000)),
		Options{NoHeader: true})
	records := 0
	for {
		_, err := c.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		records++
	}
	if records != 100_000 || cap(c.window.text) > 1<<18 {
		t.Errorf("%d records, %d bytes kept", records, cap(c.window.text))
	}
}
