package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sampleSizes returns a result of three sizes, whose costs grow with the logarithm; the
// last size of the second peer failed.
func sampleSizes() *result {
	all := sampleResult()
	all.Samples, all.Scale.Records = nil, 0
	all.Peers = all.Peers[:2]
	for step, records := range []int{1000, 10_000, 100_000} {
		one := sampleResult()
		one.Scale.Records, one.Peers, one.Samples = records, all.Peers, nil
		for _, workload := range sizeWorkloads {
			for i, p := range all.Peers {
				value := float64(100 * (i + 1) * (step + 1))
				s := sample{Workload: workload, Peer: p.Name, Metrics: metrics{nsPerOp: value}}
				if i == 1 && step == 2 {
					s = sample{Workload: workload, Peer: p.Name, Error: "broken"}
				}
				one.Samples = append(one.Samples, s)
			}
		}
		all.Sizes = append(all.Sizes, one)
	}
	return all
}

// TestSizes measures three sizes, from the command line to the files.
func TestSizes(t *testing.T) {
	dir := t.TempDir()
	databases := filepath.Join(dir, "databases")
	if err := os.Mkdir(databases, 0o700); err != nil {
		t.Fatal(err)
	}
	path, charts := filepath.Join(dir, "new", "sizes.json"), filepath.Join(dir, "charts")
	r, out := mustRun(t, databases, path, "sizes", "-from", "100", "-to", "10000", "-rounds", "1",
		"-commits", "3", "-peers", "bbolt", "-base", "bbolt", "-charts", charts)
	if len(r.Sizes) != 3 || r.Sizes[2].Scale.Records != 10_000 {
		t.Fatalf("%d sizes", len(r.Sizes))
	}
	for _, one := range r.Sizes {
		for _, line := range r.sizeRows() {
			if s := one.summary(line.workload, "bbolt", line.metric); s.rounds != 1 {
				t.Errorf("%d records: %s has %d rounds, want 1",
					one.Scale.Records, line.title, s.rounds)
			}
		}
	}
	for _, command := range [][]string{
		{"report", path}, {"chart", path, charts}, {"compare", "-peer", "bbolt", path, path},
	} {
		var again bytes.Buffer
		if code := dispatch(context.Background(), command, nil, &again, io.Discard); code != exitOK {
			t.Errorf("%v: exit code %d", command, code)
		}
		if command[0] == "report" && again.String() != out.String() {
			t.Errorf("the report changed from\n%s\nto\n%s", out.String(), again.String())
		}
		if command[0] != "compare" {
			continue
		}
		for _, want := range []string{"single durable put, 10,000 records", " 0 worse"} {
			if !strings.Contains(again.String(), want) {
				t.Errorf("compare of sizes with themselves lacks %q:\n%s", want, again.String())
			}
		}
	}
	if _, err := os.Stat(filepath.Join(charts, "sizes.svg")); err != nil {
		t.Error(err)
	}
}

// TestSizesAreStopped stops a run between two sizes.
func TestSizesAreStopped(t *testing.T) {
	p, err := parseSizesFlags([]string{"-json", "", "-charts", "", "-dir", t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err := p.execute(ctx); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("a run that was stopped ends with %v, %v", r, err)
	}
}

func TestSizesText(t *testing.T) {
	r := sampleSizes()
	var b bytes.Buffer
	if err := r.writeText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1,000 to 100,000 records, random keys", "single durable put", "10,000 records",
		"*300 ns", "3.00x", "put-1 of bbolt, round 1: broken",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
	if r.failures() != len(sizeWorkloads) {
		t.Errorf("%d failures, want %d", r.failures(), len(sizeWorkloads))
	}
}

// TestSizesChart expects costs that grow with the logarithm on straight lines.
func TestSizesChart(t *testing.T) {
	text := sampleSizes().sizesChart()
	var lines [][]float64
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "polyline" {
			continue
		}
		for _, attr := range start.Attr {
			if attr.Name.Local == "points" {
				lines = append(lines, numbers(t, attr.Value))
			}
		}
	}
	if len(lines) != 2*len(sizeWorkloads) {
		t.Fatalf("%d lines, want one for each peer in each panel", len(lines))
	}
	for i, line := range lines {
		want := 6 - 2*(i%2) // x and y of 3 sizes, or of the 2 that did not fail
		if len(line) != want {
			t.Fatalf("line %d has %v, want %d numbers", i, line, want)
		}
		if want < 6 {
			continue
		}
		dx1, dx2 := line[2]-line[0], line[4]-line[2]
		dy1, dy2 := line[3]-line[1], line[5]-line[3]
		if math.Abs(dx1-dx2) > 0.2 || math.Abs(dy1-dy2) > 0.2 || dx1 <= 0 || dy1 >= 0 {
			t.Errorf("line %d is not straight: %v", i, line)
		}
	}
}

// numbers returns all numbers of a text.
func numbers(t *testing.T, text string) (list []float64) {
	t.Helper()
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		value, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, value)
	}
	return list
}

func TestSizesChartOfOneSize(t *testing.T) {
	r := sampleSizes()
	r.Sizes = r.Sizes[:1]
	r.Sizes[0].Samples = nil
	if text := r.sizesChart(); bytes.Contains(text, []byte("NaN")) ||
		bytes.Contains(text, []byte("Inf")) {
		t.Errorf("the chart of nothing has no place for it:\n%s", text)
	}
}

func TestTicks(t *testing.T) {
	for largest, want := range map[float64]float64{
		1: 0.2, 4: 1, 5: 1, 5.1: 2, 10: 2, 11: 5, 26: 10, 889: 200, 1.6e6: 5e5,
	} {
		if got := tickStep(largest); math.Abs(got/want-1) > 1e-9 {
			t.Errorf("lines up to %v are %v apart, want %v", largest, got, want)
		}
	}
	for n, want := range map[int]string{
		500: "500", 10_000: "10 k", 1_000_000: "1 M", 2_500_000: "2.5 M",
	} {
		if got := shortCount(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	for records, want := range map[int]float64{
		100: 20, 1_000_000: 20, 1_000_001: 40, 10_000_000: 200,
	} {
		p := plan{scale: scale{Records: records}}
		if got := p.timeLimit().Minutes(); got != want {
			t.Errorf("%d records: %v minutes, want %v", records, got, want)
		}
	}
	if p := (plan{timeout: 5}); p.timeLimit() != 5 {
		t.Errorf("a limit that is given is %v", p.timeLimit())
	}
}
