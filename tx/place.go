package tx

// A place tells where bytes lie without pointing into the mapping: buckets and
// cursors keep places, so that none of our objects leads into a mapping that
// is gone (I8). Bytes in memory are kept alive by heap.
type place struct {
	heap []byte
	off  int
	size int
}

// bytes returns the bytes at the place, in the snapshot that it was made for.
func (p *place) bytes(s *Snapshot) node {
	if p == nil || p.heap == nil && p.size == 0 {
		return nil
	}
	if p.heap != nil {
		return p.heap
	}
	end := p.off + p.size
	return s.Data[p.off:end:end]
}

// placeOf returns the place of bytes from to to of n, a node that load returned
// with p. A node from the mapping keeps the capacity up to the end of that, which
// tells where it lies.
func (s *Snapshot) placeOf(n node, p *Page, from, to int) place {
	if p != nil {
		return place{heap: n[from:to]}
	}
	return place{off: cap(s.Data) - cap(n) + from, size: to - from}
}

// A keyArena hands out memory for the keys that a cursor puts together, which
// live as long as anybody refers to them. Its chunks grow, so that a short look
// costs little and a long scan few allocations. Within a chunk only counters
// change: storing a pointer for each key would cost more than the key.
type keyArena struct {
	chunk    []byte
	from, to int // the last key
}

// arenaSpare is how many bytes behind a key may be scribbled on.
const arenaSpare = 32

// take returns size bytes. The arenaSpare bytes behind them are there too, and
// belong to the next key.
func (a *keyArena) take(size int) []byte {
	if a.to+size+arenaSpare > len(a.chunk) {
		a.chunk = make([]byte, max(min(max(2*len(a.chunk), arenaFirst), arenaMax),
			size+arenaSpare))
		a.to = 0
	}
	a.from = a.to
	a.to += size
	return a.chunk[a.from:a.to]
}

// last returns the key that was handed out last.
func (a *keyArena) last() []byte { return a.chunk[a.from:a.to] }

// An arena hands out small pieces of memory likewise, for copies of values.
type arena struct {
	free []byte
	next int
}

const (
	arenaFirst = 256
	arenaMax   = 32 << 10
)

// take returns size bytes, with their capacity cut to it.
func (a *arena) take(size int) []byte {
	if size > len(a.free) {
		if size > arenaMax/4 {
			return make([]byte, size)
		}
		a.next = min(max(2*a.next, arenaFirst), arenaMax)
		a.free = make([]byte, max(a.next, size))
	}
	b := a.free[:size:size]
	a.free = a.free[size:]
	return b
}

// copy returns a copy of b, never nil.
func (a *arena) copy(b []byte) []byte {
	if len(b) == 0 {
		return []byte{}
	}
	c := a.take(len(b))
	copy(c, b)
	return c
}
