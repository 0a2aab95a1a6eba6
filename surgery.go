package mapleaf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// Surgery makes a copy of a database that opens at a state which Open would not choose.
// The file is copied as it is; only its metas are new. Both describe the chosen state as
// one that was closed properly. What the store itself had in use besides, the log and a
// manifest, is free then: the first page of it becomes one more link of the free-space
// chain, which says so of the others.
//
// Invariants:
//
//	U1 The metas of a copy have a txid above all that the file shows, so that what is
//	   left in it of given-up transactions never carries the stamp of a new page (O3).
//	U2 The database is opened for reading only, and the copy appears whole (W1).

// MetaInfo describes one of the two metas of a database.
type MetaInfo struct {
	Err      error    // why there is none; everything else is zero then
	TxID     int      // the state that it describes
	Durable  int      // the last transaction that was durable when it was written
	Closed   bool     // written by Close, or by a copy
	PageSize int      // bytes
	Pages    int      // all pages in use are below this number
	Root     int      // page of the root bucket; 0 = there are no buckets
	FileID   [16]byte // random, from the creation of the database
	Whole    error    // why not everything is in the file that its commit has written
	LogPages int      // pages of the redo log that it names; 0 = none
	LogTxID  int      // the last transaction to which the log leads from here
}

// Metas describes how Open finds the newest state of a database.
type Metas struct {
	Slots [2]MetaInfo
	Taken int   // the meta that Open takes; -1 = none
	Err   error // why it takes none
}

// ReadMetas reads the two metas of the database at path, and tells which of them Open
// takes. The file is not changed. It returns ErrTimeout if another process has the
// database open for longer than timeout; zero means no limit.
func ReadMetas(ctx context.Context, path string, timeout time.Duration) (_ *Metas, err error) {
	defer func() { err = named("read metas", err) }()
	of, err := openSource(ctx, path, timeout)
	if err != nil {
		return nil, err
	}
	defer func() { err = closeSource(of, err) }()
	slots, err := readSlots(of)
	if err != nil {
		return nil, err
	}
	all := &Metas{Taken: -1}
	if all.Slots, err = describeMetas(of, slots); err != nil {
		return nil, err
	}
	r, err := recoverState(of, false)
	if err != nil {
		all.Err = err
		return all, nil
	}
	all.Taken = r.slot
	return all, nil
}

// describeMetas describes both metas.
func describeMetas(f file, slots [2]metaSlot) (infos [2]MetaInfo, err error) {
	for i := range slots {
		if infos[i], err = describeMeta(f, &slots[i]); err != nil {
			return infos, err
		}
	}
	return infos, nil
}

// describeMeta tells what a meta says, and how far the file keeps it.
func describeMeta(f file, slot *metaSlot) (MetaInfo, error) {
	m := slot.meta
	if m == nil {
		return MetaInfo{Err: slot.err}, nil
	}
	info := MetaInfo{
		TxID: int(m.txid), Durable: int(m.durable), Closed: m.closed, PageSize: m.pageSize,
		Pages: int(m.hwm), Root: int(m.root.Root.ID), FileID: m.fileID,
		LogPages: int(m.logs[0].count) + int(m.logs[1].count),
	}
	size, err := f.Size()
	if err != nil {
		return info, err
	}
	if m.closed {
		info.Whole = checkSize(m, size)
	} else {
		whole := *m
		info.Whole = verifyManifest(f, &whole, size)
	}
	if info.LogPages == 0 {
		return info, nil
	}
	s, err := newScrap(f, m.pageSize, [2]metaSlot{})
	if err == nil {
		info.LogTxID = int(s.readTrail([]*meta{m}, m.txid).last)
	}
	if errors.Is(err, ErrInvalidMapping) {
		err = nil // this system can tell no more of so large a file
	}
	return info, err
}

// SurgeryOptions says how RevertMeta and DropLog work. The zero value is the default.
type SurgeryOptions struct {
	// Overwrite lets the copy replace a file that has its name. If only the last step
	// fails, which makes that durable, the copy is there with an error, and a loss of
	// power may bring the old file back.
	Overwrite bool

	// Timeout is how long to wait while another process has the database open. Zero
	// means no limit.
	Timeout time.Duration
}

// A SurgeryReport tells what a copy holds.
type SurgeryReport struct {
	Meta     int     // the meta whose state the copy has
	TxID     int     // the last transaction of that state
	LastTxID int     // the last transaction that the file showed; those between are not in the copy
	Problems []error // what Check says of the copy, the first problemsMax of them
}

// problemsMax is how many problems a SurgeryReport lists.
const problemsMax = 1000

// RevertMeta makes a copy of the database at src that opens at the older of its two
// metas. Everything that was committed after that is not in the copy, also what the log
// holds: mostly that is one commit, or all since the last checkpoint but one. It is of
// use if the newest state is damaged and the one before is not, for the pages that the
// newest commit has replaced stay in the file until that is durable, and for some time
// after. If only one meta verifies, the copy opens at that one.
//
// The copy is checked, and what is wrong with it is part of the report. An error means
// that there is no copy, as for Salvage: fs.ErrExist if dst exists, ErrTimeout,
// ErrInvalid, ErrChecksum if no meta verifies, *CorruptError if the file is
// too short for the state. Nil options are the zero value.
func RevertMeta(ctx context.Context, dst, src string, o *SurgeryOptions) (
	*SurgeryReport, error) {
	return operate(ctx, dst, src, o, func(slots [2]metaSlot, _ [2]MetaInfo) (int, error) {
		a, b := slots[0].meta, slots[1].meta
		switch {
		case a == nil && b == nil:
			return 0, fmt.Errorf("%w: meta 0: %w; meta 1: %w", ErrChecksum, slots[0].err, slots[1].err)
		case a == nil:
			return 1, nil
		case b == nil:
			return 0, nil
		case a.txid == b.txid:
			return 0, fmt.Errorf("mapleaf: there is no older state: both metas are those of "+
				"transaction %d", a.txid)
		case a.txid < b.txid:
			return 0, nil
		}
		return 1, nil
	})
}

// DropLog makes a copy of the database at src that opens at its last checkpoint, as if
// there were no log. Everything that was committed since is not in the copy. It is of use
// if the log is damaged, and Open refuses the database for that. The report, the errors
// and the options are those of RevertMeta; if the newest state is not whole in the file,
// the state before is taken, and if neither is, the error is a *CorruptError.
func DropLog(ctx context.Context, dst, src string, o *SurgeryOptions) (*SurgeryReport, error) {
	return operate(ctx, dst, src, o, func(slots [2]metaSlot, infos [2]MetaInfo) (int, error) {
		best, err := -1, error(nil)
		for i := range slots {
			m := slots[i].meta
			if damage := errors.Join(infos[i].Err, infos[i].Whole); damage != nil {
				err = errors.Join(err, fmt.Errorf("meta %d: %w", i, damage))
				continue
			}
			if best < 0 || m.txid > slots[best].meta.txid {
				best = i
			}
		}
		if best < 0 {
			return 0, fmt.Errorf("mapleaf: no state is whole: %w", err)
		}
		return best, nil
	})
}

// operate makes a copy with the meta that choose chooses.
func operate(ctx context.Context, dst, src string, options *SurgeryOptions,
	choose func([2]metaSlot, [2]MetaInfo) (int, error)) (_ *SurgeryReport, err error) {
	var o SurgeryOptions
	if options != nil {
		o = *options
	}
	defer func() { err = named("copy database", err) }()
	of, err := openSource(ctx, src, o.Timeout)
	if err != nil {
		return nil, err
	}
	defer func() { err = closeSource(of, err) }()
	slots, err := readSlots(of)
	if err != nil {
		return nil, err
	}
	infos, err := describeMetas(of, slots)
	if err != nil {
		return nil, err
	}
	slot, err := choose(slots, infos)
	if err != nil {
		return nil, err
	}
	m := slots[slot].meta
	size, err := of.Size()
	if err == nil {
		err = checkSize(m, size)
	}
	if err != nil {
		return nil, err
	}
	last := lastSeen(infos)
	r := &SurgeryReport{Meta: slot, TxID: int(m.txid), LastTxID: int(last)}
	err = newFile(dst, of, o.Overwrite, func(temp string, mode fs.FileMode) error {
		if err := writeAt(ctx, temp, mode, of, m, last.Next()); err != nil {
			return err
		}
		r.Problems, err = problemsOf(ctx, temp)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// lastSeen returns the largest txid that metas and logs show.
func lastSeen(infos [2]MetaInfo) (last tx.TxID) {
	for _, m := range infos {
		last = max(last, tx.TxID(m.TxID), tx.TxID(m.Durable), tx.TxID(m.LogTxID))
	}
	return last
}

// writeAt writes a copy of the file whose metas describe the state of m, under a txid.
func writeAt(ctx context.Context, path string, mode fs.FileMode, f file, m *meta, txid tx.TxID) (
	err error) {
	to, err := makeFile(mmapfile.OpenOS, path, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	buf := make([]byte, readBytes)
	end := int64(m.hwm) * int64(m.pageSize)
	for off := int64(0); off < end; off += readBytes {
		piece := buf[:min(readBytes, end-off)]
		if _, err := f.ReadAt(piece, off); err != nil {
			return fmt.Errorf("mapleaf: read database: %w", err)
		}
		if off == 0 {
			clear(piece[:min(int64(len(piece)), int64(firstPage(m.pageSize))*int64(m.pageSize))])
		}
		if _, err := to.WriteAt(piece, off); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	c := chosenMeta(m, txid)
	if link := storeLink(m, c); link != nil {
		if _, err := to.WriteAt(link, int64(c.chain.ID)*int64(m.pageSize)); err != nil {
			return err
		}
	}
	for i := range 2 {
		if _, err := to.WriteAt(c.encode(), slotOffset(i)); err != nil {
			return err
		}
	}
	return to.Sync()
}

// chosenMeta returns the meta of the copy, but for the chain.
func chosenMeta(m *meta, txid tx.TxID) *meta {
	c := &meta{
		pageSize: m.pageSize, txid: txid, durable: txid, closed: true, hwm: m.hwm, root: m.root,
		chain: m.chain, chainPages: m.chainPages, entrySum: manifestSumOf(txid, nil),
		fileID: m.fileID, // it stands in every page, too
	}
	return c
}

// storeLink makes the link that calls free what the store itself had in use at m, and
// puts it at the head of the chain of c. It is nil if there is nothing.
func storeLink(m, c *meta) []byte {
	var own []extent
	for _, x := range m.logs {
		own = append(own, x.extent)
	}
	if m.manifest.ID != 0 {
		own = append(own, extent{m.manifest.ID, m.manPages})
	}
	var entries []chainEntry
	at := tx.PageID(0)
	for _, e := range own {
		if e.count > 0 && at == 0 {
			at = e.first
			e.first, e.count = e.first+1, e.count-1
		}
		if e.count > 0 {
			entries = append(entries, chainEntry{e, freeForAll, freeForAll})
		}
	}
	if at == 0 {
		return nil
	}
	link := make([]byte, m.pageSize)
	encodeChain(link[headerSize:], m.chain, entries)
	h := pageHeader{
		id: at, count: 1, birth: c.txid, kind: tx.KindChain, file: tagOf(c.fileID),
	}
	h.seal(link)
	c.chain, c.chainPages = tx.Ref{ID: at, Stamp: c.txid.Stamp()}, m.chainPages+1
	return link
}

// problemsOf returns what Check says of the database at path.
func problemsOf(ctx context.Context, path string) (problems []error, err error) {
	// Nothing is written; a reader would leave a lock file behind.
	db, err := OpenContext(ctx, path, 0, &Options{
		Exclusive: true, AllowNetwork: true, NoStatistics: true, LogSize: -1,
	})
	if err != nil {
		return nil, err
	}
	err = db.View(func(t *Tx) error {
		for problem := range t.Check() {
			if len(problems) < problemsMax {
				problems = append(problems, problem)
			}
		}
		return nil
	})
	if errors.Is(err, ErrCorrupt) {
		err = nil // it is one of the problems
	}
	return problems, errors.Join(err, db.Close())
}
