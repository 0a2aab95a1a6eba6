package mapleaf

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/mapleafdb/mapleaf/tx"
)

// What older pages tell of the names of orphans. A leaf that was replaced still lists
// buckets with the roots that they had. If an orphan is such a root, it has not changed
// since. If it is the root's next version, the two still have much in common: children,
// records, keys.
//
// Invariants:
//
//	A1 Names are given only if it is certain which orphans belong to the state, so that
//	   the parent of each was lost, and if there is one gap only that the name fits into.
//	A2 Of versions that have something in common, an orphan and a name belong together
//	   if neither has as much in common with any other, and if that is more than keys.
//	A3 If it is not certain, an orphan that is one leaf counts as old if at least half of
//	   its records stand in one bucket that was saved, keys and values alike.
//	A4 For what has changed, the names of one leaf count: the one that names most.

// A naming is what an older leaf says of the root of a bucket.
type naming struct {
	name   []byte
	header tx.BucketHeader
	leaf   tx.PageID
	birth  tx.TxID // of the leaf
	gap    *gap    // that the name fits into
}

// What two versions of a node have in common counts so much for each child or record, and
// for each key or separator.
const (
	kinSame = 4
	kinKey  = 1
)

// kinMax is how many orphans are compared, and how many names; namesMax, how many names
// are looked at for those that have not changed.
const (
	kinMax   = 4096
	namesMax = 1 << 16
)

// nameOrphans makes orphans buckets under the names that older leaves have for them. It
// reports whether there were any.
func (w *salvager) nameOrphans(all []*orphan) (done bool, err error) {
	if w.opts.CertainOnly || !w.certain {
		return false, nil
	}
	wanted := make(map[tx.Ref]*orphan, len(all))
	for _, o := range all {
		wanted[o.ref] = o
	}
	var changed []*naming
	for _, n := range w.namings() {
		o := wanted[n.header.Root]
		if o == nil {
			changed = append(changed, n)
			continue
		}
		delete(wanted, n.header.Root)
		if err := w.give(o, n, "named"); err != nil {
			return false, err
		}
		done = true
	}
	if done || len(all) > kinMax || len(changed) > kinMax {
		return done, w.ctx.Err()
	}
	for _, pair := range w.kin(all, changed) {
		err := w.give(pair.orphan, pair.naming, "named for what it shares with an older version")
		if err != nil {
			return false, err
		}
		done = true
	}
	return done, w.ctx.Err()
}

// give makes an orphan the bucket of that name.
func (w *salvager) give(o *orphan, n *naming, how string) error {
	at := n.gap.at
	kid := at.below(n.name)
	if err := w.out.create(kid, n.header.Sequence); err != nil {
		w.scrap.state[o.ref.ID] |= scrapDead // it is not tried again
		return w.refused(at, n.name, int(o.ref.ID), err)
	}
	n.gap.taken++
	w.guess(SalvageRange{
		Bucket: kid.shown(), Records: o.records, Counted: true, Page: int(o.ref.ID), Kind: "node",
		Reason: fmt.Sprintf("%s, by a page of transaction %d", how, n.birth),
	})
	w.push(kid, tx.BucketHeader{Root: o.ref, Count: o.records})
	return w.walkAll()
}

// namings returns what leaves that were not reached say of the roots of buckets, the
// youngest leaves first.
func (w *salvager) namings() []*naming {
	s := w.scrap
	var leaves []tx.PageID
	for i := range s.state {
		if id := tx.PageID(i); s.kind(id) == scrapLeaf && s.state[id]&scrapSeen == 0 {
			leaves = append(leaves, id)
		}
	}
	slices.SortStableFunc(leaves, func(a, b tx.PageID) int {
		return cmp.Compare(s.birth[b], s.birth[a])
	})
	var names []*naming
	buf := make([]byte, s.pageSize)
	work := 0
	for _, id := range leaves {
		v, err := s.node(id, buf)
		if err != nil {
			continue
		}
		for i := range v.Len() {
			r := v.Value(i)
			if !r.Nested || !s.leads(r.Bucket.Root) || w.visited(r.Bucket.Root.ID) {
				continue
			}
			name, ok := w.name(v, i)
			n := &naming{name: name, header: r.Bucket, leaf: id, birth: s.birth[id]}
			if work += len(w.gaps); work > matchWork || len(names) == namesMax {
				return names
			}
			if ok && w.place(n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// name returns the key of record i of a leaf, if it can be read.
func (w *salvager) name(v tx.NodeView, i int) ([]byte, bool) {
	key, place := v.AppendKey(nil, i)
	if place.Ref.ID == 0 {
		return key, true
	}
	whole, err := w.longKey(place)
	return bytes.Clone(whole), err == nil
}

// place finds the one gap that a name fits into, and reports whether there is one.
func (w *salvager) place(n *naming) bool {
	for _, g := range w.gaps {
		if g.counted && g.left() > 0 && g.within(n.name, n.name) {
			if n.gap != nil {
				return false
			}
			n.gap = g
		}
	}
	return n.gap != nil && len(n.name) > 0
}

// A kinship is an orphan, and the name of the version before.
type kinship struct {
	orphan *orphan
	naming *naming
	points int
}

// kin finds the orphans that are newer versions of roots that have names (A2, A4).
func (w *salvager) kin(all []*orphan, names []*naming) []kinship {
	index := make(map[uint64][]*orphan)
	for _, o := range all {
		w.traits(o.ref, func(trait uint64, _ int) {
			if n := len(index[trait]); n < kinMax/64 { // a trait of many tells nothing
				index[trait] = append(index[trait], o)
			}
		})
	}
	var best []kinship
	most := 0
	for len(names) > 0 {
		n := slices.IndexFunc(names, func(n *naming) bool { return n.leaf != names[0].leaf })
		if n < 0 {
			n = len(names)
		}
		pairs := make(map[*orphan]kinship)
		for _, n := range names[:n] {
			if k := w.nearest(n, index); k.points > pairs[k.orphan].points {
				pairs[k.orphan] = k
			} else if k.points > 0 && k.points == pairs[k.orphan].points {
				pairs[k.orphan] = kinship{points: k.points}
			}
		}
		sum := 0
		var found []kinship
		for _, k := range pairs {
			if k.orphan != nil {
				sum += k.points
				found = append(found, k)
			}
		}
		if sum > most {
			best, most = found, sum
		}
		names = names[n:]
	}
	slices.SortFunc(best, func(a, b kinship) int {
		return cmp.Compare(a.orphan.ref.ID, b.orphan.ref.ID)
	})
	return best
}

// nearest finds the orphan that has most in common with the root that n names. Without
// one, or if there are several, the points are 0.
func (w *salvager) nearest(n *naming, index map[uint64][]*orphan) (k kinship) {
	points := make(map[*orphan]int)
	same := make(map[*orphan]bool)
	w.traits(n.header.Root, func(trait uint64, weight int) {
		for _, o := range index[trait] {
			points[o] += weight
			same[o] = same[o] || weight == kinSame
		}
	})
	tie := false
	for o, p := range points {
		if p >= k.points {
			tie = p == k.points
			k = kinship{o, n, p}
		}
	}
	if tie || !same[k.orphan] {
		return kinship{}
	}
	return k
}

// traits calls fn for what there is in a node that its other versions can have, too.
func (w *salvager) traits(ref tx.Ref, fn func(trait uint64, weight int)) {
	s := w.scrap
	if !s.leads(ref) {
		return
	}
	v, err := s.node(ref.ID, make([]byte, s.pageSize))
	if err != nil {
		return
	}
	var key []byte
	for i := range v.Len() {
		if v.Branch() {
			child, _ := v.Child(i)
			fn(xxhash.Sum64String(fmt.Sprint(child)), kinSame)
			if i < v.Len()-1 {
				key, _ = v.AppendSeparator(key[:0], i)
				fn(xxhash.Sum64(key), kinKey)
			}
			continue
		}
		key, _ = v.AppendKey(key[:0], i)
		fn(xxhash.Sum64(key), kinKey)
		r := v.Value(i)
		whole := slices.Concat(key, []byte{0}, r.Bytes, r.Bucket.Append(nil))
		if r.Long {
			whole = fmt.Append(bytes.Clone(key), r.Place)
		}
		fn(xxhash.Sum64(whole), kinSame)
	}
}

// treesMax is how many buckets an orphan is compared with, the largest ones, and oldSample
// how many of its records at first.
const (
	treesMax  = 64
	oldSample = 4
)

// isOld reports whether an orphan, which is a leaf, seems to be an older version of one
// that was saved (A3).
func (w *salvager) isOld(o *orphan) (bool, error) {
	v, err := w.scrap.node(o.ref.ID, make([]byte, w.scrap.pageSize))
	if err != nil {
		return false, nil // it is no node any more
	}
	var sample []int
	for i := range v.Len() {
		_, place := v.AppendKey(nil, i)
		if r := v.Value(i); place.Ref.ID == 0 && !r.Nested && !r.Long {
			sample = append(sample, i)
		}
	}
	for _, t := range w.trees {
		few := sample
		if len(sample) > oldSample {
			few = []int{sample[0], sample[len(sample)/3], sample[len(sample)*2/3],
				sample[len(sample)-1]}
		}
		same, err := w.sameRecords(t.at, v, few)
		if err == nil && same >= len(few)/2 && same > 0 {
			same, err = w.sameRecords(t.at, v, sample)
		}
		if err != nil {
			return false, err
		}
		if same > 0 && same >= (v.Len()+1)/2 {
			return true, nil
		}
	}
	return false, nil
}

// sameRecords counts the records of a leaf that stand in the bucket at a spot, too.
func (w *salvager) sameRecords(at *spot, v tx.NodeView, which []int) (same int, err error) {
	b, err := w.out.bucket(at, 0)
	if err != nil {
		return 0, err
	}
	var key []byte
	for _, i := range which {
		key, _ = v.AppendKey(key[:0], i)
		if value := b.Get(key); value != nil && bytes.Equal(value, v.Value(i).Bytes) {
			same++
		}
	}
	return same, nil
}

// keepTree notes the bucket of a tree that was walked from the root, if it is one of the
// largest.
func (w *salvager) keepTree(t task) {
	at, _ := slices.BinarySearchFunc(w.trees, t, func(a, b task) int {
		return cmp.Compare(b.header.Count, a.header.Count)
	})
	if at < treesMax {
		w.trees = slices.Insert(w.trees, at, t)
		w.trees = w.trees[:min(len(w.trees), treesMax)]
	}
}
