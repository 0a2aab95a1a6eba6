package mapleaf

import (
	"github.com/google/btree"

	"github.com/mapleafdb/mapleaf/tx"
)

// A ledger is what the free-space chain on the drive says, in memory: the pages
// that are free or freed in the state of the newest meta, with their tags, and
// which link of the chain says so. It differs from the freelist by whatever
// running transactions and unwritten batches have taken and freed since.
//
// Invariants:
//
//	G1 Replaying the chain from its oldest link gives exactly the ledger.
//	G2 Records are disjoint and lie below the high-water mark of the newest meta.
//	G3 No record has a link as its home that is no longer in the chain: so an
//	   oldest link without records at home can be dropped.
type ledger struct {
	tree    *btree.BTreeG[record]
	pages   uint64
	scratch []record
}

// A record is one extent of the ledger.
type record struct {
	extent
	birth, freed tx.TxID
	home         uint64 // the number of the link that says so
}

func newLedger() ledger {
	return ledger{tree: btree.NewG(btreeDegree, func(a, b record) bool {
		return a.first < b.first
	})}
}

// apply does what an entry of link home says.
func (l *ledger) apply(e chainEntry, home uint64) {
	l.scratch = l.overlaps(l.scratch[:0], e.extent)
	l.replace(e, home)
}

// change is apply for what a commit has done, which must fit to what was: pages
// that it took were free, and pages that it freed were not.
func (l *ledger) change(e chainEntry, home uint64) error {
	free := uint32(0)
	l.scratch = l.overlaps(l.scratch[:0], e.extent)
	for _, r := range l.scratch {
		free += clip(r.extent, e.extent).count
	}
	switch {
	case e.freed != 0 && free > 0:
		return tx.Corrupt(e.first, "pages %d to %d are freed, and %d of them were free",
			e.first, e.end()-1, free)
	case e.freed == 0 && free < e.count:
		return tx.Corrupt(e.first, "pages %d to %d are taken, and only %d of them were free",
			e.first, e.end()-1, free)
	}
	l.replace(e, home)
	return nil
}

// replace takes the pages of e out of the records in scratch, which are all that
// share one with it, and puts e in.
func (l *ledger) replace(e chainEntry, home uint64) {
	for _, r := range l.scratch {
		l.remove(r)
		if r.first < e.first {
			left := r
			left.count = uint32(e.first - r.first)
			l.insert(left)
		}
		if r.end() > e.end() {
			right := r
			right.first = tx.PageID(e.end())
			right.count = uint32(r.end() - e.end())
			l.insert(right)
		}
	}
	if e.freed != 0 {
		l.insert(record{e.extent, e.birth, e.freed, home})
	}
}

// overlaps appends the records that share a page with e, in order.
func (l *ledger) overlaps(to []record, e extent) []record {
	l.walk(e, func(r record) bool {
		to = append(to, r)
		return true
	})
	return to
}

// walk calls fn for the records that share a page with e, in order, until it
// returns false. fn must not change the ledger.
func (l *ledger) walk(e extent, fn func(record) bool) {
	more, covered := true, uint64(e.first)
	l.tree.DescendLessOrEqual(record{extent: e}, func(r record) bool {
		if r.end() > covered {
			covered = r.end()
			more = fn(r)
		}
		return false // records are disjoint: one at most reaches into e from below
	})
	if !more || covered >= e.end() {
		return
	}
	from := record{extent: extent{first: tx.PageID(covered)}}
	l.tree.AscendGreaterOrEqual(from, func(r record) bool {
		return uint64(r.first) < e.end() && fn(r)
	})
}

func (l *ledger) insert(r record) {
	l.tree.ReplaceOrInsert(r)
	l.pages += uint64(r.count)
}

func (l *ledger) remove(r record) {
	l.tree.Delete(r)
	l.pages -= uint64(r.count)
}

// end returns the page behind the last record, 0 if there is none.
func (l *ledger) end() uint64 {
	r, ok := l.tree.Max()
	if !ok {
		return 0
	}
	return r.end()
}
