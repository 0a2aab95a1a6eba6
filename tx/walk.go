package tx

// This file walks all that a transaction's roots reach, for backups and for
// statistics.

// A walker visits every node and extent below a bucket: a node before what it
// leads to, leaves in key order.
type walker struct {
	t      *Tx
	loaded uint64 // nodes so far; more than the database has pages is damage
	base   int    // levels above the tree that is walked: of the trees it is nested in
	node   func(b *Bucket, ref Ref, n node, depth int) error
	extent func(r longRef) error
	bucket func(kid *Bucket, v []byte) error // before a nested bucket; may be nil
}

// walk visits the tree of b and the buckets below it.
func (w *walker) walk(b *Bucket) error {
	if b.header.Root.ID != 0 {
		return w.tree(b, b.header.Root, w.base+1)
	}
	if n := b.inline.bytes(w.t.snap); len(n) > 0 {
		return w.node(b, Ref{}, n, w.base+1)
	}
	return nil
}

func (w *walker) tree(b *Bucket, ref Ref, depth int) error {
	w.loaded++
	if depth-w.base > maxDepth || w.loaded > uint64(w.t.snap.HWM) {
		return Corrupt(ref.ID, "tree leads in a circle")
	}
	n, p, err := w.t.snap.load(ref)
	if err != nil {
		return err
	}
	if err := w.node(b, ref, n, depth); err != nil {
		return err
	}
	c := n.count()
	if !n.branch() {
		for i := 0; i < c; i++ {
			if err := w.record(b, n, p, i, depth); err != nil {
				return err
			}
		}
		return nil
	}
	for i := 0; i <= c; i++ {
		if i > 0 {
			if _, _, long := n.separator(i - 1); long != nil {
				if err := w.extent(decodeLong(long)); err != nil {
					return err
				}
			}
		}
		if err := w.tree(b, n.child(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// record visits what record i of leaf n, which is at the given depth, leads to.
func (w *walker) record(b *Bucket, n node, p *Page, i, depth int) error {
	if r, long := n.longKey(i); long {
		if err := w.extent(r); err != nil {
			return err
		}
	}
	switch kind, v := n.value(i); kind {
	case valueExtent:
		return w.extent(decodeLong(v))
	case valueBucket:
		kid, err := b.peek(n, p, i)
		if err != nil {
			return err
		}
		if w.bucket != nil {
			if err := w.bucket(kid, v); err != nil {
				return err
			}
		}
		outer := w.base
		w.base = depth
		err = w.walk(kid)
		w.base = outer
		return err
	}
	return nil
}

// peek returns the bucket of record i of n, without opening it for the user.
func (b *Bucket) peek(n node, p *Page, i int) (*Bucket, error) {
	t := b.tx
	if b.edit != nil && !b.edit.kids.empty() {
		name, err := t.snap.leafKey(n, i)
		if err != nil {
			return nil, err
		}
		if kid := b.kid(name); kid != nil {
			return kid, nil
		}
	}
	_, from, to := n.valueAt(i)
	kid := &Bucket{tx: t, header: DecodeBucketHeader(n[from:to]), depth: b.depth + 1}
	if from += BucketHeaderSize; from < to {
		leaf := t.snap.placeOf(n, p, from, to)
		kid.inline = &leaf
	}
	if kid.depth > maxNesting {
		return nil, Corrupt(kid.header.Root.ID, "buckets are nested deeper than %d", maxNesting)
	}
	return kid, nil
}

// leafKey returns the whole key of record i of leaf n.
func (s *Snapshot) leafKey(n node, i int) ([]byte, error) {
	if r, long := n.longKey(i); long {
		return s.extent(r)
	}
	return n.appendKey(nil, i), nil
}

// Reach calls visit for each extent that the roots of t reach, parents first.
// It returns the first error that visit returns or that a page has.
func Reach(t *Tx, visit func(first PageID, count uint32, kind Kind) error) error {
	w := walker{
		t: t,
		node: func(_ *Bucket, ref Ref, _ node, _ int) error {
			if ref.ID == 0 {
				return nil
			}
			return visit(ref.ID, 1, KindNode)
		},
		extent: func(r longRef) error {
			if _, err := t.snap.extent(r); err != nil {
				return err
			}
			return visit(r.ID, extentPages(r.size, t.snap.Shift), KindExtent)
		},
	}
	return w.walk(&t.root)
}

// BucketStats tells what a bucket, with all buckets in it, uses.
type BucketStats struct {
	BranchPageN     int // branch pages
	BranchOverflowN int // pages of separators too long for their branch
	LeafPageN       int // leaf pages
	LeafOverflowN   int // pages of long keys and values

	KeyN  int // keys, those of nested buckets and their own names among them
	Depth int // levels of the tree, with those of the deepest one in it

	BranchAlloc int // bytes of branch pages
	BranchInuse int // bytes of them that are used
	LeafAlloc   int // bytes of leaf pages and of long keys and values
	LeafInuse   int // bytes of them that are used

	BucketN           int // buckets, this one among them
	InlineBucketN     int // of these, inlined in their parent's page
	InlineBucketInuse int // bytes that inlined buckets use, also part of LeafInuse
}

// Add adds the figures of other; Depth becomes the greater one.
func (s *BucketStats) Add(other BucketStats) {
	s.BranchPageN += other.BranchPageN
	s.BranchOverflowN += other.BranchOverflowN
	s.LeafPageN += other.LeafPageN
	s.LeafOverflowN += other.LeafOverflowN
	s.KeyN += other.KeyN
	s.Depth = max(s.Depth, other.Depth)
	s.BranchAlloc += other.BranchAlloc
	s.BranchInuse += other.BranchInuse
	s.LeafAlloc += other.LeafAlloc
	s.LeafInuse += other.LeafInuse
	s.BucketN += other.BucketN
	s.InlineBucketN += other.InlineBucketN
	s.InlineBucketInuse += other.InlineBucketInuse
}

// Stats walks the bucket, and all buckets in it, and returns what they use. It
// reads every page of them. After damage the figures are partial; see Tx.Err.
func (b *Bucket) Stats() BucketStats {
	t := b.tx
	if !b.readable() {
		return BucketStats{}
	}
	old := armFaults()
	defer t.guard(old)
	s := BucketStats{BucketN: 1}
	page := t.snap.PageSize()
	s.inlined(b)
	w := walker{t: t}
	w.node = func(b *Bucket, ref Ref, n node, depth int) error {
		s.Depth = max(s.Depth, depth)
		if !n.branch() {
			s.KeyN += n.count()
		}
		switch {
		case ref.ID == 0: // counted by its parent's page
		case n.branch():
			s.BranchPageN++
			s.BranchAlloc += page
			s.BranchInuse += HeaderSize + n.used()
		default:
			s.LeafPageN++
			s.LeafAlloc += page
			s.LeafInuse += HeaderSize + n.used()
		}
		return nil
	}
	w.extent = func(r longRef) error {
		count := int(extentPages(r.size, t.snap.Shift))
		s.LeafOverflowN += count
		s.LeafAlloc += count * page
		s.LeafInuse += HeaderSize + int(r.size)
		return nil
	}
	w.bucket = func(kid *Bucket, _ []byte) error {
		s.BucketN++
		s.inlined(kid)
		return nil
	}
	t.fail(w.walk(b))
	return s
}

// inlined counts b if it has no page of its own.
func (s *BucketStats) inlined(b *Bucket) {
	if b.depth > 0 && b.header.Root.ID == 0 {
		s.InlineBucketN++
		s.InlineBucketInuse += BucketHeaderSize + len(b.inline.bytes(b.tx.snap))
	}
}

// BucketStructure is a bucket with the buckets in it, as Inspect returns it.
type BucketStructure struct {
	Name     string            `json:"name"`              // of the bucket
	KeyN     int               `json:"keyN"`              // keys with values in it
	Children []BucketStructure `json:"buckets,omitempty"` // buckets in it
}

// Inspect returns the tree of buckets below b, which is itself named "root".
func (b *Bucket) Inspect() BucketStructure {
	return b.inspect("root", make(map[PageID]struct{}))
}

// inspect is Inspect that knows which buckets were seen, by their roots: who finds one
// again is led in a circle.
func (b *Bucket) inspect(name string, seen map[PageID]struct{}) BucketStructure {
	s := BucketStructure{Name: name}
	if root := b.header.Root.ID; root != 0 {
		if _, ok := seen[root]; ok {
			b.tx.fail(Corrupt(root, "is the root of two buckets"))
			return s
		}
		seen[root] = struct{}{}
	}
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if c.kind != valueBucket {
			s.KeyN++
			continue
		}
		if kid := b.Bucket(k); kid != nil {
			s.Children = append(s.Children, kid.inspect(string(k), seen))
		}
	}
	return s
}

// PageInfo describes a page, as Tx.Page returns it.
type PageInfo struct {
	ID            int
	Type          string // "meta", "branch", "leaf", "extent", "freelist", "manifest", "free"
	Count         int    // records of a leaf, children of a branch, entries else
	OverflowCount int    // pages of the extent behind the first
}

// DescribeNode returns whether the body of a node page is a branch's or a
// leaf's, and how many elements it has, for Tx.Page. The page's frame must have
// been verified; a body that is no node is named so.
func DescribeNode(body []byte) (kind string, count int) {
	n := node(body)
	if n.check() != nil {
		return "damaged", 0
	}
	if n.branch() {
		return "branch", n.count() + 1
	}
	return "leaf", n.count()
}
