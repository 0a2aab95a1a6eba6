package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const scanInput = "apple\tred\nbanana\tyellow\ncherry\tdark red\ndate\tbrown\n" +
	"cherry plum\tpurple\nä\tnot ASCII\\\n"

func TestScan(t *testing.T) {
	session(t, nil,
		step{line: "import f.db - --format tsv --no-header --value 2 --bucket fruit",
			stdin: scanInput},
		step{line: "put f.db hex:0001 hex:fe0a --bucket fruit"},
		step{line: "put f.db x y --bucket fruit/cherries"},
		step{line: "scan f.db --bucket fruit"},
		step{line: "scan f.db --bucket fruit --format hex"},
		step{line: "scan f.db --bucket fruit --format json"},
		step{line: "scan f.db --bucket fruit --keys-only"},
		step{line: "scan f.db --bucket fruit --keys-only --format hex"},
		step{line: "scan f.db --bucket fruit --keys-only --format json"},
		step{line: "scan f.db --bucket fruit --prefix cherr"},
		step{line: "scan f.db --bucket fruit --prefix cherr --reverse"},
		step{line: "scan f.db --bucket fruit --from banana --to date"},
		step{line: "scan f.db --bucket fruit --from banana --to date --reverse --limit 2"},
		step{line: "scan f.db --bucket fruit --prefix c --from 'cherry ' --limit 1"},
		step{line: "scan f.db --bucket fruit --prefix c3 --hex"},
		step{line: "scan f.db --bucket fruit --count"},
		step{line: "scan f.db --bucket fruit --count --to c"},
		step{line: "scan f.db --bucket fruit --from z --to y"},
		step{line: "scan f.db --bucket nosuch"},
		step{line: "scan f.db"},
	)
}

// Any range, in both directions, yields what a sorted slice does.
func TestScanRanges(t *testing.T) {
	const seed = 11
	random := rand.New(rand.NewPCG(seed, 0))
	var keys, records []string
	for range 3000 {
		key := fmt.Sprintf("%03d", random.IntN(1000))[:1+random.IntN(3)]
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
			records = append(records, key+"=v")
		}
	}
	slices.Sort(keys)
	file := makeFile(t, records...)
	for range 60 {
		from, to := fmt.Sprint(random.IntN(1000)), fmt.Sprint(random.IntN(1000))
		prefix := fmt.Sprint(random.IntN(1000))[:random.IntN(2)]
		var want []string
		for _, key := range keys {
			if key >= from && key < to && strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		args := []string{"scan", file, "--bucket", "a/b", "--keys-only",
			"--from", from, "--to", to, "--prefix", prefix}
		if random.IntN(2) == 0 {
			args = append(args, "--reverse")
			slices.Reverse(want)
		}
		if limit := random.IntN(10); limit > 0 {
			args = append(args, "--limit", fmt.Sprint(limit))
			want = want[:min(limit, len(want))]
		}
		if got := strings.Fields(must(t, "", args...)); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %q yields %q, want %q", seed, args, got, want)
		}
	}
}
