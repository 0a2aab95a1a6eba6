package mapleaf

import (
	"slices"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// freeModel is a free set as one bit for each page.
type freeModel struct {
	free  map[tx.PageID]bool
	hwm   uint64
	floor uint64
}

func (m *freeModel) give(e extent) {
	for i := range e.count {
		m.free[e.first+tx.PageID(i)] = true
	}
	for m.hwm > m.floor && m.free[tx.PageID(m.hwm-1)] {
		m.hwm--
		delete(m.free, tx.PageID(m.hwm))
	}
}

// runs returns the free extents in order.
func (m *freeModel) runs() []extent {
	var runs []extent
	for id := uint64(0); id < m.hwm; id++ {
		if !m.free[tx.PageID(id)] {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].end() == id {
			runs[n-1].count++
		} else {
			runs = append(runs, extent{tx.PageID(id), 1})
		}
	}
	return runs
}

// best returns the smallest free extent of at least count pages.
func (m *freeModel) best(count uint32) (best extent, ok bool) {
	for _, e := range m.runs() {
		if e.count >= count && (!ok || e.count < best.count) {
			best, ok = e, true
		}
	}
	return best, ok
}

func (m *freeModel) check(t *testing.T, f *freelist) {
	t.Helper()
	var got []extent
	pages := uint64(0)
	f.mu.byStart.Ascend(func(e extent) bool {
		got = append(got, e)
		pages += uint64(e.count)
		return true
	})
	if want := m.runs(); !slices.Equal(got, want) {
		t.Fatalf("free %v, want %v", got, want)
	}
	if f.mu.hwm != m.hwm || f.mu.pages != pages || f.mu.byCount.Len() != len(got) {
		t.Fatalf("mark %d, want %d; %d pages, want %d; %d extents, want %d",
			f.mu.hwm, m.hwm, f.mu.pages, pages, f.mu.byCount.Len(), len(got))
	}
}

func TestFreelistModel(t *testing.T) {
	t.Parallel()
	r := testRand(t, 30)
	var f freelist
	f.reset(8)
	m := &freeModel{free: map[tx.PageID]bool{}, hwm: 8, floor: 8}
	var out []extent
	for range 4000 {
		switch r.IntN(5) {
		case 0, 1:
			count := 1 + r.Uint32N(12)
			best, ok := m.best(count)
			e, got := f.take(count)
			if !got || e.count != count || ok && e.first != best.first ||
				!ok && uint64(e.first) != m.hwm {
				t.Fatalf("took %v for %d pages, best is %v", e, count, best)
			}
			for i := range e.count {
				delete(m.free, e.first+tx.PageID(i))
			}
			m.hwm = max(m.hwm, e.end())
			out = append(out, e)
		case 2, 3:
			if len(out) == 0 {
				continue
			}
			i := r.IntN(len(out))
			e := out[i]
			if e.count > 1 && r.IntN(2) == 0 { // give a part
				part := extent{e.first, e.count / 2}
				out[i] = extent{e.first + tx.PageID(part.count), e.count - part.count}
				e = part
			} else {
				out = slices.Delete(out, i, i+1)
			}
			f.give(e)
			m.give(e)
		case 4:
			if r.IntN(10) == 0 {
				m.floor = m.hwm - r.Uint64N(m.hwm-m.floor+1)
				f.setFloor(m.floor)
			}
		}
		m.check(t, &f)
	}
}

func TestFreelistEnd(t *testing.T) {
	var f freelist
	f.reset(hwmMax - 3)
	if _, ok := f.take(4); ok {
		t.Error("took pages behind the last id")
	}
	e, ok := f.take(3)
	if !ok || e.end() != hwmMax {
		t.Errorf("took %v, %t", e, ok)
	}
	if _, ok := f.takeRun(1); ok {
		t.Error("took a page behind the last id")
	}
}

func TestTakeRunPrefersWhatIsFree(t *testing.T) {
	var f freelist
	f.reset(100)
	f.give(extent{10, 3})
	f.give(extent{20, 9})
	if e, _ := f.takeRun(8); e != (extent{20, 8}) {
		t.Errorf("took %v", e)
	}
	if e, _ := f.takeRun(8); e != (extent{10, 3}) {
		t.Errorf("took %v", e)
	}
	if e, _ := f.takeRun(8); e != (extent{28, 1}) {
		t.Errorf("took %v", e)
	}
	if e, _ := f.takeRun(8); e != (extent{100, 8}) {
		t.Errorf("took %v", e)
	}
}

// Pages become free in the gaps between readers, and not before.
func TestHeldPages(t *testing.T) {
	freed := func(first tx.PageID, birth, freed tx.TxID) freedExtent {
		return freedExtent{extent{first, 1}, birth, freed}
	}
	var f freelist
	f.reset(100)
	all := []freedExtent{
		freed(10, 1, 5),  // seen by 4
		freed(20, 5, 9),  // between the readers at 4 and 9
		freed(30, 9, 12), // seen by 9
		freed(40, 2, 12), // seen by both: filed under the newer
		freed(50, 4, 5),  // seen by 4 alone
		freed(60, 12, 12),
	}
	f.release(all, []tx.TxID{4, 9, 12})
	want := func(ids ...tx.PageID) {
		t.Helper()
		var got []tx.PageID
		f.mu.byStart.Ascend(func(e extent) bool {
			got = append(got, e.first)
			return true
		})
		if !slices.Equal(got, ids) {
			t.Errorf("free %v, want %v", got, ids)
		}
	}
	want(20, 60)
	f.reclaim([]tx.TxID{4, 12})
	want(20, 30, 60)
	if !f.holds() || f.mu.waiting != 3 {
		t.Errorf("%d pages are held", f.mu.waiting)
	}
	f.reclaim([]tx.TxID{12})
	want(10, 20, 30, 40, 50, 60)
	if f.holds() || f.mu.waiting != 0 {
		t.Errorf("%d pages are held", f.mu.waiting)
	}
}

// A long reader costs one look-up, however many pages it holds.
func TestHeldPagesAreFiledOnce(t *testing.T) {
	var f freelist
	f.reset(200_000)
	entries := make([]freedExtent, 0, 90_000)
	for i := range tx.PageID(90_000) {
		entries = append(entries, freedExtent{extent{10 + 2*i, 1}, 1, 9})
	}
	f.release(entries, []tx.TxID{5})
	if len(f.mu.held) != 1 || f.mu.pages != 0 {
		t.Fatalf("%d holders, %d free", len(f.mu.held), f.mu.pages)
	}
	if n := testing.AllocsPerRun(1000, func() { f.reclaim([]tx.TxID{5, 7}) }); n > 0 {
		t.Errorf("%v allocations to find out that a reader is still there", n)
	}
	f.reclaim(nil)
	if f.mu.pages != 90_000 {
		t.Errorf("%d free", f.mu.pages)
	}
}

// netModel nets changes page by page.
func netModel(changes []change, hwm uint64) (map[tx.PageID]chainEntry, uint64) {
	sums := map[tx.PageID]int{}
	tags := map[tx.PageID]change{}
	top := hwm
	for _, c := range changes {
		for i := range c.count {
			sums[c.first+tx.PageID(i)] += int(c.delta)
			if c.freed != 0 {
				tags[c.first+tx.PageID(i)] = c
			}
		}
		top = max(top, c.end())
	}
	newHWM := hwm
	for id := hwm; id < top; id++ {
		if sums[tx.PageID(id)]++; sums[tx.PageID(id)] == 0 {
			newHWM = id + 1
		}
	}
	want := map[tx.PageID]chainEntry{}
	for id, sum := range sums {
		tag, tagged := tags[id]
		switch {
		case sum == 0 || uint64(id) >= newHWM:
		case sum < 0:
			want[id] = chainEntry{}
		case tagged:
			want[id] = chainEntry{birth: tag.birth, freed: tag.freed}
		default:
			want[id] = chainEntry{birth: freeForAll, freed: freeForAll}
		}
	}
	return want, newHWM
}

// randomChanges makes changes as batches do: it takes free pages and new ones,
// gives some back, and frees used ones.
func randomChanges(r interface{ IntN(int) int }, hwm int) []change {
	var changes []change
	for id := 8; id < hwm+40; {
		e := extent{tx.PageID(id), uint32(1 + r.IntN(6))}
		id += int(e.count)
		switch r.IntN(5) {
		case 0:
			changes = append(changes, change{extent: e, delta: -1})
		case 1: // taken, and a part given back
			part := extent{e.first, 1 + uint32(r.IntN(int(e.count)))}
			changes = append(changes, change{extent: e, delta: -1},
				change{extent: part, delta: +1})
		case 2:
			if e.end() <= uint64(hwm) {
				f := tx.TxID(5 + r.IntN(2))
				changes = append(changes, change{e, +1, f - tx.TxID(r.IntN(2)), f})
			}
		}
	}
	return changes
}

func TestNetChangesModel(t *testing.T) {
	r := testRand(t, 31)
	for range 3000 {
		hwm := uint64(8 + r.IntN(200))
		changes := randomChanges(r, int(hwm))
		r.Shuffle(len(changes), func(i, j int) {
			changes[i], changes[j] = changes[j], changes[i]
		})
		want, wantHWM := netModel(changes, hwm)
		got, gotHWM, err := netChanges(slices.Clone(changes), hwm)
		if err != nil {
			t.Fatal(err)
		}
		pages := 0
		for i, e := range got {
			if i > 0 && got[i-1].end() > uint64(e.first) {
				t.Fatalf("entries overlap: %v", got)
			}
			for n := range e.count {
				w, ok := want[e.first+tx.PageID(n)]
				if !ok || w.birth != e.birth || w.freed != e.freed {
					t.Fatalf("page %d: %v, want %v", e.first+tx.PageID(n), e, w)
				}
				pages++
			}
		}
		if pages != len(want) || gotHWM != wantHWM {
			t.Fatalf("%d pages, want %d; mark %d, want %d", pages, len(want), gotHWM, wantHWM)
		}
	}
}

func TestNetChangesNoticesDoubleUse(t *testing.T) {
	for _, bad := range [][]change{
		{{extent: extent{10, 2}, delta: -1}, {extent: extent{11, 1}, delta: -1}},
		{{extent{10, 2}, +1, 3, 5}, {extent{11, 2}, +1, 3, 5}},
		{{extent: extent{120, 1}, delta: -1}, {extent: extent{120, 1}, delta: -1}},
	} {
		if _, _, err := netChanges(bad, 100); err == nil {
			t.Errorf("%v passed", bad)
		}
	}
}
