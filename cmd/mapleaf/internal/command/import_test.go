package command

import (
	"strings"
	"testing"
)

const csvInput = "id,name,note\r\n7,maple,\"a \"\"leaf\"\"\nfalls\"\r\n8,oak,\r\n"

func TestImportFormats(t *testing.T) {
	session(t, nil,
		step{line: "import f.db --format csv --bucket csv/json", stdin: csvInput},
		step{line: "scan f.db --bucket csv/json"},
		step{line: "import f.db - --format csv --key name --value raw --bucket csv/raw",
			stdin: csvInput},
		step{line: "scan f.db --bucket csv/raw"},
		step{line: "import f.db - -f csv --key name --key 1 --joint / --value note -b csv/two",
			stdin: csvInput},
		step{line: "scan f.db --bucket csv/two"},
		step{line: "import f.db - --format csv --delimiter ; --columns code,name,gc -b csv/names",
			stdin: "0041;LATIN CAPITAL LETTER A;Lu\n0042;LATIN CAPITAL LETTER B;Lu\n"},
		step{line: "scan f.db --bucket csv/names"},
		step{line: "import f.db - --format tsv --no-header --key 2 --bucket tsv",
			stdin: "a\tb\nc\td\n"},
		step{line: "scan f.db --bucket tsv"},
		step{line: "import f.db - --format ndjson --key id --bucket nd",
			stdin: `{"id":12.0,"s":"\u00e4<","l":[1, {"x":null}]}` + "\n" + `{"s":1,"id":"x"}`},
		step{line: "scan f.db --bucket nd"},
		step{line: "import f.db - --format ndjson --key id --value s --bucket nd/value",
			stdin: `{"id":true,"s":"\u00e4<"}`},
		step{line: "scan f.db --bucket nd/value"},
		step{line: "import f.db - --format deb822 --bucket deb",
			stdin: "Package: bash\nVersion: 5\nDescription: a shell\n with lines\n\n" +
				"Package: dash\n"},
		step{line: "scan f.db --bucket deb"},
		step{line: "import f.db - --format deb822 --key package --value raw --bucket deb/raw",
			stdin: "Package: bash\n# why\nVersion: 5\n"},
		step{line: "get f.db bash --bucket deb/raw"},
		step{line: "import f.db - --format csv --value column:raw --bucket column",
			stdin: "id,raw\n1,cooked\n"},
		step{line: "scan f.db --bucket column"},
		step{line: "import f.db - --format tsv --bucket empty"},
		step{line: "buckets f.db"},
	)
}

func TestImportDuplicates(t *testing.T) {
	const input = "k\tVersion\tn\na\t1\tone\nb\t1\ttwo\na\t2\tthree\na\t2\tfour\n"
	session(t, nil,
		step{line: "import f.db - --format tsv --value n --bucket last", stdin: input},
		step{line: "scan f.db --bucket last"},
		step{line: "import f.db - --format tsv --value n --bucket first --duplicates first",
			stdin: input},
		step{line: "scan f.db --bucket first"},
		step{line: "import f.db - --format tsv --value n --bucket append --duplicates append",
			stdin: input},
		step{line: "scan f.db --bucket append"},
		step{line: "import f.db - --format tsv --value Version --bucket n --duplicates append " +
			"--append n --joint -", stdin: input},
		step{line: "scan f.db --bucket n"},
		step{line: "import f.db - --format tsv --bucket n --duplicates append",
			stdin: "k\tn\na\t1\n"},
		step{line: "import f.db - --format tsv --bucket error --duplicates error --batch 2",
			stdin: input},
		step{line: "scan f.db --bucket error --keys-only"},
		step{line: "import f.db - --format tsv --bucket append --key n --duplicates last",
			stdin: strings.ReplaceAll(input, "one", "a")},
	)
}

// What is bad is named by its line; what came before it is stored.
func TestImportBadRecords(t *testing.T) {
	const input = "{\"id\":1}\n{\"id\":2}\nnot JSON\n{\"no\":1}\n{\"id\":null}\n" +
		"{\"id\":\"\"}\n{\"id\":[1]}\n{\"id\":3}\n"
	long := "{\"id\":\"" + strings.Repeat("k", 32769) + "\"}\n"
	session(t, nil,
		step{line: "import f.db - --format ndjson --key id --bucket stop", stdin: input},
		step{line: "scan f.db --bucket stop"},
		step{line: "import f.db - --format ndjson --key id --bucket skip --skip-bad",
			stdin: input},
		step{line: "scan f.db --bucket skip"},
		step{line: "import f.db - --format ndjson --key id --bucket long", stdin: long},
		step{line: "import f.db - --format ndjson --key id --value x --bucket x",
			stdin: "{\"id\":1}\n"},
		step{line: "import f.db - --format tsv --bucket utf8", stdin: "a\tb\n1\t\xff\n"},
		step{line: "import f.db - --format tsv --bucket utf8 --value raw",
			stdin: "a\tb\n1\t\xff\n"},
		step{line: "scan f.db --bucket utf8"},
		step{line: "import f.db - --format tsv --bucket twice --skip-bad",
			stdin: "a\ta\n1\t2\n"},
		step{line: "import f.db - --format deb822 --bucket d",
			stdin: "Package: a\n\nbad\n\nPackage: b\n"},
		step{line: "import f.db - --format deb822 --bucket d --skip-bad",
			stdin: "Package: a\n\nbad\n\nPackage: b\n"},
		step{line: "scan f.db --bucket d"},
		step{line: "put f.db k v --bucket sub/a"},
		step{line: "import f.db - --format deb822 --bucket sub",
			stdin: "Package: b\n\nPackage: a\n"},
		step{line: "import f.db - --format deb822 --bucket sub/a/k", stdin: "Package: b\n"},
	)
}
