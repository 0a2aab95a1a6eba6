package tx

import (
	"time"

	"github.com/mapleafdb/mapleaf/internal/invariant"
)

// A write transaction whose pages take more memory than they may writes them early, to
// where they will live anyway, and goes on as if they had always been in the file.
//
//	X1 Only pages that were born in this transaction are spilled: no other state
//	   refers to their places in the file.
//	X2 A spilled page may be taken into memory again under its id, and be written
//	   over later, as long as no bytes of the mapping were handed out since the
//	   first spill: those stay as they are until the transaction ends (I6). After
//	   that it gets a new id when it is changed.
//	X3 No cursor and no path keeps to a page over a spill: every bucket gets a new
//	   version.
type spilled struct {
	limit  int64    // of dirty, in bytes; 0 = none
	dirty  int64    // of pages in memory since the last spill
	pages  []uint64 // a bit for each page that was spilled
	handed bool     // bytes of the mapping were handed out since
	flight []*Page  // pages that are being written (flight.go)
}

// spilledPage tells whether ref names a page that this transaction has spilled.
func (t *Tx) spilledPage(ref Ref) bool {
	i := int(ref.ID / 64)
	return ref.Stamp == t.stamp && i < len(t.spilled.pages) &&
		t.spilled.pages[i]>>(ref.ID%64)&1 != 0
}

// handOut notes that bytes of a page go to the user, p being nil for one in the mapping.
func (t *Tx) handOut(p *Page) {
	switch {
	case t.writing == nil:
	case t.owns(p):
		p.lent = true
	case p == nil && t.spilled.pages != nil:
		t.spilled.handed = true
	}
}

// makeRoom spills if the transaction takes more memory than it may.
func (t *Tx) makeRoom() error {
	s := &t.spilled
	if s.limit == 0 || s.dirty <= s.limit {
		return nil
	}
	if err := t.land(); err != nil || s.dirty <= s.limit {
		return err
	}
	began := time.Now()
	t.tidy()
	var pages []*Page
	t.own.Overlay.All(func(p *Page) bool {
		if p.Owner == t.own.TxID && p.Stamp == t.stamp && !p.lent { // X1
			if invariant.Enabled && p.stale.Load() {
				panic("tx: a stale branch is spilled") // C4
			}
			pages = append(pages, p)
		}
		return true
	})
	if err := t.pager.Spill(&t.own, pages); err != nil {
		t.fail(err)
		return err
	}
	t.fresh, s.dirty = 0, 0
	t.ops = opList{}
	t.dropSpilled(pages)
	t.stats.IncSpillTime(time.Since(began))
	return nil
}

// dropSpilled takes pages out of memory that were spilled.
func (t *Tx) dropSpilled(pages []*Page) {
	s := &t.spilled
	s.pages = append(s.pages, make([]uint64, max(0, int(t.own.HWM)/64+1-len(s.pages)))...)
	for _, p := range pages {
		t.own.Overlay.Delete(p.ID, uint64(t.own.TxID))
		s.pages[p.ID/64] |= 1 << (p.ID % 64)
		p.Buf = nil
	}
	kept := t.born[:0]
	for _, p := range t.born {
		if p.Buf != nil {
			kept = append(kept, p)
		}
	}
	clear(t.born[len(kept):])
	t.born = kept
	t.path, t.appending = t.path[:0], nil
	t.root.renewVersions()
	t.stats.IncSpill(int64(len(pages)))
}

// renewVersions gives b, and every bucket that was opened below it, a new version.
func (b *Bucket) renewVersions() {
	b.edit.version++
	b.edit.lastPage = 0
	for kid := range b.edit.kids.all() {
		kid.renewVersions()
	}
}
