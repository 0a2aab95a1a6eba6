package mapleaf

import (
	"slices"

	"github.com/mapleafdb/mapleaf/internal/invariant"
	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// The memory of pages that are not, or not only, in the mapping. It lies outside of
// the Go heap, which would else grow by as much again as all resident pages take
// before the collector runs, and buffers are used again and again: a fresh page of
// memory costs more than filling it.
//
// Invariants:
//
//	G1 A buffer that no state showed to readers is used again when the transaction
//	   has ended that owned it, or the epoch that holds it is in the file.
//	G2 A page in memory whose owner is transaction o, and that is in no state after
//	   u, can be seen by the readers at o to u. Its buffer is used again when a
//	   state after u is published, and none of them is left: so a reader that stays
//	   open for long holds what it sees and nothing else.
type buffers struct {
	size  int // of each, in bytes
	free  [][]byte
	long  [][]byte // of the Go heap, for extents
	slabs []*mmapfile.PrivateMemory
	bytes int                      // of all slabs
	ahead chan slab                // the next one is on its way, nil = none is
	heap  bool                     // some buffers are of the Go heap
	held  map[tx.TxID][]heldBuffer // by the newest reader that can see them
	live  []tx.TxID                // scratch
}

// A heldBuffer can be seen by some reader.
type heldBuffer struct {
	buf         []byte
	owner, last tx.TxID // of the states that show it
}

// How much memory is allocated at a time: a little first, and more, for which the
// system may use huge pages, by who has shown that he needs it.
const (
	slabBytes     = 1 << 20
	slabBytesHuge = 4 << 20
)

// A slab is memory for many buffers, or why there is none.
type slab struct {
	memory *mmapfile.PrivateMemory
	err    error
}

// prepared allocates a slab, and touches it all: the system hands out memory page by
// page, which takes as long as filling it. So that is done beside the transaction.
func prepared(size int) chan slab {
	c := make(chan slab, 1)
	go func() {
		m, err := mmapfile.NewPrivateMemory(size)
		if err == nil {
			b := m.Bytes()
			for i := 0; i < len(b); i += pageSizeMin {
				b[i] = 0
			}
		}
		c <- slab{m, err}
	}()
	return c
}

// get returns a buffer; what it holds is not defined.
func (b *buffers) get() []byte {
	if len(b.free) == 0 {
		b.grow()
	}
	n := len(b.free) - 1
	buf := b.free[n]
	b.free[n] = nil
	b.free = b.free[:n]
	return buf
}

// grow allocates more buffers.
func (b *buffers) grow() {
	if b.ahead != nil {
		s := <-b.ahead
		b.ahead = nil
		b.add(s.memory, s.err)
	} else {
		b.add(mmapfile.NewPrivateMemory(slabBytes))
	}
	if b.bytes >= slabBytesHuge {
		b.ahead = prepared(slabBytesHuge)
	}
}

// add takes the buffers of a slab, or one of the Go heap if there is no other memory.
func (b *buffers) add(m *mmapfile.PrivateMemory, err error) {
	if err != nil {
		b.heap = true
		b.free = append(b.free, make([]byte, b.size))
		return
	}
	b.slabs = append(b.slabs, m)
	slab := m.Bytes()
	b.bytes += len(slab)
	for off := len(slab) - b.size; off >= 0; off -= b.size {
		b.free = append(b.free, slab[off:off+b.size:off+b.size])
	}
}

// put takes back a buffer that nobody looks at any more. Others than those that get and
// extent return are left to the garbage collector.
func (b *buffers) put(buf []byte) {
	if invariant.Enabled && len(buf) >= b.size {
		for i := range buf {
			buf[i] = 0xdb // whoever still reads it shall notice
		}
	}
	switch {
	case len(buf) == b.size:
		b.free = append(b.free, buf)
	case len(buf) > b.size && cap(buf) <= longBytes:
		if len(b.long) == longKept {
			b.long = slices.Delete(b.long, 0, 1)
		}
		b.long = append(b.long, buf[:cap(buf)])
	}
}

// How many buffers for extents are kept, and how long they may be. One after the other
// is used by who puts long values in transactions of their own.
const (
	longKept  = 4
	longBytes = 4 << 20
)

// extent returns a buffer of size bytes for an extent, which is one of those that were
// put back if it is not much longer. What it holds is not defined.
func (b *buffers) extent(size int) []byte {
	for i, buf := range slices.Backward(b.long) {
		if len(buf) >= size && len(buf)/2 <= size {
			b.long = slices.Delete(b.long, i, i+1)
			return buf[:size]
		}
	}
	return make([]byte, size)
}

// retire takes back a buffer that the readers at owner to last can see. live are the
// txids of all readers, ascending; none begins at a state up to last any more.
func (b *buffers) retire(h heldBuffer, live []tx.TxID) {
	i, found := slices.BinarySearch(live, h.last)
	if found {
		i++
	}
	if i == 0 || live[i-1] < h.owner {
		b.put(h.buf)
		return
	}
	if b.held == nil {
		b.held = make(map[tx.TxID][]heldBuffer)
	}
	b.held[live[i-1]] = append(b.held[live[i-1]], h)
}

// reexamine looks again at what readers held that are gone.
func (b *buffers) reexamine(live []tx.TxID) {
	for holder, held := range b.held {
		if _, ok := slices.BinarySearch(live, holder); ok {
			continue
		}
		delete(b.held, holder)
		for _, h := range held {
			b.retire(h, live)
		}
	}
}

// trimBytes is how much memory is kept when nothing is resident.
const trimBytes = 4 << 20

// trim gives memory back if none of it is in use, which is known by the number of free
// buffers, unless there are others among them.
func (b *buffers) trim() error {
	b.long = nil
	if b.heap || b.ahead == nil && b.bytes <= trimBytes || len(b.free) != b.bytes/b.size {
		return nil
	}
	size := b.size
	err := b.close()
	b.size = size
	return err
}

// close gives all memory back.
func (b *buffers) close() (err error) {
	if b.ahead != nil {
		if s := <-b.ahead; s.err == nil {
			err = s.memory.Free()
		}
	}
	for _, m := range b.slabs {
		if e := m.Free(); err == nil {
			err = e
		}
	}
	*b = buffers{}
	return err
}
