package mapleaf

import (
	"math"
	"slices"
	"sync"

	"github.com/google/btree"

	"github.com/mapleafdb/mapleaf/tx"
)

// The free space in memory: which pages may be given out now, and which were
// freed but may still be read by somebody.
//
// Terms: a page freed by transaction f and born in transaction b can be seen by
// the readers at b, b+1, ... f-1, and by no others. It is *held* while one of
// those exists, and *free* as soon as none does and a durable meta has a txid
// of f or more.
//
// Invariants:
//
//	L1 Free extents are disjoint and never adjacent, and both orders hold the
//	   same ones.
//	L2 Every page below the high-water mark is exactly one of: reachable, free,
//	   held (or waiting in its batch), taken by the running transaction or a
//	   batch, or the store's own (manifest and chain).
//	L3 A freed page becomes free only by a scan of the reader slots that began
//	   after the state that freed it was published, and after that state was
//	   durable.
//	L4 A page is given back by whoever took it, from a list of its own. The set
//	   is never restored from a copy: others take from it at the same time.
//	L5 The high-water mark falls only over free pages, and never below the one
//	   in the newest meta.

// An extent is a run of pages.
type extent struct {
	first tx.PageID
	count uint32
}

// end returns the page behind the extent; it may be 1<<32.
func (e extent) end() uint64 { return uint64(e.first) + uint64(e.count) }

// A freedExtent waits until nobody can read it any more.
type freedExtent struct {
	extent
	birth, freed tx.TxID
}

// hwmMax is the largest high-water mark: the last id stays unused, so that the
// mark fits into 32 bits.
const hwmMax = 1<<32 - 1

const btreeDegree = 32

type freelist struct {
	mu struct {
		sync.Mutex
		byStart *btree.BTreeG[extent]
		byCount *btree.BTreeG[extent] // by length, then by start
		pages   uint64                // in all free extents
		hwm     uint64
		floor   uint64                    // the high-water mark of the newest meta
		held    map[tx.TxID][]freedExtent // by the reader that holds them
		waiting uint64                    // pages in held
		taken   []extent                  // by the running write transaction, for accounting
	}
}

func byStart(a, b extent) bool { return a.first < b.first }

func byCount(a, b extent) bool {
	if a.count != b.count {
		return a.count < b.count
	}
	return a.first < b.first
}

// reset empties the set and puts the high-water mark at hwm.
func (f *freelist) reset(hwm tx.PageID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.byStart = btree.NewG(btreeDegree, byStart)
	f.mu.byCount = btree.NewG(btreeDegree, byCount)
	f.mu.pages, f.mu.waiting = 0, 0
	f.mu.hwm, f.mu.floor = uint64(hwm), uint64(hwm)
	f.mu.held = make(map[tx.TxID][]freedExtent)
	f.mu.taken = nil
}

// take returns an extent of exactly count pages: the best fit, or new pages
// above the high-water mark. It reports false if the format has no more.
func (f *freelist) take(count uint32) (extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.fit(count)
	if !ok {
		e, ok = f.grow(count)
	}
	if ok {
		f.mu.taken = append(f.mu.taken, e)
	}
	return e, ok
}

// takeRun returns an extent of 1 to want pages for single pages to be cut from:
// the best fit if there is one, else the largest that is free, else new pages.
func (f *freelist) takeRun(want uint32) (extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.fit(want)
	if !ok {
		if e, ok = f.mu.byCount.Max(); ok {
			f.remove(e)
		}
	}
	if !ok {
		e, ok = f.grow(want)
	}
	if ok {
		f.mu.taken = append(f.mu.taken, e)
	}
	return e, ok
}

// settle tells the set that the running transaction has ended: what it took has
// been given back or belongs to its batch.
func (f *freelist) settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.taken = f.mu.taken[:0]
}

// fit cuts count pages from the smallest extent that has them. The caller holds mu.
func (f *freelist) fit(count uint32) (e extent, ok bool) {
	f.mu.byCount.AscendGreaterOrEqual(extent{0, count}, func(x extent) bool {
		e, ok = x, true
		return false
	})
	if !ok {
		return e, false
	}
	f.remove(e)
	if rest := e.count - count; rest > 0 {
		f.insert(extent{e.first + tx.PageID(count), rest})
	}
	return extent{e.first, count}, true
}

// grow takes pages above the high-water mark. The caller holds mu.
func (f *freelist) grow(count uint32) (extent, bool) {
	if f.mu.hwm+uint64(count) > hwmMax {
		return extent{}, false
	}
	e := extent{tx.PageID(f.mu.hwm), count}
	f.mu.hwm += uint64(count)
	return e, true
}

// takeLowest takes count pages one by one from the lowest free ones, so that the
// end of the file can be cut off. It reports false, and takes nothing, if there
// are not so many.
func (f *freelist) takeLowest(count uint32) ([]extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.pages < uint64(count) {
		return nil, false
	}
	var got []extent
	for count > 0 {
		e, _ := f.mu.byStart.Min()
		f.remove(e)
		if e.count > count {
			f.insert(extent{e.first + tx.PageID(count), e.count - count})
			e.count = count
		}
		got = append(got, e)
		count -= e.count
	}
	return got, true
}

// takeBelow takes 1 to want pages, the lowest that are free, or exactly want if whole is
// set. It reports false if there are none that end at limit or before.
func (f *freelist) takeBelow(limit tx.PageID, want uint32, whole bool) (e extent, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if whole {
		e, ok = f.fitBelow(limit, want)
	} else if e, ok = f.mu.byStart.Min(); ok && e.first < limit {
		e.count = min(e.count, want, uint32(limit-e.first))
	} else {
		ok = false
	}
	if !ok {
		return extent{}, false
	}
	f.cutFree(e)
	f.mu.taken = append(f.mu.taken, e)
	return e, true
}

// fitBelow returns count pages that end at limit or before, of the smallest extent that
// has them. It looks at one extent of each length. The caller holds mu.
func (f *freelist) fitBelow(limit tx.PageID, count uint32) (e extent, ok bool) {
	for length, more := count, true; more && !ok; {
		more = false
		f.mu.byCount.AscendGreaterOrEqual(extent{0, length}, func(x extent) bool {
			e = extent{x.first, count}
			ok = e.end() <= uint64(limit)
			more, length = x.count < math.MaxUint32, x.count+1
			return false
		})
	}
	return e, ok
}

// vacant returns the lowest page from which on everything that is in use has room below
// it, if no more than limit pages are. A part of that room is left over, and spare pages,
// since nodes that lead to what is moved are written anew, too.
func (f *freelist) vacant(limit, spare uint64) tx.PageID {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := tx.PageID(f.mu.hwm)
	above := uint64(0) // free pages at from or above
	f.mu.byStart.Descend(func(x extent) bool {
		above += uint64(x.count)
		used := f.mu.hwm - uint64(x.first) - above
		if used > limit || used+used/vacantPart+spare > f.mu.pages-above {
			return false
		}
		from = x.first
		return true
	})
	return from
}

// vacantPart is which part of the pages that are moved there has to be room for besides.
const vacantPart = 16

// tail returns the free extent that ends at the high-water mark, if there is one.
func (f *freelist) tail() (extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.mu.byStart.Max()
	return e, ok && e.end() == f.mu.hwm
}

// cutTail takes the free extent that ends at the high-water mark, if there is
// one, and lowers the mark below it.
func (f *freelist) cutTail() (extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.mu.byStart.Max()
	if !ok || e.end() != f.mu.hwm {
		return extent{}, false
	}
	f.remove(e)
	f.mu.hwm, f.mu.floor = uint64(e.first), uint64(e.first)
	return e, true
}

// give puts an extent back, joins it with its neighbours, and lowers the
// high-water mark over what is then free at the end.
func (f *freelist) give(e extent) {
	if e.count == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(e)
}

// check returns an error if one of the extents, which are in order and about to
// be freed, is free already, meets another one of them, or is none at all: then
// two references lead to one page.
func (f *freelist) check(freed []freedExtent, first tx.PageID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := uint64(first)
	for _, e := range freed {
		if uint64(e.first) < last || e.count == 0 || e.end() > f.mu.hwm {
			return tx.Corrupt(e.first, "extent of %d pages is freed twice or is none", e.count)
		}
		last = e.end()
		if x, ok := f.before(tx.PageID(last - 1)); ok && x.end() > uint64(e.first) {
			return tx.Corrupt(e.first, "extent of %d pages is in use, and also free", e.count)
		}
	}
	return nil
}

// put does the work of give. The caller holds mu.
func (f *freelist) put(e extent) {
	if prev, ok := f.before(e.first); ok && prev.end() == uint64(e.first) {
		f.remove(prev)
		e = extent{prev.first, prev.count + e.count}
	}
	if e.end() < f.mu.hwm {
		if next, ok := f.mu.byStart.Get(extent{first: tx.PageID(e.end())}); ok {
			f.remove(next)
			e.count += next.count
		}
	}
	if e.end() == f.mu.hwm && f.mu.hwm > f.mu.floor {
		f.mu.hwm = max(uint64(e.first), f.mu.floor)
		e.count = uint32(f.mu.hwm - uint64(e.first))
	}
	if e.count > 0 {
		f.insert(e)
	}
}

// before returns the free extent with the largest start up to id. The caller holds mu.
func (f *freelist) before(id tx.PageID) (e extent, ok bool) {
	f.mu.byStart.DescendLessOrEqual(extent{first: id}, func(x extent) bool {
		e, ok = x, true
		return false
	})
	return e, ok
}

func (f *freelist) insert(e extent) {
	f.mu.byStart.ReplaceOrInsert(e)
	f.mu.byCount.ReplaceOrInsert(e)
	f.mu.pages += uint64(e.count)
}

func (f *freelist) remove(e extent) {
	f.mu.byStart.Delete(e)
	f.mu.byCount.Delete(e)
	f.mu.pages -= uint64(e.count)
}

// around returns the free extent that holds page id, cut off at the high-water
// mark hwm of some state.
func (f *freelist) around(id tx.PageID, hwm uint64) (extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.before(id)
	if !ok || uint64(id) >= e.end() {
		return extent{}, false
	}
	if e.end() > hwm {
		e.count = uint32(hwm - uint64(e.first))
	}
	return e, true
}

// release frees what a durable and published state has freed, except what a
// reader holds. live are the txids in the reader slots, ascending, by a scan
// that began after the publication (L3).
func (f *freelist) release(freed []freedExtent, live []tx.TxID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reexamine(live)
	for _, e := range freed {
		f.file(e, live)
	}
}

// reclaim frees what was held by readers that have ended since.
func (f *freelist) reclaim(live []tx.TxID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reexamine(live)
}

// holds reports whether any reader holds pages.
func (f *freelist) holds() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.held) > 0
}

// reexamine looks again at what is filed under readers that are gone; a long
// reader costs one look-up, however much it holds. The caller holds mu.
func (f *freelist) reexamine(live []tx.TxID) {
	for holder, entries := range f.mu.held {
		if _, ok := slices.BinarySearch(live, holder); ok {
			continue
		}
		delete(f.mu.held, holder)
		for _, e := range entries {
			f.mu.waiting -= uint64(e.count)
			f.file(e, live)
		}
	}
}

// seenBy reports whether one of the readers, in ascending order, can see the pages.
func (e *freedExtent) seenBy(live []tx.TxID) bool {
	i, _ := slices.BinarySearch(live, e.freed)
	return i > 0 && live[i-1] >= e.birth
}

// file frees e, or files it under the newest reader that can see it. The caller
// holds mu.
func (f *freelist) file(e freedExtent, live []tx.TxID) {
	if e.seenBy(live) {
		i, _ := slices.BinarySearch(live, e.freed)
		f.mu.held[live[i-1]] = append(f.mu.held[live[i-1]], e)
		f.mu.waiting += uint64(e.count)
		return
	}
	f.put(e.extent)
}

// setFloor tells the set the high-water mark of the meta that is about to be
// written: it does not fall below that any more.
func (f *freelist) setFloor(hwm uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.floor = hwm
	f.mu.hwm = max(f.mu.hwm, hwm)
}

// setEnd sets the high-water mark to that of a state which another process has
// written. Nothing is taken.
func (f *freelist) setEnd(hwm uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.hwm, f.mu.floor = hwm, hwm
}

// adopt does what an entry of the chain says that another process has written.
// known is how many of its pages the chain called free before.
func (f *freelist) adopt(e chainEntry, known uint32, live []tx.TxID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known > 0 && f.cutFree(e.extent) < known {
		f.cutHeld(e.extent)
	}
	if e.freed != 0 {
		f.file(freedExtent(e), live)
	}
}

// cutFree takes the free pages out of e, and returns how many there were. The
// caller holds mu.
func (f *freelist) cutFree(e extent) (n uint32) {
	for {
		x, ok := f.before(tx.PageID(e.end() - 1))
		if !ok || x.end() <= uint64(e.first) {
			return n
		}
		f.remove(x)
		for _, rest := range x.without(e) {
			f.insert(rest)
		}
		n += clip(x, e).count
	}
}

// cutHeld takes the pages of e out of those that readers hold. The caller holds mu.
func (f *freelist) cutHeld(e extent) {
	for holder, entries := range f.mu.held {
		var kept []freedExtent
		for _, h := range entries {
			if h.end() <= uint64(e.first) || e.end() <= uint64(h.first) {
				kept = append(kept, h)
				continue
			}
			f.mu.waiting -= uint64(clip(h.extent, e).count)
			for _, rest := range h.without(e) {
				kept = append(kept, freedExtent{rest, h.birth, h.freed})
			}
		}
		if f.mu.held[holder] = kept; len(kept) == 0 {
			delete(f.mu.held, holder)
		}
	}
}

// without returns what is left of x without e, with which it shares pages.
func (x extent) without(e extent) (rest []extent) {
	if x.first < e.first {
		rest = append(rest, extent{x.first, uint32(e.first - x.first)})
	}
	if x.end() > e.end() {
		rest = append(rest, extent{tx.PageID(e.end()), uint32(x.end() - e.end())})
	}
	return rest
}

// size returns the high-water mark, and how many pages below it are free.
func (f *freelist) size() (hwm, free uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.hwm, f.mu.pages
}

// top returns the high-water mark.
func (f *freelist) top() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.hwm
}
