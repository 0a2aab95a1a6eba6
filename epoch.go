package mapleaf

import (
	"github.com/mapleafdb/mapleaf/tx"
)

// An epoch is what one checkpoint writes: all transactions since the one before.
// In page mode that is one batch, whose pages are what makes it durable. While a
// redo log runs, it is any number of batches, each durable by its record in the log;
// their pages stay in memory meanwhile, resident, and those that were born and
// died within the epoch are never written.
//
// Invariants:
//
//	E1 While a log runs, an epoch ends when a transaction has joined it, and so
//	   while no other is running: a resident page is changed under its id only in
//	   the epoch that it was born in, and the checkpoint finds it unchanged.
//	   (Without a log every transaction gives new ids to all that it changes, and
//	   an epoch may end at any moment.)
//	E2 The reserve is enough for the links and the manifest that the epoch may
//	   need, and lies in the file: writing it takes no page from elsewhere and
//	   never grows the file.
//	E3 The id of a page that was born and freed within an epoch is free at once:
//	   it was never written. Readers who still see the page have it in their own
//	   overlay.
//	E4 Epochs are written one after the other, in their order.
type epoch struct {
	number   uint64
	first    tx.TxID // of its transactions, 0 = there is none yet
	state    tx.Snapshot
	pages    int  // in memory, for the checkpoint
	spilled  bool // some pages are in the file already
	sync     bool // some transaction in it was to be durable
	changes  []change
	freed    []freedExtent
	reserve  []extent // for links
	links    int      // pages in reserve
	manifest extent   // for the manifest, if it may not fit into the meta
	tail     extent   // cut off the file by Close
	anew     bool     // the chain is written anew, as its pages may have to go
	log      int      // which log extent takes its records
	logUsed  int64    // bytes of it that are written or promised
	logs     []extent // new extents: for a log to begin, or a larger one for this
	endLog   bool     // the log ends with this epoch
}

// last returns the txid of its last transaction.
func (e *epoch) last() tx.TxID { return e.state.TxID }

// holds reports whether a page in memory was born in the epoch.
func (e *epoch) holds(p *tx.Page) bool {
	return birthOf(p.Stamp, e.last()) >= e.first
}

// waiting returns how many pages the epoch has freed.
func (e *epoch) waiting() uint64 {
	n := uint64(0)
	for _, f := range e.freed {
		n += uint64(f.count)
	}
	return n
}

// account adds what the transaction took, gave and freed to its epoch's changes.
func (w *writer) account(e *epoch, unused []extent) {
	free := &w.s.free
	for _, r := range w.runs {
		if r.used > 0 {
			e.changes = append(e.changes, change{extent: extent{r.first, r.used}, delta: -1})
			e.pages += int(r.used)
		}
		free.give(extent{r.first + tx.PageID(r.used), r.count - r.used})
	}
	for _, x := range unused {
		e.unborn(x)
		free.give(x)
	}
	for _, f := range w.freed {
		if f.birth >= e.first {
			e.unborn(f.extent)
			free.give(f.extent)
			continue
		}
		e.changes = append(e.changes, change{f.extent, +1, f.birth, f.freed})
		e.freed = append(e.freed, f)
	}
}

// unborn notes pages that were taken in the epoch, and are not in use after all.
func (e *epoch) unborn(x extent) {
	e.changes = append(e.changes, change{extent: x, delta: +1})
	e.pages -= int(x.count)
}

// endEpoch begins a new one behind the open batch, which no transaction joins any
// more. The caller holds mu.
func (s *store) endEpoch(b *batch) {
	b.ended = true
	if !b.pages {
		s.mu.checkpoint = b.epoch.number
	}
	s.mu.open = nil
	s.mu.queue = append(s.mu.queue, b)
	s.mu.epoch = &epoch{number: b.epoch.number + 1, log: 1 - b.epoch.log}
}
