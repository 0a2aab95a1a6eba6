package tx

import (
	"time"

	"github.com/mapleafdb/mapleaf/internal/invariant"
)

// A load spills the leaves that it has filled while it fills the next ones: they are in
// flight from fly until land.
//
//	Y1 A page in flight stays in the overlay, and can be read. Nobody changes or frees it:
//	   every change begins with Bucket.usable, and settle with land. What a load does
//	   between touches the right edge of its tree only, and no page there is in flight.
//	Y2 The end of the transaction waits for what is in flight, whatever the end is (W7 of
//	   the store): its pages may be anybody's afterwards.
//	Y3 A page of which bytes were handed out stays in memory when it lands, and is
//	   written once more.

// fly begins to spill pages, which are the transaction's own and in ascending order, when
// those before have landed. From now on the transaction is known by its pages alone.
func (t *Tx) fly(pages []*Page) error {
	if err := t.land(); err != nil {
		return err
	}
	t.ops = opList{}
	if err := t.pager.BeginSpill(&t.own, pages); err != nil {
		t.fail(err)
		return err
	}
	for _, p := range pages {
		if invariant.Enabled && (!t.owns(p) || p.Stamp != t.stamp || p.flying) {
			panic("tx: a page is spilled that is not the transaction's") // X1
		}
		p.flying = true
	}
	t.spilled.flight = pages
	return nil
}

// land waits for the pages in flight, if there are any, and takes them out of memory.
func (t *Tx) land() error {
	pages := t.spilled.flight
	if pages == nil {
		return nil
	}
	began := time.Now()
	t.spilled.flight = nil
	for _, p := range pages {
		p.flying = false
	}
	landed := make([]*Page, 0, len(pages)) // who writes them has the other list
	for _, p := range pages {
		if !p.lent { // Y3
			landed = append(landed, p)
			t.spilled.dirty -= int64(len(p.Buf))
		}
	}
	if err := t.pager.EndSpill(&t.own, landed); err != nil {
		t.fail(err)
		return err
	}
	t.fresh = max(0, t.fresh-len(landed))
	t.dropSpilled(landed)
	t.stats.IncSpillTime(time.Since(began))
	return nil
}
