package mapleaf

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// A backup is the state that a transaction sees, as a database of its own: the
// pages that its roots reach, at their places, zeros in all others, and a
// free-space chain that calls those free. Nothing of the running store is asked
// for, so writers go on meanwhile. It keeps the file id, as a copy of the file would:
// the pages name it.

// WriteTo implements tx.Host.
func (s *store) WriteTo(t *tx.Tx, w io.Writer) (int64, error) {
	b := &backup{s: s, snap: tx.SnapshotOf(t), to: w}
	b.hwm = uint64(t.Size() >> s.shift)
	b.txid = b.snap.TxID
	b.reached = make([]uint64, (b.hwm+63)/64)
	b.heads = make([]uint64, (b.hwm+63)/64)
	if err := tx.Reach(t, b.reach); err != nil {
		return 0, err
	}
	err := b.write()
	return b.written, err
}

// CopyFile implements tx.Host.
func (s *store) CopyFile(t *tx.Tx, path string, mode fs.FileMode) (err error) {
	if _, err := isAt(s.mf, path); err != nil {
		return named("copy database", err)
	}
	var random [8]byte
	rand.Read(random[:])
	temp := path + ".copy-" + hex.EncodeToString(random[:])
	defer func() {
		if err != nil {
			os.Remove(temp) // it may be gone already; err says what matters
			err = named("copy database", err)
		}
	}()
	f, err := makeFile(s.opts.OpenFile, temp, mode)
	if err != nil {
		return err
	}
	_, err = s.WriteTo(t, io.NewOffsetWriter(f, 0))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := mmapfile.Rename(temp, path); err != nil {
		return err
	}
	return mmapfile.SyncDir(filepath.Dir(path))
}

// isAt reports whether there is a file at path, where a copy is to be. It is an error if
// that is the database itself, or if it cannot be told: the copy would replace it.
func isAt(mf *mmapfile.File, path string) (there bool, err error) {
	mine, err := mf.Identity()
	if err != nil {
		return false, err
	}
	its, err := mmapfile.PathIdentity(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case its == mine:
		return true, fmt.Errorf("mapleaf: copy database: %s is the database itself", path)
	}
	return true, nil
}

// A backup is one run of WriteTo.
type backup struct {
	s       *store
	snap    *tx.Snapshot
	txid    tx.TxID
	hwm     uint64
	reached []uint64 // a bit for each page in use
	heads   []uint64 // a bit for the first page of each extent
	to      io.Writer
	written int64
	buf     []byte
}

func bitAt(bits []uint64, id uint64) bool { return bits[id/64]>>(id%64)&1 != 0 }

// reach notes an extent.
func (b *backup) reach(first tx.PageID, count uint32, _ tx.Kind) error {
	end := uint64(first) + uint64(count)
	if end > b.hwm {
		return tx.Corrupt(first, "extent of %d pages passes the end", count)
	}
	b.heads[first/64] |= 1 << (first % 64)
	for id := uint64(first); id < end; id++ {
		if bitAt(b.reached, id) {
			return tx.Corrupt(tx.PageID(id), "page is in use twice")
		}
		b.reached[id/64] |= 1 << (id % 64)
	}
	return nil
}

// write writes the metas and then every page in order. The mapping is read into
// a buffer first, so that what fails its checksum is noticed before it counts,
// and a fault happens here and not inside the Writer.
func (b *backup) write() error {
	b.buf = make([]byte, readBytes)
	links := b.links()
	head, err := b.head(links)
	if err != nil {
		return err
	}
	if err := b.emit(head); err != nil {
		return err
	}
	id := uint64(b.s.first)
	for id < b.hwm {
		switch {
		case bitAt(b.heads, id):
			n, err := b.extent(tx.PageID(id))
			if err != nil {
				return err
			}
			id += uint64(n)
			continue
		case bitAt(b.reached, id):
			return tx.Corrupt(tx.PageID(id), "page lies between two extents")
		case len(links) > 0 && uint64(links[0].ID) == id:
			err = b.emit(links[0].Buf)
			links = links[1:]
		default:
			err = b.emit(zeroPage[:b.s.pageSize])
		}
		if err != nil {
			return err
		}
		id++
	}
	return nil
}

// zeroPage is never written to.
var zeroPage [pageSizeMax]byte

func (b *backup) emit(p []byte) error {
	n, err := b.to.Write(p)
	b.written += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// extent copies one extent and returns how many pages it has.
func (b *backup) extent(id tx.PageID) (uint32, error) {
	if p := b.snap.Overlay.Get(id); p != nil {
		return b.dirty(p)
	}
	s := b.s
	h := decodePageHeader(b.snap.Data[int(id)<<s.shift:][:headerSize])
	end := uint64(id) + uint64(h.count)
	if h.count == 0 || end > b.hwm || end<<s.shift > uint64(len(b.snap.Data)) {
		return 0, tx.Corrupt(id, "extent has %d pages", h.count)
	}
	var sum extentSum
	sum.begin(id)
	rest := b.snap.Data[int(id)<<s.shift : int(end)<<s.shift]
	for len(rest) > 0 {
		n := copy(b.buf, rest)
		sum.add(b.buf[:n])
		if err := b.emit(b.buf[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	if err := sum.header.checkFile(s.tag); err != nil {
		return 0, err
	}
	return h.count, sum.check(extent{id, h.count}, b.txid)
}

// dirty copies an extent in memory. Its header is written into a copy: the
// committer may be writing its own.
func (b *backup) dirty(p *tx.Page) (uint32, error) {
	buf := make([]byte, len(p.Buf))
	copy(buf[headerSize:], p.Counted(&b.snap.Overlay, nil).Body())
	count := uint32(len(buf) >> b.s.shift)
	h := pageHeader{
		id: p.ID, count: count, birth: birthOf(p.Stamp, b.txid), kind: p.Kind, file: b.s.tag,
	}
	h.seal(buf)
	return count, b.emit(buf)
}

// head makes everything in front of the first page.
func (b *backup) head(links []*tx.Page) ([]byte, error) {
	m := &meta{
		pageSize:   b.s.pageSize,
		txid:       b.txid,
		durable:    b.txid,
		closed:     true,
		hwm:        tx.PageID(b.hwm),
		root:       b.snap.Root,
		chainPages: uint32(len(links)),
		fileID:     b.s.fileID,
	}
	if len(links) > 0 {
		m.chain = links[len(links)-1].Ref()
	}
	m.entrySum = manifestSumOf(m.txid, nil)
	head := make([]byte, int(b.s.first)<<b.s.shift)
	slot := m.encode()
	copy(head, slot)
	copy(head[metaSlotGap:], slot)
	return head, nil
}

// links makes a chain that calls every page free that is not reached. The chain
// itself lies in the first of them.
func (b *backup) links() []*tx.Page {
	var runs []chainEntry
	for id := uint64(b.s.first); id < b.hwm; id++ {
		if !bitAt(b.reached, id) {
			e := extent{tx.PageID(id), 1}
			runs = appendEntry(runs, chainEntry{e, freeForAll, freeForAll})
		}
	}
	if len(runs) == 0 {
		return nil
	}
	// A run that the links use up takes no entry, so that is enough for the rest.
	capacity := chainCapacity(b.s.pageSize)
	n := (len(runs) + capacity - 1) / capacity
	var links []*tx.Page
	for range n {
		e := &runs[0]
		links = append(links, b.s.newPage(tx.KindChain, extent{e.first, 1}, b.txid))
		e.first++
		if e.count--; e.count == 0 {
			runs = runs[1:]
		}
	}
	var prev tx.Ref
	for i, p := range links {
		from, to := min(i*capacity, len(runs)), min((i+1)*capacity, len(runs))
		encodeChain(p.Body(), prev, runs[from:to])
		h := pageHeader{id: p.ID, count: 1, birth: b.txid, kind: tx.KindChain, file: b.s.tag}
		h.seal(p.Buf)
		prev = p.Ref()
	}
	return links
}
