package record

import "testing"

func TestNDJSON(t *testing.T) {
	runTables(t, NDJSON, []table{
		{name: "objects",
			input: "{\"id\": 1.50, \"s\":\"\\u00e4\", \"o\":{\"x\":[1, 2]}}\n\n {} \r\n",
			want: "1: id=\"1.50\" s=\"ä\" o=\"{\\\"x\\\":[1, 2]}\" | " +
				"\"{\\\"id\\\": 1.50, \\\"s\\\":\\\"\\\\u00e4\\\", \\\"o\\\":" +
				"{\\\"x\\\":[1, 2]}}\"\n3: | \"{}\"\n"},
		{name: "bad lines",
			input: "[1]\n{\"a\":1\n{\"a\":1}x\n{\"a\":}\n{\"a\":1,\"a\":2}\n\"s\"\n" +
				"\xff\n{\"a\":2}\n",
			want: "bad: line 1: not a JSON object\n" +
				"bad: line 2: the JSON object is not complete\n" +
				"bad: line 3: something follows the JSON object: \"x\"\n" +
				"bad: line 4: bad JSON: invalid character '}' looking for beginning of value\n" +
				"bad: line 5: the object has two members named \"a\"\n" +
				"bad: line 6: not a JSON object\n" +
				"bad: line 7: not valid UTF-8\n" +
				"8: a=\"2\" | \"{\\\"a\\\":2}\"\n"},
		{name: "empty", input: "\n\n", want: ""},
	})
}
