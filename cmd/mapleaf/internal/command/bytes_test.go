package command

import "testing"

func TestParseBytes(t *testing.T) {
	for _, c := range []struct {
		arg  string
		hex  bool
		want string
		bad  bool
	}{
		{"abc", false, "abc", false},
		{"hex:00fF", false, "\x00\xff", false},
		{"00ff", true, "\x00\xff", false},
		{"hex:00ff", true, "\x00\xff", false},
		{"text:hex:1", false, "hex:1", false},
		{"text:abc", true, "abc", false},
		{"hex:", false, "", false},
		{"hex:0", false, "", true},
		{"xyz", true, "", true},
	} {
		got, err := parseBytes("KEY", c.arg, c.hex)
		if string(got) != c.want || (err != nil) != c.bad {
			t.Errorf("parseBytes(%q, %v) = %q, %v", c.arg, c.hex, got, err)
		}
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		prefix, from, to string
		lo, hi           string // "" = nil
	}{
		{"", "", "", "", ""},
		{"ab", "", "", "ab", "ac"},
		{"", "b", "d", "b", "d"},
		{"ab", "aa", "b", "ab", "ac"},
		{"ab", "abc", "abd", "abc", "abd"},
		{"hex:61ff", "", "", "a\xff", "b"},
		{"hex:ffff", "", "", "\xff\xff", ""},
		{"ab", "x", "", "x", "ac"},
	} {
		r := keyRange{prefix: c.prefix, from: c.from, to: c.to}
		lo, hi, err := r.bounds()
		if string(lo) != c.lo || string(hi) != c.hi || err != nil {
			t.Errorf("%+v: [%q, %q), %v", c, lo, hi, err)
		}
		if (lo == nil) != (c.lo == "") || (hi == nil) != (c.hi == "") {
			t.Errorf("%+v: [%v, %v): no bound is not nil", c, lo, hi)
		}
	}
}
