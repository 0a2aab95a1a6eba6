package mapleaf

import (
	"slices"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// Spilling: writing pages of a transaction that takes more memory than it may before it
// ends. What it may spill is said in tx/spill.go.

// SpillLimit implements tx.Pager.
func (w *writer) SpillLimit() int64 {
	if w.s.opts.ReadOnly {
		return 0
	}
	return int64(w.s.opts.CheckpointBytes)
}

// Spill implements tx.Pager. No state but that of the transaction refers to the places of
// its pages (W3), so they can be written at any time; what fails here fails this
// transaction only.
func (w *writer) Spill(snap *tx.Snapshot, pages []*tx.Page) error {
	if err := w.BeginSpill(snap, pages); err != nil {
		return err
	}
	return w.EndSpill(snap, pages)
}

// BeginSpill implements tx.Pager.
func (w *writer) BeginSpill(snap *tx.Snapshot, pages []*tx.Page) error {
	s := w.s
	if err := s.refused(); err != nil {
		return err
	}
	if err := s.makeRoom(w.base); err != nil {
		return err
	}
	if m := s.newestMapping(); m != w.pins[len(w.pins)-1] {
		m = s.pinNewest()
		w.pins = append(w.pins, m)
		snap.Data, snap.Nodes, snap.Extents = m.data, m.nodes, m.extents
	}
	w.spilled = true
	s.written.Store(true)
	spilling := make(chan error, 1)
	w.spilling = spilling
	go func() {
		began := time.Now()
		s.seal(pages, w.txid)
		calls, err := s.writePages(s.file, pages, nil)
		s.stats.wrote(calls, time.Since(began))
		spilling <- err
	}()
	return nil
}

// awaitSpill waits until nothing more is written (W7).
func (w *writer) awaitSpill() error {
	if w.spilling == nil {
		return nil
	}
	err := <-w.spilling
	w.spilling = nil
	return err
}

// EndSpill implements tx.Pager.
func (w *writer) EndSpill(snap *tx.Snapshot, pages []*tx.Page) error {
	if err := w.awaitSpill(); err != nil {
		return err
	}
	snap.Written = w.txid // so that they pass where they are verified again
	for _, p := range pages {
		snap.Mark(p)
		w.s.buffers.put(p.Buf)
		p.Buf = nil
	}
	w.pages = slices.DeleteFunc(w.pages, func(p *tx.Page) bool { return p.Buf == nil })
	return nil
}
