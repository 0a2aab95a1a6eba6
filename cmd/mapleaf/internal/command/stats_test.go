package command

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"testing"
)

// sizes is what the store decides: how many pages and bytes something takes.
var sizes = regexp.MustCompile(`(?m)^((?:file size|pages|free pages|leaf pages|branch pages|` +
	`overflow pages|depth|last transaction) +).*$`)

func TestStats(t *testing.T) {
	session(t, func(s string) string { return sizes.ReplaceAllString(s, "$1#") },
		step{line: "put f.db k v --bucket a"},
		step{line: "put f.db k v --bucket a/b"},
		step{line: "put f.db l v --bucket a/b"},
		step{line: "put f.db k v --bucket c"},
		step{line: "stats f.db"},
		step{line: "stats f.db --bucket a"},
		step{line: "stats f.db --bucket b"},
	)
}

// The numbers are those of the file: sizes from the file system, and counts
// that were put there.
func TestStatsJSON(t *testing.T) {
	var records []string
	for i := range 5000 {
		records = append(records, fmt.Sprintf("key %d=a value that takes some room", i))
	}
	file := makeFile(t, records...)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	var s fileStats
	out := must(t, "", "stats", file, "--format", "json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if s.File != file || s.FileBytes != info.Size() || s.Buckets != 2 || s.Records != 5000 {
		t.Errorf("got %+v of a file of %d bytes", s, info.Size())
	}
	if s.PageBytes < 4096 || s.DatabaseBytes > s.FileBytes || s.LeafBytes > int(s.FileBytes) ||
		s.LeafUsed < 5000*27 || s.LeafUsed > s.LeafBytes || s.LeafPages < 5000*27/s.PageBytes ||
		s.Depth < 2 || s.BranchPages < 1 || s.BranchUsed > s.BranchBytes {
		t.Errorf("these cannot be: %+v", s)
	}
	pages := int64(s.BranchPages + s.LeafPages + s.OverflowPages + s.FreePages)
	if pages*int64(s.PageBytes) > s.DatabaseBytes {
		t.Errorf("%d pages in %d bytes", pages, s.DatabaseBytes)
	}
}
