package tx

// A write transaction knows its own pages by their stamp (T1). A forged file may
// refer to a stamp that is yet to come, and so to pages that the transaction will
// allocate: they would then hang in the tree twice. A sound page refers to nothing
// younger than itself, hence:
//
//	F1 Before references of a node that was not born in the running transaction
//	   are taken over or followed for a change, none of them may carry its stamp.
//
// (A page that was born exactly 2^32 transactions ago carries it too. Such a
// one is refused this once, and not in the next transaction.)

// foreign returns an error if a reference of n, at ref, breaks F1.
func (t *Tx) foreign(n node, p *Page, ref Ref) error {
	if p != nil && p.Stamp == t.stamp || !n.refersTo(t.stamp) {
		return nil
	}
	return Corrupt(ref.ID, "refers to a page of transaction %d, which has yet to write it",
		t.own.TxID)
}

// foreignRoot does the same for the root of b, unless this transaction set it. (What
// has no edit state is a record of a node that foreign has passed.)
func (b *Bucket) foreignRoot() error {
	t, root := b.tx, b.header.Root
	if b.edit == nil || b.edit.own || root.ID == 0 || root.Stamp != t.stamp {
		return nil
	}
	return Corrupt(root.ID, "is the root of a bucket, and transaction %d has yet to write it",
		t.own.TxID)
}

// refersTo tells whether n holds a reference with the given stamp.
func (n node) refersTo(stamp uint32) bool {
	if n.branch() {
		return n.branchRefersTo(stamp)
	}
	if n.fixed() {
		return false
	}
	offsets := n[n.heads()+headSize*n.count() : n.arraysEnd()]
	for ; len(offsets) >= 2; offsets = offsets[2:] {
		cell := u32(n[u16(offsets):])
		if cell&longBit == 0 && cell>>(16+kindShift) == valueInline {
			continue
		}
		at := u16(offsets)
		_, _, end := n.keyPart(at)
		if cell&longBit != 0 {
			if decodeLong(n[end:]).Stamp == stamp {
				return true
			}
			end += longRefSize
		}
		if cell>>(16+kindShift) != valueInline && u32(n[end+4:]) == stamp {
			return true // extent and bucket header both begin with a Ref
		}
	}
	return false
}

func (n node) branchRefersTo(stamp uint32) bool {
	c := n.count()
	for i := 0; i <= c; i++ {
		if n.child(i).Stamp == stamp {
			return true
		}
	}
	for i := range c {
		if _, _, long := n.separator(i); long != nil && decodeLong(long).Stamp == stamp {
			return true
		}
	}
	return false
}
