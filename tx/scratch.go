package tx

import "sync"

// A scratch is the lists that a write transaction fills, and that the next one can use
// when it has ended: small transactions would else allocate more than they write.
type scratch struct {
	born  []*Page // node pages, also those that are free again
	path  []frame
	keys  []byte // of gatherLeaf and gatherBranch
	items []item
	links []link
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// What is kept of a list at most: all of it is cleared each time.
const (
	scratchEntries = 1 << 6
	scratchBytes   = 64 << 10
)

// giveTo gives the lists back to where they came from. Nothing in them leads anywhere
// any more (I8).
func (s *scratch) giveTo(home *scratch) {
	if home == nil { // that was done
		return
	}
	*home = scratch{
		born: emptied(s.born), path: emptied(s.path),
		items: emptied(s.items), links: emptied(s.links),
	}
	if cap(s.keys) <= scratchBytes {
		home.keys = s.keys[:0]
	}
	scratches.Put(home)
}

func emptied[E any](list []E) []E {
	if cap(list) > scratchEntries {
		return nil
	}
	clear(list[:cap(list)])
	return list[:0]
}
