package mapleaf

import (
	"slices"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// A pacedFile notes which ranges were put on their way to the drive, and awaited.
type pacedFile struct {
	file
	started, awaited []byteRange
}

func (f *pacedFile) StartWriteBack(off, n int64) error {
	f.started = append(f.started, byteRange{off, off + n})
	return nil
}

func (f *pacedFile) WriteBack(off, n int64) error {
	f.awaited = append(f.awaited, byteRange{off, off + n})
	return nil
}

// One portion is on its way while the next is written, whether it is of many small writes
// or of long ones.
func TestPacer(t *testing.T) {
	for _, size := range []int64{4096, portionBytes / 3, portionBytes, 2 * portionBytes} {
		f := &pacedFile{}
		p := &pacer{f: f, size: portionBytes, waits: true}
		writes := max(1, min(portionCalls, (portionBytes+size-1)/size)) // of a portion
		gap := size + 4096
		var want []byteRange
		for i := range 3 * writes {
			if err := p.wrote(i*gap, size); err != nil {
				t.Fatal(err)
			}
			if (i+1)%writes == 0 {
				want = append(want, byteRange{(i + 1 - writes) * gap, i*gap + size})
			}
			if !slices.Equal(f.started, want) {
				t.Fatalf("writes of %d: on their way are %v, want %v", size, f.started, want)
			}
			if behind := want[:max(0, len(want)-1)]; !slices.Equal(f.awaited, behind) {
				t.Fatalf("writes of %d: awaited are %v, want %v", size, f.awaited, behind)
			}
		}
	}
	var none *pacer
	if err := none.wrote(0, 4096); err != nil {
		t.Error(err)
	}
}

// What a commit writes is sent piece by piece, and awaited by its sync alone; so a long
// value is on its way to the drive while the rest of it is written.
func TestLongValueSetsOutAtOnce(t *testing.T) {
	store := &store{shift: 12}
	f := &pacedFile{file: discarded{}}
	page := &tx.Page{ID: 8, Buf: make([]byte, 2*commitPortion+4096)}
	next := &tx.Page{ID: 8 + tx.PageID(len(page.Buf)>>12), Buf: make([]byte, 4096)}
	calls, err := store.writePages(f, []*tx.Page{page, next}, &pacer{f: f, size: commitPortion})
	if err != nil || calls != 4 {
		t.Errorf("%d calls, %v, want 4: three pieces and the page behind", calls, err)
	}
	at := int64(page.ID) << 12
	want := []byteRange{{at, at + commitPortion}, {at + commitPortion, at + 2*commitPortion}}
	if !slices.Equal(f.started, want) || f.awaited != nil {
		t.Errorf("on their way are %v, awaited %v, want %v and none", f.started, f.awaited, want)
	}
}

// A discarded file takes every write.
type discarded struct{ file }

func (discarded) WriteVec([][]byte, int64) error { return nil }
