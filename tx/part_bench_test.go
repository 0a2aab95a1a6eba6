package tx

import (
	"math/rand/v2"
	"testing"
)

// The benchmarks of what a get and a put are made of, on the nodes of benchStore: all
// in the nearest caches, except where a benchmark walks over many pages.

// benchNodes returns the leaf that holds a key in the middle, and its parent.
func benchNodes(b *testing.B) (leaf, branch node, key []byte) {
	b.Helper()
	bucket := benchBucket()
	key = make([]byte, 16)
	key[0] = 0x80
	key, _ = bucket.Cursor().Seek(key)
	n, _, err := bucket.rootNode()
	for err == nil && n.branch() {
		branch = n
		var i int
		if i, err = bucket.tx.snap.findBranch(n, key); err == nil {
			n, _, err = bucket.tx.snap.childFor(n, i, key)
		}
	}
	if err != nil || branch == nil {
		b.Fatalf("no way to key %x: %v", key, err)
	}
	return n, branch, key
}

// leafKeys returns all keys of a leaf.
func leafKeys(n node) (keys [][]byte) {
	for i := range n.count() {
		keys = append(keys, n.appendKey(nil, i))
	}
	return keys
}

// BenchmarkNodeSearch looks for a key in one node.
func BenchmarkNodeSearch(b *testing.B) {
	leaf, branch, _ := benchNodes(b)
	snap := benchBucket().tx.snap
	b.Run("leaf", func(b *testing.B) {
		keys := leafKeys(leaf)
		r := rand.New(rand.NewPCG(1, 1))
		b.ReportAllocs()
		for b.Loop() {
			if _, found, err := snap.findLeaf(leaf, keys[r.IntN(len(keys))]); !found {
				b.Fatal("a record is missing:", err)
			}
		}
	})
	b.Run("branch", func(b *testing.B) {
		var keys [][]byte
		for i := range branch.count() {
			keys = append(keys, branch.appendSep(nil, i))
		}
		r := rand.New(rand.NewPCG(1, 1))
		b.ReportAllocs()
		for b.Loop() {
			j := r.IntN(len(keys))
			if i, err := snap.findBranch(branch, keys[j]); i != j+1 {
				b.Fatalf("separator %d leads to child %d: %v", j, i, err)
			}
		}
	})
}

// BenchmarkNodeInsert puts records into a leaf where they fit: every other one of a
// leaf between the others, and again into a copy of these.
func BenchmarkNodeInsert(b *testing.B) {
	leaf, _, _ := benchNodes(b)
	t := benchStore().begin()
	defer t.Rollback()
	t.resetGather()
	all := t.gatherLeaf(leaf)
	var half []item
	for i := 0; i < len(all); i += 2 {
		half = append(half, all[i])
	}
	// The ends stay, and with them the prefix.
	half[len(half)-1] = all[len(all)-1]
	template, n := make(node, len(leaf)), make(node, len(leaf))
	template.buildLeaf(half)
	last := (len(all) - 1) / 2 * 2
	b.ReportAllocs()
	for i := last; b.Loop(); i += 2 {
		if i >= last {
			copy(n, template)
			i = 1
		}
		if !n.insertLeaf(i, &all[i], true) {
			b.Fatal("a record does not fit")
		}
	}
	if err := n.check(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkNodeSplit divides a full node: it takes it apart, chooses the cut and the
// separator, and builds both halves. What it costs to allocate the new page is not in it.
func BenchmarkNodeSplit(b *testing.B) {
	leaf, branch, _ := benchNodes(b)
	t := benchStore().begin()
	defer t.Rollback()
	left, right := make(node, len(leaf)), make(node, len(leaf))
	b.Run("leaf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.resetGather()
			items := t.gatherLeaf(leaf)
			cut := splitLeaf(items, len(leaf), 0)
			if cut == 0 {
				b.Fatal("the leaf cannot be divided")
			}
			if _, err := t.separate(&items[cut-1], &items[cut]); err != nil {
				b.Fatal(err)
			}
			left.buildLeaf(items[:cut])
			right.buildLeaf(items[cut:])
		}
	})
	b.Run("branch", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.resetGather()
			links := t.gatherBranch(branch, nil)
			cut := splitBranch(links, len(branch), 0)
			if cut == 0 {
				b.Fatal("the branch cannot be divided")
			}
			left.buildBranch(links[:cut])
			right.buildBranch(links[cut:])
		}
	})
}

// BenchmarkNodeCheck checks the structure of a node, as its first touch does behind the
// checksum; see also BenchmarkPageVerify in the root.
func BenchmarkNodeCheck(b *testing.B) {
	leaf, branch, _ := benchNodes(b)
	for _, c := range []struct {
		name string
		n    node
	}{{"leaf", leaf}, {"branch", branch}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.n.check(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSnapshotLoad looks random pages up in a snapshot: in the mapping, with no
// other pages or one in a hundred in memory, and in memory with all the others. It does
// not read the pages.
func BenchmarkSnapshotLoad(b *testing.B) {
	state := benchStore().state
	var refs []Ref
	for id := range state.Nodes {
		if stamp := state.Nodes[id].Load(); stamp != 0 {
			refs = append(refs, Ref{PageID(id), stamp})
		}
	}
	overlay := func(step int) (o Overlay) {
		for i := 0; i < len(refs); i += step {
			at := int(refs[i].ID) << state.Shift
			o.Set(&Page{
				Buf: state.Data[at : at+1<<state.Shift], ID: refs[i].ID, Stamp: refs[i].Stamp,
				Kind: KindNode,
			}, 1)
		}
		return o
	}
	for _, c := range []struct {
		name string
		step int // of the pages in memory
	}{{"mapping", len(refs) + 1}, {"mapping beside resident", 100}, {"resident", 1}} {
		snap := state
		if c.step <= len(refs) {
			snap.Overlay = overlay(c.step)
		}
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				i := r.IntN(len(refs))
				if c.step == 100 && i%100 == 0 {
					i++
				}
				n, p, err := snap.load(refs[i])
				if err != nil || len(n) == 0 || (p != nil) != (c.step == 1) {
					b.Fatalf("page %v: %v, in memory: %v", refs[i], err, p != nil)
				}
			}
		})
	}
}

// BenchmarkOverlaySet puts a page into the overlay of a new transaction over 10,000
// resident ones, which copies the nodes on its way.
func BenchmarkOverlaySet(b *testing.B) {
	const pages = 10_000
	var base Overlay
	for id := range PageID(pages) {
		base.Set(&Page{ID: id}, 1)
	}
	p := &Page{}
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for owner := uint64(2); b.Loop(); owner++ {
		o := base
		p.ID = PageID(r.IntN(pages))
		o.Set(p, owner)
	}
}
