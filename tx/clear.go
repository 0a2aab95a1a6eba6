package tx

// This file frees what a bucket that is deleted leads to, and what the records of a range
// that is deleted do. A forged tree may lead in a circle: no more nodes are freed by one
// call than the database has pages.

// clear frees all that the bucket holds and marks it, and all Buckets below it,
// as gone.
func (b *Bucket) clear() error {
	b.gone = true
	if b.edit != nil { // somebody has opened it
		b.edit.version++
	}
	if b.header.Root.ID == 0 {
		return nil
	}
	return b.clearTree(b.header.Root, 0)
}

// clearTree frees the tree at ref with its extents and nested buckets.
func (b *Bucket) clearTree(ref Ref, depth int) error {
	t := b.tx
	t.writing.cleared++
	if depth > maxDepth || t.writing.cleared > uint64(t.snap.HWM) {
		return Corrupt(ref.ID, "tree leads in a circle")
	}
	n, p, err := t.snap.load(ref)
	if err == nil {
		err = t.foreign(n, p, ref)
	}
	if err != nil {
		return err
	}
	c := n.count()
	if n.branch() {
		for i := 0; i <= c; i++ {
			if err := b.clearTree(n.child(i), depth+1); err != nil {
				return err
			}
			if i < c {
				t.freeSep(n, i)
			}
		}
	} else if err := b.clearRecords(n, 0, c); err != nil {
		return err
	}
	t.free(ref, 1)
	return nil
}

// clearRecords frees what records i to j of leaf n lead to.
func (b *Bucket) clearRecords(n node, i, j int) error {
	t := b.tx
	for ; i < j; i++ {
		r := n.record(i)
		switch r.kind {
		case valueExtent:
			t.freeLong(r.value)
		case valueBucket:
			if err := b.clearKid(n, i, r.value); err != nil {
				return err
			}
		}
		if r.long != nil {
			t.freeLong(r.long)
		}
	}
	return nil
}

// clearKid clears the nested bucket of record i of n, whose value part is v.
func (b *Bucket) clearKid(n node, i int, v []byte) error {
	t := b.tx
	name := n.appendKey(nil, i)
	if r, long := n.longKey(i); long {
		whole, err := t.snap.extent(r)
		if err != nil {
			return err
		}
		name = whole
	}
	kid := b.kid(name)
	if kid != nil {
		b.edit.kids.remove(kid)
	} else {
		kid = &Bucket{tx: t, header: DecodeBucketHeader(v), depth: b.depth + 1}
	}
	if kid.depth > maxNesting {
		return Corrupt(kid.header.Root.ID, "buckets are nested deeper than %d", maxNesting)
	}
	return kid.clear()
}
