package tx

// This file reads node pages that no transaction leads to, for those who look for what
// is left of a damaged file.

// A Place tells where all bytes of a long key or value lie: behind the header of the
// extent at Ref.
type Place struct {
	Ref  Ref
	Size uint32 // bytes
}

// Pages returns how many pages of 1<<shift bytes the extent has.
func (p Place) Pages(shift uint8) uint32 { return extentPages(p.Size, shift) }

func placeFrom(b []byte) Place {
	r := decodeLong(b)
	return Place{r.Ref, r.size}
}

// A NodeView is a node whose structure was checked (N2). It reads the bytes that it was
// made of, and is valid as long as they are. The zero NodeView has no records.
type NodeView struct{ n node }

// ViewNode checks the body of a node page, as a transaction does on its first touch, and
// returns the view of it. The frame of the page must have been verified.
func ViewNode(body []byte) (NodeView, error) {
	n := node(body)
	if err := n.check(); err != nil {
		return NodeView{}, err
	}
	return NodeView{n}, nil
}

// Branch tells whether the node is a branch.
func (v NodeView) Branch() bool { return len(v.n) > 0 && v.n.branch() }

// Len returns how many records a leaf has, or how many children a branch.
func (v NodeView) Len() int {
	switch {
	case len(v.n) == 0:
		return 0
	case v.n.branch():
		return v.n.count() + 1
	}
	return v.n.count()
}

// Total returns how many records the node holds, or says that it has below it.
func (v NodeView) Total() uint64 {
	if len(v.n) == 0 {
		return 0
	}
	return v.n.total()
}

// Child returns child i of a branch, and how many records the branch says that it holds.
func (v NodeView) Child(i int) (Ref, uint64) { return v.n.child(i), v.n.below(i) }

// AppendSeparator appends the key that divides children i and i+1 of a branch to b. If
// place names an extent, that has the whole key, and only its first bytes are appended.
func (v NodeView) AppendSeparator(b []byte, i int) (key []byte, place Place) {
	if _, _, long := v.n.separator(i); long != nil {
		place = placeFrom(long)
	}
	return v.n.appendSep(b, i), place
}

// AppendKey does the same for the key of record i of a leaf.
func (v NodeView) AppendKey(b []byte, i int) (key []byte, place Place) {
	if r, long := v.n.longKey(i); long {
		place = Place{r.Ref, r.size}
	}
	return v.n.appendKey(b, i), place
}

// A ValueView is what a record of a leaf holds besides its key: one of an inline value,
// the place of a long one, or a bucket.
type ValueView struct {
	Bytes  []byte // the inline value; nil for the others
	Place  Place  // of a long value
	Long   bool
	Bucket BucketHeader
	Nested bool     // it is a bucket
	Inline NodeView // the leaf of a bucket that has no page of its own
}

// Value returns what record i of a leaf holds.
func (v NodeView) Value(i int) ValueView {
	kind, b := v.n.value(i)
	switch kind {
	case valueExtent:
		return ValueView{Place: placeFrom(b), Long: true}
	case valueBucket:
		h := DecodeBucketHeader(b)
		return ValueView{Bucket: h, Nested: true, Inline: NodeView{node(b[BucketHeaderSize:])}}
	}
	return ValueView{Bytes: b}
}

// Nodes calls fn for each node that v refers to: the children of a branch, or the roots
// of the buckets in a leaf.
func (v NodeView) Nodes(fn func(Ref)) {
	for i := range v.Len() {
		if v.Branch() {
			fn(v.n.child(i))
		} else if v.n[0] == flagFixed {
			return // it holds no buckets
		} else if kind, b := v.n.value(i); kind == valueBucket {
			if h := DecodeBucketHeader(b); h.Root.ID != 0 {
				fn(h.Root)
			}
		}
	}
}

// Extents calls fn for each extent that v refers to: those of long keys, of long values
// and of long separators.
func (v NodeView) Extents(fn func(Place)) {
	if len(v.n) == 0 || v.n.fixed() {
		return
	}
	if v.n.branch() {
		for i := range v.n.count() {
			if _, _, long := v.n.separator(i); long != nil {
				fn(placeFrom(long))
			}
		}
		return
	}
	for i := range v.n.count() {
		if r, long := v.n.longKey(i); long {
			fn(Place{r.Ref, r.size})
		}
		if kind, b := v.n.value(i); kind == valueExtent {
			fn(placeFrom(b))
		}
	}
}
