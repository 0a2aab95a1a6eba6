package mapleaf

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// Which state salvage takes. Opening a file is careful never to take a state that may
// be older than what was durable; salvage wants the most that is there:
//
//	newest meta           other meta               taken
//	its commit is whole   any                      the newest
//	it is not             whole, and its log       the other, with its log: nothing is
//	                      reaches the newest       missing in it
//	it is not             any                      the newest; where its pages are missing,
//	                                               those of the other, as a guess
//
// A meta that does not verify may have been the newest. Its pages are then in the file,
// and are younger than the other meta: roots are looked for that no page refers to and
// that lead to buckets only (roots.go). Without any meta, such roots are all there is. The
// youngest may be that of a checkpoint that was under way; then the log leads to it from
// the one before.
type origin struct {
	root    tx.BucketHeader
	known   bool      // there is a root, or there are no records
	txid    tx.TxID   // the last transaction of the state
	meta    *meta     // that describes it; nil if it was found without
	older   *older    // the state before, if the one that was taken may not be whole
	lost    bool      // a meta is damaged that may have known of another log
	younger int       // good nodes behind the state and its log, to which such a meta may have led
	trail   *logTrail // what the logs hold after txid
	what    string
	notes   []string
}

// An older state is one that can fill gaps.
type older struct {
	root tx.BucketHeader
	txid tx.TxID
}

// A finder looks for the origin.
type finder struct {
	s     *scrap
	slots [2]metaSlot
	o     *origin
	logs  []*meta // whose logs may go on after it
}

// findOrigin decides which state is taken.
func findOrigin(s *scrap, slots [2]metaSlot) *origin {
	f := &finder{s: s, slots: slots, o: &origin{}}
	metas := f.metas()
	switch {
	case len(metas) == 0:
	case len(metas) == 1 || f.proven(metas[0]):
		f.take(metas[0])
	case f.proven(metas[1]) && f.reach(metas[1]) >= metas[0].txid:
		f.take(metas[1])
	default:
		f.take(metas[0])
		f.o.older = &older{metas[1].root, metas[1].txid}
	}
	if m := f.o.meta; m != nil && uint64(m.hwm) > uint64(len(f.s.state)) {
		f.note("the file ends at page %d, and should have %d", len(f.s.state), m.hwm)
	}
	if len(metas) == 2 {
		return f.done()
	}
	f.o.lost = true
	f.search()
	o := f.done()
	if o.known {
		o.younger = f.younger()
	}
	return o
}

// search looks for a state that is younger than that of the meta. Of those from which the
// log leads to the youngest, it takes the one of which least is gone: the older ones give
// their pages to a checkpoint that is under way, and what that has written is no state yet.
func (f *finder) search() {
	o := f.o
	roots := f.s.findRoots(o.txid, o.root.Root)
	if len(roots) == 0 {
		return
	}
	youngest := roots[0].txid
	best, gone := 0, roots[0].gone
	for i, r := range roots[1:] {
		if r.gone < gone && f.trail(r.txid, 1).reach() >= youngest {
			best, gone = i+1, r.gone
		}
	}
	if m := o.meta; m != nil {
		r := reached{}
		if f.s.leads(m.root.Root) {
			r = f.s.reach(m.root.Root.ID, &commit{}, make([]byte, f.s.pageSize))
		} else if m.root.Root.ID != 0 {
			r.gone = 1
		}
		if r.gone <= gone && f.trail(m.txid, 0).reach() >= youngest {
			return
		}
		o.older = &older{m.root, m.txid}
	}
	if best+1 < len(roots) {
		o.older = &older{roots[best+1].root, roots[best+1].txid}
	}
	o.meta, o.root, o.txid, o.known = nil, roots[best].root, roots[best].txid, true
	o.what = fmt.Sprintf("page %d, the root of the youngest state: no meta leads to it",
		o.root.Root.ID)
}

// trail reads the logs as they go on after a txid. next is the extent that the first epoch
// after that uses, of those that the logs name.
func (f *finder) trail(from tx.TxID, next int) *logTrail {
	t := f.s.readTrail(f.logs, from)
	if f.o.lost {
		if len(f.logs) > 0 && len(t.pieces) == 0 {
			t.tail = f.logs[0].logs[next].extent
		}
		f.s.trailWithoutSalt(t)
	}
	return t
}

// metas returns those that verify and fit to the page size, the newest first.
func (f *finder) metas() (metas []*meta) {
	for i, slot := range f.slots {
		switch {
		case slot.meta == nil && slot.empty():
			f.note("meta %d is missing: there are only zeros", i)
		case slot.meta == nil:
			f.note("meta %d is damaged: %v", i, slot.err)
		case slot.meta.pageSize != f.s.pageSize:
			f.note("meta %d has another page size: %d bytes", i, slot.meta.pageSize)
		default:
			metas = append(metas, slot.meta)
		}
	}
	slices.SortStableFunc(metas, func(a, b *meta) int {
		if a.txid == b.txid && a.closed != b.closed {
			if a.closed {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.txid, a.txid)
	})
	if len(metas) == 2 && metas[0].fileID != metas[1].fileID {
		f.note("the metas belong to different databases; only the newer one was used")
		metas = metas[:1]
	}
	return metas
}

func (f *finder) note(format string, args ...any) {
	f.o.notes = append(f.o.notes, fmt.Sprintf(format, args...))
}

// take makes the state of m the origin.
func (f *finder) take(m *meta) {
	slot := 0
	if f.slots[1].meta == m {
		slot = 1
	}
	f.o.meta, f.o.root, f.o.txid, f.o.known = m, m.root, m.txid, true
	if m.logs[0].count > 0 {
		f.logs = []*meta{m}
	}
	f.o.what = fmt.Sprintf("meta %d, transaction %d", slot, m.txid)
}

// done reads the log of the origin.
func (f *finder) done() *origin {
	o := f.o
	next := 0
	if o.meta == nil {
		next = 1
	}
	o.trail = f.trail(o.txid, next)
	if !o.known {
		for _, birth := range f.s.birth {
			o.txid = max(o.txid, birth)
		}
		o.what = "none: there is no meta, and no root was found"
	}
	if end := o.trail.end(); o.meta != nil && o.meta.durable > end {
		o.trail.lose(end.Next(), o.meta.durable)
	}
	return o
}

// proven reports whether everything is in the file that the commit of m has written.
func (f *finder) proven(m *meta) bool {
	if m.closed {
		return true
	}
	if m.manifest.ID != 0 &&
		uint64(m.manifest.ID)+uint64(m.manPages) > uint64(len(f.s.state)) {
		return false
	}
	entries, err := readManifest(f.s.f, m)
	if err != nil {
		return false
	}
	whole := *m
	whole.entries = entries
	return eachExtent(f.s.f, &whole, nil) == nil
}

// reach returns the last transaction to which the log of m leads without a gap.
func (f *finder) reach(m *meta) tx.TxID { return f.s.readTrail([]*meta{m}, m.txid).last }

// younger returns how many good nodes are younger than what was taken.
func (f *finder) younger() (n int) {
	for i, birth := range f.s.birth {
		if birth > max(f.o.txid, f.o.trail.end()) && f.s.isNode(tx.PageID(i)) {
			n++
		}
	}
	return n
}
