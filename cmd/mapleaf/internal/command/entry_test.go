package command

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/record"
)

// tsvOf returns a reader of a table with names in its first line.
func tsvOf(t *testing.T, text string) record.Reader {
	t.Helper()
	r, err := record.NewReader(strings.NewReader(text), record.TSV, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Entries own their bytes: reading on does not change them.
func TestEntriesOwnTheirBytes(t *testing.T) {
	var text strings.Builder
	text.WriteString("k\tVersion\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "key %d\t%d\n", i, i)
	}
	for _, value := range []string{valueRaw, valueJSON, "Version"} {
		m := &maker{keys: []string{"k"}, joint: "@", append: "Version", value: value}
		b := fill(t.Context(), tsvOf(t, text.String()), m, 10_000, false)
		if len(b.entries) != 1000 || b.last != io.EOF {
			t.Fatalf("%d entries, %v", len(b.entries), b.last)
		}
		for i, e := range b.entries {
			want := map[string]string{
				valueRaw:  fmt.Sprintf("key %d\t%d", i, i),
				valueJSON: fmt.Sprintf(`{"Version":"%d"}`, i),
				"Version": fmt.Sprint(i),
			}[value]
			if string(e.key) != fmt.Sprintf("key %d", i) || string(e.value) != want ||
				string(e.appended) != fmt.Sprintf("key %d@%d", i, i) || e.line != i+2 {
				t.Fatalf("entry %d is %+v", i, e)
			}
		}
	}
}

// A batch ends at its number of records, or at its number of bytes.
func TestBatches(t *testing.T) {
	text := "k\tv\n" + strings.Repeat("k\tv\n", 25)
	r := tsvOf(t, text)
	m := &maker{keys: []string{"k"}, value: valueRaw}
	for i, want := range []int{10, 10, 5} {
		b := fill(t.Context(), r, m, 10, false)
		if len(b.entries) != want || (b.last == io.EOF) != (i == 2) {
			t.Errorf("batch %d has %d entries, %v", i, len(b.entries), b.last)
		}
	}
	large := "k\tv\n" + strings.Repeat("k\t"+strings.Repeat("v", batchBytesMax/4)+"\n", 6)
	b := fill(t.Context(), tsvOf(t, large), m, 100, false)
	if len(b.entries) != 4 || b.last != nil {
		t.Errorf("a batch of large records has %d entries, %v", len(b.entries), b.last)
	}
}

// Bad records fill a batch, too: an input that is all wrong is reported as it
// is read, and takes no memory.
func TestBadRecordsFillBatches(t *testing.T) {
	r := tsvOf(t, "k\tv\n"+strings.Repeat("bad\n", 25))
	m := &maker{keys: []string{"k"}, value: valueRaw}
	b := fill(t.Context(), r, m, 10, true)
	if len(b.bad) != 10 || b.last != nil {
		t.Errorf("%d bad records, %v", len(b.bad), b.last)
	}
}

func TestProduceStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m := &maker{keys: []string{"k"}, value: valueRaw}
		produce(ctx, tsvOf(t, "k\nx\n"), m, 10, false, make(chan batch))
	}()
	<-done
}
