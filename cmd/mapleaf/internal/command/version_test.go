package command

import (
	"regexp"
	"testing"
)

func TestVersion(t *testing.T) {
	want := regexp.MustCompile(`^mapleaf \S.*, go1\.\S+.*, \w+/\w+\n$`)
	if out := must(t, "", "version"); !want.MatchString(out) {
		t.Errorf("got %q", out)
	}
}
