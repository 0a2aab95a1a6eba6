package unicodedata

import (
	"strings"
	"testing"
	"unicode"
)

func TestLoad(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 34823 {
		t.Errorf("%d characters", len(all))
	}
	names := make(map[string]bool, len(all))
	byCode := make(map[rune]Character, len(all))
	last := rune(-1)
	for _, c := range all {
		if c.Code <= last {
			t.Fatalf("%U stands behind %U", c.Code, last)
		}
		if names[c.Name] {
			t.Fatalf("two characters are named %q", c.Name)
		}
		names[c.Name], byCode[c.Code], last = true, c, c.Code
	}
	for code, want := range map[rune]Character{
		' ':     {' ', "SPACE", "Zs"},
		'A':     {'A', "LATIN CAPITAL LETTER A", "Lu"},
		'€':     {'€', "EURO SIGN", "Sc"},
		0x1F341: {0x1F341, "MAPLE LEAF", "So"},
		0xE01EF: {0xE01EF, "VARIATION SELECTOR-256", "Mn"},
	} {
		if byCode[code] != want {
			t.Errorf("%U is %+v, want %+v", code, byCode[code], want)
		}
	}
}

// The categories agree with those of Go's own tables, wherever these know the
// character: two sources, one truth.
func TestCategories(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	agree := 0
	for _, c := range all {
		table, known := unicode.Categories[c.Category]
		if !known {
			t.Fatalf("%U has the category %q", c.Code, c.Category)
		}
		if unicode.Is(table, c.Code) {
			agree++
		}
	}
	// Single characters change their category from one version to the next.
	if least := len(all) - 20; agree < least {
		t.Errorf("%d of %d categories agree, want at least %d", agree, len(all), least)
	}
}

func TestSource(t *testing.T) {
	for _, want := range []string{
		"15.0.0-1", "Permission is hereby granted", "This file is modified",
	} {
		if !strings.Contains(Source, want) {
			t.Errorf("SOURCE.txt does not say %q", want)
		}
	}
}
