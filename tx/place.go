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
	if p.heap != nil {
		return p.heap
	}
	if p.size == 0 {
		return nil
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

// An arena hands out small pieces of memory that live as long as anybody
// refers to them: keys that cursors put together, and copies of values. Its chunks
// grow, so that a short look costs little and a long scan few allocations.
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
