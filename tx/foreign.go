package tx

// A page in the file may be forged, and refer to pages that this process is yet to
// make: they would then hang in the tree twice, and be changed in place under
// both parents. What stands in the file is not younger than Snapshot.Written (S6), hence:
//
//	F1 Before references of a node in the mapping are taken over, or followed for
//	   a change, those whose stamp looks younger than Written, as it was when the
//	   transaction began, are looked up: they must lead to a page that is in the
//	   mapping, and only there, already.
//	F2 No page in memory is reached for a change by way of a node in the mapping:
//	   who puts a page into memory puts all above it there, too.
//
// (Stamps are compared modulo 2^32, so references to pages that are billions of
// transactions old are looked up, too. They pass.)

// foreign returns an error if a reference of n, at ref, breaks F1. Pages in memory
// were made of references that passed.
func (t *Tx) foreign(n node, p *Page, ref Ref) error {
	if p != nil || t.spilledPage(ref) {
		return nil
	}
	return n.youngRefs(t.base.Stamp(), func(to Ref, kind Kind) error {
		return t.foreignRef(to, kind, ref.ID)
	})
}

// foreignRef returns an error if the reference, which stands in page from, breaks F1.
func (t *Tx) foreignRef(to Ref, kind Kind, from PageID) error {
	if to.ID == 0 || !younger(to.Stamp, t.base.Stamp()) {
		return nil
	}
	if t.own.Overlay.Get(to.ID) == nil && to.Stamp != t.stamp {
		_, err := t.snap.Source.Verify(t.snap, to, kind)
		return err
	}
	return Corrupt(from, "refers to page %d, which was not written yet", to.ID)
}

// foreignKid does the same for the root of kid, whose record stands in node n with
// page p.
func (t *Tx) foreignKid(kid *Bucket, n node, p *Page) error {
	if p != nil || kid.header.Root.ID == 0 {
		return nil
	}
	at := PageID((cap(t.own.Data) - cap(n)) >> t.own.Shift)
	if t.spilledPage(Ref{at, t.stamp}) {
		return nil
	}
	return t.foreignRef(kid.header.Root, KindNode, kid.header.Root.ID)
}

// inMemory returns an error if the leaf at the end of the path, which is in memory,
// breaks F2.
func (t *Tx) inMemory(path []frame) error {
	for i := range path {
		if f := &path[i]; f.page == nil {
			return Corrupt(f.ref.ID, "refers to page %d, which was not written yet",
				path[i+1].ref.ID)
		}
	}
	return nil
}

// younger compares stamps of txids less than 2^31 apart.
func younger(a, b uint32) bool { return int32(a-b) > 0 }

// youngRefs calls fn for the references of n that look younger than stamp.
func (n node) youngRefs(stamp uint32, fn func(Ref, Kind) error) error {
	if n.branch() {
		return n.youngLinks(stamp, fn)
	}
	if n.fixed() {
		return nil
	}
	offsets := n[n.heads()+headSize*n.count() : n.arraysEnd()]
	for ; len(offsets) >= 2; offsets = offsets[2:] {
		at := u16(offsets)
		cell := u32(n[at:])
		kind := cell >> (16 + kindShift)
		if cell&longBit == 0 && kind == valueInline {
			continue
		}
		_, _, end := n.keyPart(at)
		if cell&longBit != 0 {
			if r := decodeLong(n[end:]).Ref; younger(r.Stamp, stamp) {
				if err := fn(r, KindExtent); err != nil {
					return err
				}
			}
			end += longRefSize
		}
		if kind == valueInline {
			continue
		}
		// An extent and a bucket header both begin with a Ref.
		r := Ref{PageID(u32(n[end:])), u32(n[end+4:])}
		if !younger(r.Stamp, stamp) {
			continue
		}
		to := KindExtent
		if kind == valueBucket {
			to = KindNode
		}
		if err := fn(r, to); err != nil {
			return err
		}
	}
	return nil
}

func (n node) youngLinks(stamp uint32, fn func(Ref, Kind) error) error {
	c := n.count()
	for i := 0; i <= c; i++ {
		if r := n.child(i); younger(r.Stamp, stamp) {
			if err := fn(r, KindNode); err != nil {
				return err
			}
		}
	}
	for i := range c {
		if _, _, long := n.separator(i); long != nil {
			if r := decodeLong(long).Ref; younger(r.Stamp, stamp) {
				if err := fn(r, KindExtent); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
