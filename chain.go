package mapleaf

import (
	"encoding/binary"
	"math"

	"github.com/mapleafdb/mapleaf/tx"
)

// The free space is stored as a chain of small deltas: each commit writes what
// it changed into new pages, which point to those before. A chain page's body,
// little-endian:
//
//	offset  size  field    meaning
//	0       8     prev     id and stamp of the page before; of no meaning in the oldest
//	8       4     entries  how many follow
//	12      4     zero
//	16      24*n  entries
//
// An entry:
//
//	offset  size  field  meaning
//	0       4     first  page
//	4       4     count  pages
//	8       8     birth  txid of the transaction that allocated them
//	16      8     freed  txid of the transaction that freed them; 0 = they are not free any more
//
// Replay goes from the oldest page to the newest: an entry sets its pages free
// under its tag, or clears them. Entries may overlap what older ones said, also
// in part, and say it again: only the last word about a page counts. birth and
// freed tell which readers could still see the pages, so that another process
// can tell free from pending.
//
// The chain is kept short by copying forward: when it is more than twice as long as its
// live entries need (four times, for large commits), each commit says again what its
// oldest links say and still holds, and then drops those links. That is bounded by what
// the commit writes anyway, so its cost depends on what it changes and not on how much is
// free.
//
// Invariants:
//
//	C1 A chain page is written once and lives until it is dropped. Pages that
//	   one commit drops, and its predecessor's manifest, are seen by no reader:
//	   their birth equals their freed, and they wait for a durable meta alone.
//	C2 What is copied forward stands in the new pages before the commit's own
//	   delta, so that its takes have the last word.
//	C3 No step of a commit walks more of the free space than a fixed multiple of
//	   its own delta.
const (
	chainPrev      = 0
	chainCount     = 8
	chainZero      = 12
	chainHead      = 16
	entryCount     = 4
	entryBirth     = 8
	entryFreed     = 16
	chainEntrySize = 24
)

// A chainEntry sets pages free, or clears them if freed is zero.
type chainEntry struct {
	extent
	birth, freed tx.TxID
}

// chainCapacity returns how many entries a chain page holds.
func chainCapacity(pageSize int) int {
	return (pageSize - headerSize - chainHead) / chainEntrySize
}

// encodeChain fills the body of a chain page.
func encodeChain(body []byte, prev tx.Ref, entries []chainEntry) {
	le := binary.LittleEndian
	le.PutUint32(body[chainPrev:], uint32(prev.ID))
	le.PutUint32(body[chainPrev+4:], prev.Stamp)
	le.PutUint32(body[chainCount:], uint32(len(entries)))
	le.PutUint32(body[chainZero:], 0)
	b := body[chainHead:chainHead]
	for _, e := range entries {
		b = le.AppendUint32(b, uint32(e.first))
		b = le.AppendUint32(b, e.count)
		b = le.AppendUint64(b, uint64(e.birth))
		b = le.AppendUint64(b, uint64(e.freed))
	}
	clear(body[chainHead+len(b):])
}

// decodeChain reads the body of chain page id of a state at txid newest, whose
// pages begin at first.
func decodeChain(id tx.PageID, body []byte, first tx.PageID, newest tx.TxID) (
	prev tx.Ref, entries []chainEntry, err error) {
	le := binary.LittleEndian
	n := le.Uint32(body[chainCount:])
	if uint64(n) > uint64(len(body)-chainHead)/chainEntrySize { // 32-bit ints are too small
		return prev, nil, tx.Corrupt(id, "chain page has %d entries", n)
	}
	entries = make([]chainEntry, n)
	for i := range entries {
		b := body[chainHead+i*chainEntrySize:]
		e := &entries[i]
		e.first, e.count = tx.PageID(le.Uint32(b)), le.Uint32(b[entryCount:])
		e.birth = tx.TxID(le.Uint64(b[entryBirth:]))
		e.freed = tx.TxID(le.Uint64(b[entryFreed:]))
		if e.first < first || e.count == 0 || e.end() > hwmMax {
			return prev, nil, tx.Corrupt(id, "chain entry for pages %d to %d", e.first, e.end())
		}
		if e.birth > e.freed || e.freed > newest {
			return prev, nil, tx.Corrupt(id, "chain entry born at %d and freed at %d",
				e.birth, e.freed)
		}
	}
	return decodeRef(body[chainPrev:]), entries, nil
}

// A link is one page of the chain, as the committer remembers it.
type link struct {
	ref   tx.Ref
	seq   uint64   // numbers links, from the oldest on
	spans []extent // what it calls free
	span  int      // spans before this one were copied forward,
	page  uint64   // and of this one, pages below this
}

// A chain is the free-space chain and what it says. The committer owns it.
type chain struct {
	ledger
	links    []link // oldest first
	seq      uint64 // of the newest link
	capacity int
	hwm      uint64 // of the newest meta
}

// head returns the reference to the newest link.
func (c *chain) head() tx.Ref {
	if len(c.links) == 0 {
		return tx.Ref{}
	}
	return c.links[len(c.links)-1].ref
}

// pagesFor returns how many links n entries take.
func (c *chain) pagesFor(n int) int { return (n + c.capacity - 1) / c.capacity }

// chainSlack is how many links more than twice the least number a chain may have.
const chainSlack = 8

// chainBulk is how many times the least number of links it may have beside commits of
// many links. What these free the next ones take: the older a link gets, the less of it
// is left to copy, and with twice the least number a random load takes a tenth longer.
const chainBulk = 4

// budget returns how many of the oldest links a commit with so many entries of
// its own may drop, and how many records it may copy forward for that. A small
// commit copies what its one link has room for; the copying then adds no page.
func (c *chain) budget(entries int) (links, records int) {
	own, times := max(1, c.pagesFor(entries)), 2
	if own > 1 {
		times = chainBulk
	}
	if len(c.links) <= times*c.pagesFor(c.tree.Len())+chainSlack {
		return 0, 0
	}
	links = min(dropLimit(own), len(c.links)-1)
	if own == 1 {
		return links, max(c.capacity/2, c.capacity-entries)
	}
	return links, (2*own + 1) * c.capacity
}

// all is the budget of who drops all links and writes the chain anew.
func (c *chain) all() (links, records int) { return len(c.links), math.MaxInt }

// allRoom returns how many pages that takes at most, if nothing but the links themselves
// is taken and freed.
func (c *chain) allRoom() uint32 {
	entries := c.tree.Len() + 2*len(c.links) + 4
	for i := range c.links {
		entries += len(c.links[i].spans) // each may divide a record
	}
	n := c.pagesFor(entries)
	return uint32(n + 2*n/(c.capacity-1) + 1) // the room itself may lie in as many extents
}

// dropLimit is the most links that a commit of own links may drop.
func dropLimit(own int) int { return 2*own + 2 }

// chainRoom returns how many pages a batch with so many changes needs for its
// links at most.
func chainRoom(changes, capacity int) uint32 {
	entries := 2*changes + 4
	own := (entries + capacity - 1) / capacity
	forward := 2*own + 1
	n := (entries+dropLimit(own)+capacity-1)/capacity + forward + 1
	return uint32(n + n/(capacity-1) + 1) // the room itself may lie in that many extents
}

// A move is a part of an old link's span that must be said again.
type move struct {
	extent
	home uint64
}

// oldest collects what must be said again before the oldest links can be
// dropped, up to the given limits, and returns how many links that sets free.
func (c *chain) oldest(links, records int) (moves []move, drop int) {
	for drop < min(links, len(c.links)) {
		l := &c.links[drop]
		for ; l.span < len(l.spans); l.span++ {
			e := l.spans[l.span]
			full := false
			c.walk(e, func(r record) bool {
				m := clip(r.extent, e)
				if r.home != l.seq || uint64(m.first) < l.page {
					return true
				}
				if len(moves) >= records {
					l.page, full = uint64(m.first), true
					return false
				}
				moves = append(moves, move{m, l.seq})
				return true
			})
			if full {
				return moves, drop
			}
			l.page = 0
		}
		drop++
	}
	return moves, drop
}

// clip returns the part of e that lies in bounds.
func clip(e, bounds extent) extent {
	first := max(e.first, bounds.first)
	end := min(e.end(), bounds.end())
	return extent{first, uint32(end - uint64(first))}
}

// forward returns entries that say again what the moves need. Where the page is
// free by now, the whole free extent around it takes one entry. home returns the
// number of the link that entry i will stand in.
func (c *chain) forward(moves []move, free *freelist, home func(i int) uint64) []chainEntry {
	var entries []chainEntry
	var here []record
	for _, m := range moves {
		here = c.overlaps(here[:0], m.extent)
		said := uint64(0) // end of what this move has said already
		for _, r := range here {
			e := chainEntry{clip(r.extent, m.extent), r.birth, r.freed}
			if r.home != m.home || uint64(e.first) < said {
				continue
			}
			x, ok := free.around(e.first, c.hwm)
			if ok && x.end() >= e.end() {
				e = chainEntry{x, freeForAll, freeForAll}
			}
			c.apply(e, home(len(entries)))
			entries = append(entries, e)
			said = e.end()
		}
	}
	return entries
}

// drop forgets the oldest n links.
func (c *chain) drop(n int) {
	clear(c.links[:n])
	c.links = c.links[n:]
}

// add appends a link that holds the entries.
func (c *chain) add(ref tx.Ref, entries []chainEntry) {
	c.seq++
	l := link{ref: ref, seq: c.seq}
	for _, e := range entries {
		if e.freed != 0 {
			l.spans = append(l.spans, e.extent)
		}
	}
	c.links = append(c.links, l)
}
