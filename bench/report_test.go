package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sampleResult returns a result with three peers: the base wins get-long, the
// second wins scan, the third failed.
func sampleResult() *result {
	r := &result{
		Format: resultFormat, Date: "2026-01-02T03:04:05Z", Rounds: 3, Base: "mapleaf",
		Machine: machine{System: "linux/amd64", Processors: 2, Go: "go1.26", FileSystem: "ext4"},
		Scale:   scale{Records: 1_000_000, Keys: keysRandom, ValueSize: 100, Seed: 1},
		Peers: []peerFacts{
			{Name: "mapleaf", About: "plain", Version: "checkout"},
			{Name: "bbolt", About: "as it comes", Version: "v1.5.0"},
			{Name: "other", About: "breaks"},
		},
	}
	add := func(workload, peer string, values ...float64) {
		for round, value := range values {
			r.Samples = append(r.Samples, sample{
				Workload: workload, Peer: peer, Round: round, Metrics: metrics{nsPerOp: value},
			})
		}
	}
	add("get-long", "mapleaf", 400, 420, 410)
	add("get-long", "bbolt", 1200, 1260, 1000)
	add("scan", "mapleaf", 30, 30, 30)
	add("scan", "bbolt", 15, 15, 18)
	r.Samples = append(r.Samples, sample{
		Workload: "get-long", Peer: "other", Round: 1, Error: "wrong value: key 00",
	})
	return r
}

func TestReportText(t *testing.T) {
	var b bytes.Buffer
	if err := sampleResult().writeText(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"1,000,000 records, random keys, values of 100 bytes",
		"bbolt v1.5.0: as it comes",
		"*410 ns ±2%", "1.20 us ±11%", "*15 ns ±10%",
		"3.00x", "0.50x",
		"full scan, a record: bbolt 0.50x",
		"get-long of other, round 2: wrong value: key 00",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "random get, one long read transaction: ") {
		t.Errorf("a row that the base wins is called lost:\n%s", text)
	}
}

func TestReportWithoutLosses(t *testing.T) {
	r := sampleResult()
	r.Samples = r.Samples[:6]
	var b bytes.Buffer
	if err := r.writeText(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "mapleaf wins every row.") {
		t.Errorf("the report does not say that nothing was lost:\n%s", b.String())
	}
	if strings.Contains(b.String(), "Failed") || strings.Contains(b.String(), "Scan") {
		t.Errorf("the report shows what was not measured:\n%s", b.String())
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		metric string
		value  float64
		want   string
	}{
		{nsPerOp, 5.84, "5.84 ns"}, {nsPerOp, 417, "417 ns"}, {nsPerOp, 999.7, "1.00 us"},
		{nsPerOp, 12_345, "12.3 us"}, {nsPerOp, 2.5e9, "2.50 s"}, {nsPerOp, 4e12, "4000 s"},
		{fileBytes, 128e6, "128 MB"}, {writtenPerOp, 16_400, "16.4 kB"}, {anonBytes, 0, "0 B"},
		{allocsPerOp, 1.5, "1.50"}, {p99NS, 1e6, "1 ms"},
	} {
		if got := formatMetric(c.metric, c.value); got != c.want {
			t.Errorf("%s %v is %q, want %q", c.metric, c.value, got, c.want)
		}
	}
	for ratio, want := range map[float64]string{
		0.5: "0.50x", 12.34: "12.3x", 345.6: "346x",
	} {
		if got := formatRatio(ratio); got != want {
			t.Errorf("ratio %v is %q, want %q", ratio, got, want)
		}
	}
	if got := formatRatio(math.NaN()); got != "-" {
		t.Errorf("no ratio is %q", got)
	}
	for n, want := range map[int]string{7: "7", 1000: "1,000", 10_000_000: "10,000,000"} {
		if got := groupDigits(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestTableAligns(t *testing.T) {
	table := newTable("")
	table.head("one")
	table.head("two")
	table.title("A title that is longer than anything")
	table.line("x")
	table.cell("±1")
	table.cell("12345")
	table.line("longer")
	table.cell("1")
	var b bytes.Buffer
	table.write(&b)
	want := "          one    two\n" +
		"A title that is longer than anything\n" +
		"  x        ±1  12345\n" +
		"  longer    1\n"
	if b.String() != want {
		t.Errorf("the table is\n%s\nwant\n%s", b.String(), want)
	}
}

func TestResultRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	r := sampleResult()
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	again, err := loadResult(path)
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := r.writeText(&one); err != nil {
		t.Fatal(err)
	}
	if err := again.writeText(&two); err != nil {
		t.Fatal(err)
	}
	if one.String() != two.String() {
		t.Errorf("the report changed from\n%s\nto\n%s", one.String(), two.String())
	}
	for _, bad := range []string{`{"format": 99}`, `not JSON`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadResult(path); err == nil {
			t.Errorf("a result of %q is taken", bad)
		}
	}
}

func TestChartsAreWellFormed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "charts")
	if err := sampleResult().writeCharts(dir); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(files) != 2 {
		t.Fatalf("charts are %v, %v; want get.svg and scan.svg", files, err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(bytes.NewReader(text))
		bars := 0
		for {
			token, err := decoder.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
				bars++
			}
		}
		// The background and the two peers that were measured.
		if bars != 3 {
			t.Errorf("%s has %d rectangles, want 3", path, bars)
		}
	}
}
