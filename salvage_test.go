package mapleaf

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

var salvageRounds = flag.Int("salvagerounds", 1, "specimens of each kind in the tests of salvage")

// salvage salvages a damaged file, and returns what the new database holds.
func (sp *specimen) salvage(t *testing.T, file []byte, o *SalvageOptions) (
	contents, *SalvageReport) {
	t.Helper()
	c, r, err := sp.attempt(t, file, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

// attempt does the same where nothing may be left to be salvaged.
func (sp *specimen) attempt(t *testing.T, file []byte, o *SalvageOptions) (
	contents, *SalvageReport, error) {
	t.Helper()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "damaged.db"), filepath.Join(dir, "salvaged.db")
	if err := os.WriteFile(src, file, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Salvage(context.Background(), dst, src, o)
	if after, err := os.ReadFile(src); err != nil || !bytes.Equal(after, file) {
		t.Fatalf("salvage has changed the damaged file: %v", err)
	}
	if err != nil {
		return contents{}, nil, err
	}
	c := contentsAt(t, dst)
	if uint64(len(c.records)) != r.Records || uint64(len(c.buckets)-1) != r.Buckets {
		t.Fatalf("the report counts %d records in %d buckets, there are %d in %d",
			r.Records, r.Buckets, len(c.records), len(c.buckets)-1)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return c, r, nil
}

// A verdict compares what was salvaged with what a specimen holds.
type verdict struct {
	sp      *specimen
	got     contents
	report  *SalvageReport
	lost    map[string]bool // records that may be missing
	buckets []place         // whose names may be missing
	inLog   map[string]bool // what may be as it was before some transaction
}

// recovered returns a record of a bucket whose name is lost, wherever it has come to be.
func (v *verdict) recovered(name string, of place) (string, bool) {
	rest := strings.TrimPrefix(name, string(of))
	for _, b := range v.report.Recovered {
		if value, ok := v.got.records[string(place("").below([]byte(b.Name)))+rest]; ok {
			if value == v.sp.pages.records[name] {
				return value, true
			}
		}
	}
	return "", false
}

// guessed reports whether the report calls a record of this name a guess.
func (v *verdict) guessed(name string) bool {
	for _, g := range v.report.Guesses {
		at := place("")
		for _, n := range g.Bucket {
			at = at.below(n)
		}
		rest, ok := strings.CutPrefix(name, string(at))
		if !ok {
			continue
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			panic(err)
		}
		key, _ := strconv.Unquote(quoted) // what was quoted
		if key >= string(g.From) && (g.To == nil || key < string(g.To)) {
			return true
		}
	}
	return false
}

// saved checks that everything is there that is not lost.
func (v *verdict) saved() error {
	for name, want := range v.sp.all.records {
		got, ok := v.got.records[name]
		switch {
		case ok && got == want, v.lost[name], v.inLog[name]:
			continue
		}
		if of, is := under(v.buckets, name); is && v.sp.pages.records[name] == want {
			if _, ok := v.recovered(name, of); ok {
				continue
			}
		}
		if ok {
			return fmt.Errorf("%.80s has the value %.20q, want %.20q", name, got, want)
		}
		return fmt.Errorf("%.80s is missing", name)
	}
	for at, sequence := range v.sp.all.buckets {
		if _, is := under(v.buckets, string(at)); is || v.inLog[string(at)] {
			continue
		}
		if got, ok := v.got.buckets[at]; !ok || got != sequence {
			return fmt.Errorf("bucket %s has the sequence %d, want %d", at, got, sequence)
		}
	}
	return nil
}

// invented checks that nothing is there that was never written, and nothing that is older
// than what is intact, but what the report calls a guess and is lost.
func (v *verdict) invented() error {
	recovered := map[place]bool{}
	for _, b := range v.report.Recovered {
		recovered[place("").below([]byte(b.Name))] = true
	}
	inRecovered := map[string]bool{}
	for name, value := range v.sp.pages.records {
		if of, is := under(v.buckets, name); is {
			inRecovered[strings.TrimPrefix(name, string(of))+"="+value] = true
		}
	}
	for name, got := range v.got.records {
		want, ok := v.sp.all.records[name]
		if ok && got == want {
			continue
		}
		head, rest, _ := strings.Cut(name, "/")
		if recovered[place(head+"/")] {
			if inRecovered[rest+"="+got] {
				continue
			}
			return fmt.Errorf("%.80s was recovered, and never was", name)
		}
		_, is := under(v.buckets, name)
		if !v.sp.ever[name][got] {
			return fmt.Errorf("%.80s has a value that it never had: %.20q", name, got)
		}
		if v.inLog[name] {
			continue
		}
		if !(v.lost[name] || is || !ok && v.guessed(name)) ||
			!v.guessed(name) && v.sp.pages.records[name] != got {
			return fmt.Errorf("%.80s has an older value: %.20q instead of %.20q", name, got, want)
		}
	}
	return nil
}

// specimens returns one file of each kind.
func specimens(t *testing.T, salt uint64) (all []*specimen) {
	for i, kind := range specimenKinds {
		for j, pageSize := range []int{4 << 10, 16 << 10} {
			all = append(all, newSpecimen(t, kind, pageSize, salt+uint64(10*i+j)))
		}
	}
	return all
}

// One page after the other is destroyed. Everything that lies in the others is saved, and
// nothing appears that was never there.
func TestSalvageEveryPage(t *testing.T) {
	trials, step := 0, 1
	if testing.Short() {
		step = 5
	}
	for round := range *salvageRounds {
		for _, sp := range specimens(t, uint64(7000+100*round)) {
			rng := testRand(t, 7900)
			for id := round % step; id < len(sp.file)/sp.pageSize; id += step {
				file := bytes.Clone(sp.file)
				page := file[id*sp.pageSize : (id+1)*sp.pageSize]
				clear(page)
				if rng.IntN(5) == 0 {
					for i := range page {
						page[i] = byte(rng.Uint32())
					}
				}
				v := &verdict{sp: sp, lost: map[string]bool{}, inLog: map[string]bool{}}
				for name := range sp.lost[tx.PageID(id)] {
					v.lost[name] = true
				}
				v.buckets = sp.lostBuckets[tx.PageID(id)]
				sp.lostWithLog(tx.PageID(id), v.inLog)
				v.got, v.report = sp.salvage(t, file, nil)
				trials++
				for _, err := range []error{v.saved(), v.invented()} {
					if err != nil {
						t.Fatalf("%s, page %d: %v\n%s", sp.name, id, err, v.report.text())
					}
				}
				whole := len(v.lost) == 0 && len(v.buckets) == 0
				if !whole && v.report.Complete() && sp.heights[tx.PageID(id)] == 1 {
					t.Fatalf("%s, page %d: the report misses nothing", sp.name, id)
				}
			}
		}
	}
	t.Logf("%d trials", trials)
}

// text prints a report, for messages.
func (r *SalvageReport) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, transaction %d, log %d; %d buckets, %d records; good %+v, damaged %+v\n",
		r.State, r.TxID, r.LogTxID, r.Buckets, r.Records, r.Good, r.Damaged)
	for _, list := range [][]SalvageRange{r.Missing, r.Guesses} {
		fmt.Fprintln(&b, len(list), "ranges:")
		for _, m := range list[:min(len(list), 20)] {
			fmt.Fprintf(&b, "  %q from %.40q to %.40q: %d records, page %d, %s, %s\n",
				m.Bucket, m.From, m.To, m.Records, m.Page, m.Kind, m.Reason)
		}
	}
	fmt.Fprintf(&b, "recovered %+v\nnotes %q\n", r.Recovered, r.Notes)
	return b.String()
}
