package jsontext

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                  `""`,
		"plain":             `"plain"`,
		"a\"b\\c":           `"a\"b\\c"`,
		"\n\r\t\x00\x1f":    `"\n\r\t\u0000\u001f"`,
		"<&>":               `"<&>"`,
		"ä€😀":               `"ä€😀"`,
		"bad \xff\xfe end":  `"bad ` + "\uFFFD\uFFFD" + ` end"`,
		"cut \xe2\x82":      `"cut ` + "\uFFFD\uFFFD" + `"`,
		"real \uFFFD stays": `"real ` + "\uFFFD" + ` stays"`,
	} {
		if got := string(AppendString(nil, []byte(in))); got != want {
			t.Errorf("AppendString(%q) = %s, want %s", in, got, want)
		}
	}
	if got := string(AppendString([]byte("x:"), []byte("y"))); got != `x:"y"` {
		t.Errorf("AppendString does not append: %s", got)
	}
}

func TestAppendBytes(t *testing.T) {
	for in, want := range map[string]string{
		"text":     `"text"`,
		"\xff\x00": `{"hex":"ff00"}`,
	} {
		if got := string(AppendBytes(nil, []byte(in))); got != want {
			t.Errorf("AppendBytes(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestAppendStringIsReadBack(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		in := make([]byte, 0, 64)
		for range random.IntN(16) {
			in = utf8.AppendRune(in, rune(random.IntN(1<<random.IntN(21))))
		}
		var out string
		text := AppendString(nil, in)
		if err := json.Unmarshal(text, &out); err != nil || out != string(in) {
			t.Fatalf("seed %d: %q became %s, read back as %q (%v)", seed, in, text, out, err)
		}
	}
}
