package mapleaf

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// A batch is what one sync makes durable: the transactions that were committed
// while the batch before was on its way. It is open until the committer seals
// it; only who holds the writer lock adds to it.
//
// Invariants:
//
//	B1 Every transaction of a batch gets the batch's outcome, and none of it
//	   before all of it is durable and published.
//	B2 The reserve is enough for the links and the manifest that the batch may
//	   need, and lies in the file: sealing takes no page from elsewhere and
//	   never grows the file.
//	B3 A page that was born and freed within the batch is not written, and its
//	   id is free at once.
type batch struct {
	first    tx.TxID // of its transactions
	last     tx.TxID
	root     tx.BucketHeader
	pages    [][]*tx.Page // of each transaction, ascending
	count    int          // of all of them
	dead     map[tx.Ref]struct{}
	changes  []change
	freed    []freedExtent
	reserve  []extent // for links
	links    int      // pages in reserve
	manifest extent   // for the manifest, if it may not fit into the meta
	tail     extent   // cut off the file by Close
	sync     bool
	done     chan struct{}
	err      error
}

// room is what one transaction adds to the reserve of its batch.
type room struct {
	links    int
	reserve  []extent
	manifest extent
}

// giveRoom puts back what was not needed after all.
func (s *store) giveRoom(r room) {
	for _, e := range r.reserve {
		s.free.give(e)
	}
	s.free.give(r.manifest)
}

// prepare obtains everything that the commit of pages can need: free pages for
// the batch's links and manifest, room in the file, and address space (W2).
func (w *writer) prepare(pages, unused int) (room, error) {
	s := w.s
	slices.SortFunc(w.freed, func(a, b freedExtent) int { return cmp.Compare(a.first, b.first) })
	if err := s.free.check(w.freed, s.first); err != nil {
		return room{}, err
	}
	own := len(w.runs) + unused + len(w.freed) + 2
	links := chainRoom(own, s.chain.capacity)
	extents := pages + int(links)
	s.mu.Lock()
	if b := s.mu.open; b != nil {
		extents += b.count + b.links
	}
	s.mu.Unlock()

	r := room{links: int(links)}
	r.reserve = w.tails(links)
	for _, e := range r.reserve {
		links -= e.count
	}
	for links > 0 {
		e, ok := s.free.takeRun(links)
		if !ok {
			s.giveRoom(r)
			return room{}, ErrMaxSizeReached
		}
		r.reserve = append(r.reserve, e)
		links -= e.count
	}
	if n := manifestPages(extents, s.pageSize); n > 0 {
		var ok bool
		if r.manifest, ok = s.free.take(n); !ok {
			s.giveRoom(r)
			return room{}, ErrMaxSizeReached
		}
	}
	if err := s.makeRoom(w.base); err != nil {
		s.giveRoom(r)
		return room{}, err
	}
	return r, nil
}

// tails cuts up to n pages from the unused ends of the transaction's runs, which
// lie right behind its pages.
func (w *writer) tails(n uint32) []extent {
	var got []extent
	for i := range w.runs {
		r := &w.runs[i]
		rest := min(r.count-r.used, n)
		if rest == 0 {
			continue
		}
		got = append(got, extent{r.first + tx.PageID(r.used), rest})
		n -= rest
		// What lies behind goes back at once: the run ends with its used part.
		behind := r.count - r.used - rest
		w.s.free.give(extent{r.first + tx.PageID(r.used+rest), behind})
		r.count = r.used
	}
	return got
}

// makeRoom makes file and mapping as large as the high-water mark demands.
func (s *store) makeRoom(base tx.TxID) error {
	need := int64(s.free.top()) << s.shift
	if limit := s.db.MaxSize; limit > 0 && need > int64(limit) && need > s.fileSize {
		return ErrMaxSizeReached
	}
	if need > s.fileSize {
		if err := s.growFile(need); err != nil {
			return err
		}
	}
	return s.cover(need, base)
}

// The file grows by a quarter of its size, within these bounds and DB.AllocSize.
const growthMin = 1 << 20

// growFile makes the file at least need bytes long, and larger if there is room.
func (s *store) growFile(need int64) error {
	step := max(s.fileSize/4, growthMin)
	if alloc := int64(s.db.AllocSize); alloc > 0 {
		step = min(step, max(alloc, growthMin))
	}
	want := (need + step + growthMin - 1) / growthMin * growthMin
	if limit := s.db.MaxSize; limit > 0 {
		want = max(need, min(want, int64(limit)))
	}
	if !is64Bit {
		want = max(need, min(want, addressLimit32))
	}
	err := s.file.Allocate(want)
	if err != nil && want > need {
		want = need
		err = s.file.Allocate(want)
	}
	if err != nil {
		return fmt.Errorf("mapleaf: grow file: %w", err)
	}
	s.fileSize = want
	return nil
}

// join adds the transaction to the open batch and makes its state the newest.
func (w *writer) join(snap *tx.Snapshot, pages []*tx.Page, unused []extent, r room) (
	*batch, error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failed(); err != nil {
		return nil, err
	}
	b := s.mu.open
	if b == nil {
		b = &batch{first: w.txid, done: make(chan struct{})}
		s.mu.open = b
	}
	b.last = w.txid
	b.root = snap.Root
	b.pages = append(b.pages, pages)
	b.count += len(pages)
	b.sync = b.sync || !s.db.NoSync
	b.reserve = append(b.reserve, r.reserve...)
	b.links += r.links
	if r.manifest.count > b.manifest.count {
		b.manifest, r.manifest = r.manifest, b.manifest
	}
	s.free.give(r.manifest)
	w.account(b, unused)

	s.mu.head = *snap
	s.mu.head.TxID = w.txid
	s.mu.head.HWM = tx.PageID(s.free.top())
	w.leave()
	s.mu.wake.Signal()
	return b, nil
}

// account adds what the transaction took, gave and freed to the batch's changes.
func (w *writer) account(b *batch, unused []extent) {
	free := &w.s.free
	for _, r := range w.runs {
		if r.used > 0 {
			b.changes = append(b.changes, change{extent: extent{r.first, r.used}, delta: -1})
		}
		free.give(extent{r.first + tx.PageID(r.used), r.count - r.used})
	}
	for _, e := range unused {
		b.changes = append(b.changes, change{extent: e, delta: +1})
		free.give(e)
	}
	for _, f := range w.freed {
		if f.birth < b.first {
			b.changes = append(b.changes, change{f.extent, +1, f.birth, f.freed})
			b.freed = append(b.freed, f)
			continue
		}
		if b.dead == nil {
			b.dead = make(map[tx.Ref]struct{})
		}
		b.dead[tx.Ref{ID: f.first, Stamp: f.birth.Stamp()}] = struct{}{}
		b.changes = append(b.changes, change{extent: f.extent, delta: +1})
		free.give(f.extent)
	}
}
