package record

import (
	"strings"
	"testing"
)

func TestDeb822(t *testing.T) {
	runTables(t, Deb822, []table{
		{name: "stanzas",
			input: "# a comment\n\nPackage: bash\nVersion:5.2-1  \nDescription: a shell\n" +
				" long\n .\n\t more\n\n \t \nPackage: dash\nEmpty:\n",
			want: "3: Package=\"bash\" Version=\"5.2-1\" " +
				"Description=\"a shell\\nlong\\n.\\n more\" | " +
				"\"Package: bash\\nVersion:5.2-1  \\nDescription: a shell\\n" +
				" long\\n .\\n\\t more\"\n" +
				"11: Package=\"dash\" Empty=\"\" | \"Package: dash\\nEmpty:\"\n"},
		{name: "multi-line field and comment inside",
			input: "Files:\n a 1\n# not data\n b 2\nX: y",
			want: "1: Files=\"\\na 1\\nb 2\" X=\"y\" | " +
				"\"Files:\\n a 1\\n# not data\\n b 2\\nX: y\"\n"},
		{name: "bad stanzas are skipped whole",
			input: " lost\nA: 1\n\nA: 1\nno colon\nB: 2\n\n: x\n\nA: 1\na: 2\n\nA b: 1\n\nC: 3\n",
			want: "bad: line 1: a continuation line without a field before it\n" +
				"bad: line 5: no field name: \"no colon\"\n" +
				"bad: line 8: no field name: \": x\"\n" +
				"bad: line 11: field a stands twice in the stanza\n" +
				"bad: line 13: a field name with a space in it: \"A b: 1\"\n" +
				"15: C=\"3\" | \"C: 3\"\n"},
		{name: "empty", input: "\n\n# only a comment\n", want: ""},
	})
}

func TestDeb822LongLinesAndStanzas(t *testing.T) {
	long := strings.Repeat("v", 200)
	d := newDeb822(strings.NewReader("A: 1\nB: " + long + "\nC: 2\n\nA: 2\n" +
		strings.Repeat("B: "+long[:80]+"\n "+long[:80]+"\n", 1) + "\n" + long + "\n\nA: 3\n"))
	d.lines.limit = 150
	got := readAll(t, d)
	const want = "bad: line 2: the line is longer than 150 bytes\n" +
		"bad: line 7: the stanza is longer than 150 bytes\n" +
		"bad: line 9: the line is longer than 150 bytes\n" +
		"11: A=\"3\" | \"A: 3\"\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A stanza of very many fields takes time in proportion to its length.
func TestDeb822ManyFields(t *testing.T) {
	var in strings.Builder
	const count = 200_000
	for i := range count {
		in.WriteString("F")
		for n := i; n > 0; n /= 26 {
			in.WriteByte(byte('a' + n%26))
		}
		in.WriteString(": x\n")
	}
	d := newDeb822(strings.NewReader(in.String()))
	r, err := d.Next()
	if err != nil || len(r.Fields) != count {
		t.Fatalf("%v, want %d fields", err, count)
	}
	if len(d.names) > 1000 {
		t.Errorf("%d names are remembered", len(d.names))
	}
}
