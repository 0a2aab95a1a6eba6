package mapleaf

import (
	"cmp"
	"slices"

	"github.com/mapleafdb/mapleaf/tx"
)

// Roots that no meta leads to, found among the pages of a file.
//
// Invariants:
//
//	R1 A root counts if it leads to most nodes that the commit has written which wrote it,
//	   and if the names in it are, for the most part, those in the root that the meta
//	   leads to, or else in the one that leads to most nodes. So a bucket of buckets that
//	   has lost its parent is not taken for a state.
//	R2 It counts only if all that it leads to is there, unless the commit came as far as
//	   the free-space chain. So what a transaction has spilled that was never committed
//	   is not taken for a state.

// A foundRoot is the root of a state that was found without a meta.
type foundRoot struct {
	root  tx.BucketHeader
	txid  tx.TxID // of the state
	gone  uint64  // references below it that lead nowhere
	nodes uint64  // that it leads to
	names names
}

// names are those of the buckets in the first leaf of a root.
type names map[string]bool

// like reports whether two roots seem to be of one database.
func (n names) like(other names) bool {
	same := 0
	for name := range n {
		if other[name] {
			same++
		}
	}
	return same > 0 && 2*same >= min(len(n), len(other))
}

// namesOf returns the names in the root at a good node, as far as the node has them.
func (s *scrap) namesOf(id tx.PageID, buf []byte) names {
	all := make(names)
	if v, _, ok := s.firstLeaf(id, buf); ok {
		for i := range v.Len() {
			key, _ := v.AppendKey(nil, i)
			all[string(key)] = true
		}
	}
	return all
}

// rootsTried is how many roots are looked at closely, and how many commits.
const rootsTried = 32

// findRoots looks for the roots of states after a txid, the youngest first. They are like
// the root at before, if that is a good node.
func (s *scrap) findRoots(after tx.TxID, before tx.Ref) (found []foundRoot) {
	s.markBelow(func(tx.PageID) bool { return true })
	ends := s.commits(after)
	tried := 0
	buf := make([]byte, s.pageSize)
	for i, end := range ends[:len(ends)-1] {
		c := commit{after: ends[i+1], end: end}
		written := c.look(s, buf)
		var best reached
		for _, id := range c.roots[:min(len(c.roots), rootsTried-tried)] {
			tried++
			if r := s.reach(id, &c, buf); r.own > best.own && (r.gone == 0 || i > 0) {
				best = r
			}
		}
		if best.own <= written/2 {
			continue
		}
		r := foundRoot{txid: end, gone: best.gone, nodes: best.nodes}
		if i == 0 { // there is no link, which a commit makes last
			r.txid = best.youngest
		}
		v, err := s.node(best.root, buf)
		if err != nil {
			continue
		}
		r.root = tx.BucketHeader{
			Root: tx.Ref{ID: best.root, Stamp: s.birth[best.root].Stamp()}, Count: v.Total(),
		}
		r.names = s.namesOf(best.root, buf)
		found = append(found, r)
	}
	var real names
	if s.leads(before) {
		real = s.namesOf(before.ID, buf)
	}
	if most := uint64(0); len(real) == 0 {
		for _, r := range found {
			if r.nodes > most {
				most, real = r.nodes, r.names
			}
		}
	}
	return slices.DeleteFunc(found, func(r foundRoot) bool { return !r.names.like(real) })
}

// commits returns the last transactions of the commits after a txid that have left a link
// in the free-space chain, the youngest first, between a txid above all and that one.
func (s *scrap) commits(after tx.TxID) []tx.TxID {
	var ends []tx.TxID
	for i, birth := range s.birth {
		if s.kind(tx.PageID(i)) != scrapChain || birth <= after {
			continue
		}
		at, found := slices.BinarySearchFunc(ends, birth, func(a, b tx.TxID) int {
			return cmp.Compare(b, a)
		})
		if !found && at < rootsTried {
			ends = slices.Insert(ends, at, birth)
			ends = ends[:min(len(ends), rootsTried)]
		}
	}
	return append(append([]tx.TxID{^tx.TxID(0)}, ends...), after)
}

// A commit is what one has written, as far as its births tell.
type commit struct {
	after, end tx.TxID     // births are above the one, and up to the other
	roots      []tx.PageID // that could be that of the root bucket
}

// wrote reports whether the commit has written a page of that birth.
func (c *commit) wrote(birth tx.TxID) bool { return birth > c.after && birth <= c.end }

// look looks for the pages of the commit, and returns how many nodes it has written.
func (c *commit) look(s *scrap, buf []byte) (nodes uint64) {
	for i, birth := range s.birth {
		id := tx.PageID(i)
		if !c.wrote(birth) || !s.isNode(id) {
			continue
		}
		nodes++
		if s.state[id]&scrapBelow == 0 && len(c.roots) < rootsTried && s.onlyBuckets(id, buf) {
			c.roots = append(c.roots, id)
		}
	}
	return nodes
}

// markBelow notes which good nodes another one refers to, of those that count tells to
// count.
func (s *scrap) markBelow(count func(tx.PageID) bool) {
	buf := make([]byte, s.pageSize)
	for i := range s.state {
		s.state[i] &^= scrapBelow
	}
	for i := range s.state {
		id := tx.PageID(i)
		if !s.isNode(id) || !count(id) {
			continue
		}
		v, err := s.node(id, buf)
		if err != nil {
			continue
		}
		v.Nodes(func(ref tx.Ref) {
			if ref.ID != id && s.leads(ref) {
				s.state[ref.ID] |= scrapBelow
			}
		})
	}
}

// firstLeaf reads the first leaf that can be reached below the good node id into buf, and
// returns how many levels there are down to it.
func (s *scrap) firstLeaf(id tx.PageID, buf []byte) (v tx.NodeView, levels int, ok bool) {
	for levels = 1; levels <= salvageDepth; levels++ {
		v, err := s.node(id, buf)
		if err != nil {
			return v, 0, false
		}
		if !v.Branch() {
			return v, levels, true
		}
		found := false
		for i := range v.Len() {
			ref, _ := v.Child(i)
			if found = s.leads(ref) && ref.ID != id; found {
				id = ref.ID
				break
			}
		}
		if !found {
			return v, 0, false
		}
	}
	return v, 0, false
}

// onlyBuckets reports whether the records below the good node id seem to be buckets.
func (s *scrap) onlyBuckets(id tx.PageID, buf []byte) bool {
	v, _, ok := s.firstLeaf(id, buf)
	if !ok {
		return false
	}
	for i := range v.Len() {
		if !v.Value(i).Nested {
			return false
		}
	}
	return true
}

// reached is what can be reached from a root.
type reached struct {
	root     tx.PageID
	nodes    uint64
	own      uint64  // of these, those that a commit has written,
	youngest tx.TxID // and the birth of the youngest
	gone     uint64  // references that lead nowhere
}

// reach looks at what can be reached from the good node id, and how much of it the commit
// has written.
func (s *scrap) reach(id tx.PageID, c *commit, buf []byte) reached {
	seen := make([]uint64, (len(s.state)+63)/64)
	seen[id/64] |= 1 << (id % 64)
	stack := []tx.PageID{id}
	r := reached{root: id}
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		v, err := s.node(id, buf)
		if err != nil {
			r.gone++
			continue
		}
		r.nodes++
		if c.wrote(s.birth[id]) {
			r.own++
			r.youngest = max(r.youngest, s.birth[id])
		}
		v.Nodes(func(ref tx.Ref) {
			if !s.leads(ref) {
				r.gone++
			} else if !bitAt(seen, uint64(ref.ID)) {
				seen[ref.ID/64] |= 1 << (ref.ID % 64)
				stack = append(stack, ref.ID)
			}
		})
		v.Extents(func(p tx.Place) {
			if s.kind(p.Ref.ID) != scrapExtent || s.birth[p.Ref.ID].Stamp() != p.Ref.Stamp {
				r.gone++
			}
		})
	}
	return r
}
