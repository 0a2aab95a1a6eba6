package tx

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
)

// This file puts many records, and makes it worth while to have them in order. As long as each
// key is above the one before, which was the last of the bucket, a record is put at the
// end of the leaf where that is, and only counted above; the rest of what Put does for
// one record is done for one leaf. Leaves that are full are written while the next
// ones are filled, once there are many (flight.go).
//
//	Z1 Between two records the tree is what Put would have left, but for the order of
//	   cells in the last leaf: the sequence may read and change whatever it likes.
//	Z2 What the loader knows holds as long as the bucket has the version that it noted.
//	   Every change of the tree gives it another.

// Load puts all records of the sequence, as if by Put for each in turn: so it stops at the
// first error, which it returns, and the records before that stay. Key and value are
// copied before the next record is asked for. Records may come in any order, but those in
// ascending order, behind all that the bucket has, are put more than twice as fast as by Put.
// Of many such records most are written to the file while the next ones are put, so that
// they take hardly any memory; the transaction is as atomic as any other.
//
// The sequence may read the transaction and change it. If it ends the transaction, Load
// returns ErrTxClosed.
func (b *Bucket) Load(records iter.Seq2[[]byte, []byte]) (err error) {
	if err := b.usable(); err != nil || records == nil {
		return err
	}
	t := b.tx
	l := loader{b: b, t: t}
	if !t.managed {
		defer t.guardLoad(armFaults(), &l.busy, &err)
	}
	defer l.detach()
	for key, value := range records {
		l.busy = true
		if err := l.put(key, value); err != nil {
			return err
		}
		l.busy = false
	}
	return t.usable()
}

// guardLoad is guardErr for Load; busy tells that it is not the sequence that runs, whose
// panics pass through.
func (t *Tx) guardLoad(old bool, busy *bool, errp *error) {
	disarmFaults(old)
	if r := recover(); r != nil {
		if !*busy {
			panic(r)
		}
		t.caught(r)
		*errp = t.Err()
	}
}

// How many bytes of full leaves are written at a time, and how many there are when it
// begins; or parts of what the transaction may have in memory, if that is less. What is
// smaller is worth a place in the log.
const (
	loadBytes = 1 << 20
	loadBegin = 2 << 20
	loadPart  = 4
)

// A loader is one call of Load.
type loader struct {
	b    *Bucket
	t    *Tx
	busy bool // its own code runs

	// The last leaf, as long as the bucket has that version.
	version uint64
	page    *Page // nil = not known
	node    node
	filling filling
	counts  []*[8]byte // of this leaf's records, in the branches above
	path    uint64     // Tx.appendVersion as it was when the leaf became known
	last    []byte     // the last key, unless
	pushed  bool       // it came later, and is in the leaf

	full   []*Page // leaves before it, to be written
	begun  bool    // some are already
	limits [3]int  // of a key that is put at once, a value, and both
	small  int     // up to which both are within these
}

// ready tells whether the last leaf is known.
func (l *loader) ready() bool {
	return !l.t.closed.Load() && l.page != nil && l.version == l.b.edit.version &&
		!l.b.gone && l.t.failed.Load() == nil
}

// put puts one record.
func (l *loader) put(key, value []byte) error {
	switch {
	case !l.ready():
		return l.first(key, value)
	case l.append(key, value, false):
		return nil
	case bytes.Compare(key, l.lastKey()) <= 0:
		l.detach()
		return l.first(key, value)
	case l.append(key, value, true):
		return nil
	}
	return l.next(key, value)
}

// lastKey returns the last key of the bucket.
func (l *loader) lastKey() []byte {
	if l.pushed {
		l.last = l.node.appendKey(l.last[:0], l.node.count()-1)
		l.pushed = false
	}
	return l.last
}

// append puts a record into the last leaf if there it fits in place, and if its key is above
// all others: if above says so, or if that is seen at once. It tells if it did.
func (l *loader) append(key, value []byte, above bool) bool {
	if len(key)+len(value) > l.small && !l.fits(key, value) {
		return false
	}
	if l.filling.top > 0 && !l.page.lent {
		if !l.filling.push(key, value, above) {
			return false
		}
	} else {
		it := item{key: key, value: value}
		if !above || !l.node.insertLeaf(l.node.count(), &it, false) {
			return false
		}
		l.page.tidy = l.page.tidy && l.node.fixed()
	}
	for _, n := range l.counts {
		setU64(n[:], u64(n[:])+1)
	}
	b := l.b
	b.header.Count++
	l.version++
	l.pushed = true
	edit := b.edit
	edit.dirty = true
	edit.lastIdx++
	edit.version = l.version
	if l.t.ops.limit > 0 {
		b.notePut(key, value)
	}
	return true
}

// fits tells whether key and value stay in the leaf.
func (l *loader) fits(key, value []byte) bool {
	return len(key) <= l.limits[0] && len(value) <= l.limits[1] &&
		len(key)+len(value) <= l.limits[2]
}

// first is Put where the last leaf is not known, or the key is not above all others.
func (l *loader) first(key, value []byte) error {
	l.page = nil
	if err := l.b.Put(key, value); err != nil {
		return err
	}
	return l.attach(key, false)
}

// next is Put for a key above all others that does not fit into the last leaf in place.
func (l *loader) next(key, value []byte) error {
	t, before, last := l.t, l.page, l.lastKey()
	if err := checkKey(key); err != nil {
		return err
	}
	if uint64(len(value)) > MaxValueSize {
		return ErrValueTooLarge
	}
	l.detach()
	id, idx := l.b.edit.lastPage, l.b.edit.lastIdx
	if err := t.makeRoom(); err != nil {
		return err
	}
	l.b.appendedTo(id, idx) // also where it has spilled that page
	done, err := l.extend(before, last, key, value)
	if err == nil && !done {
		err = l.insert(key, value)
	}
	if err == nil {
		err = l.attach(key, true)
	}
	if err != nil {
		return err
	}
	if l.page == before || !l.ready() {
		return nil
	}
	l.full = append(l.full, before)
	return l.writeFull(key)
}

// insert puts a record where it belongs.
func (l *loader) insert(key, value []byte) error {
	b := l.b
	found, err := b.findPath(key)
	if err != nil {
		b.tx.fail(err)
		return err
	}
	if err := b.set(key, value, valueInline, found); err != nil {
		return err
	}
	b.notePut(key, value)
	return nil
}

// extend begins a new leaf with the record behind before, which ends with last and is full,
// as splitEdge does by more general means. It does nothing, and reports false, where these
// are needed.
func (l *loader) extend(before *Page, last, key, value []byte) (done bool, err error) {
	b, t := l.b, l.t
	level := len(t.path) - 1
	if t.appending != b || t.appendVersion != b.version() || level == 0 ||
		level != len(l.counts) || !l.fits(key, value) {
		return false, nil
	}
	n, it := node(before.Body()), item{key: key, value: value}
	fixed := n.fullFixed(&it)
	if !fixed && !n.full(&it) {
		return false, nil
	}
	right, err := t.newNode()
	if err != nil {
		t.fail(err)
		return false, err
	}
	if to := node(right.Body()); fixed {
		to.clear(0)
		to.writeLeaf([]item{it}, u16(n[4:]), flagFixed)
	} else {
		to.beginLeaf(&it, n, &item{key: last})
	}
	right.tidy = true
	t.stats.IncSplit(1)
	b.adjust(1)
	b.appendedTo(right.ID, 0)
	b.touch()
	sep := item{key: key[:shortestSeparator(last, key)]}
	if err := b.link(level, &sep, right, uint64(n.count()), 1, true); err != nil {
		t.fail(err)
		return false, err
	}
	b.notePut(key, value)
	// Where the branch above was not split, the way to the new leaf is known.
	if f := &t.path[level-1]; f.idx+1 == f.node.count() && f.node.child(f.idx+1) == right.Ref() {
		f.idx++
		t.path[level] = frame{node: right.Body(), page: right, ref: right.Ref()}
		b.appended()
	}
	return true, nil
}

// detach lets go of the last leaf, in the form in which everybody else knows it.
func (l *loader) detach() {
	t := l.t
	if !l.ready() {
		l.page = nil
		return
	}
	if l.filling.top > 0 {
		if l.page.lent { // G2
			l.page.tidy = false
		} else {
			l.filling.gather()
		}
	}
	if t.appending == l.b && t.appendVersion == l.path {
		t.appendVersion = l.version // nobody has been on another path
	}
	l.page = nil
}

// attach makes the last leaf known, if key, which was just put, is the last one. Edge tells
// that it is.
func (l *loader) attach(key []byte, edge bool) error {
	b, t := l.b, l.t
	if edge && !(t.appending == b && t.appendVersion == b.version()) {
		found, err := b.findPath(key)
		if err != nil {
			t.fail(err)
			return err
		}
		if f := t.path[len(t.path)-1]; found && f.idx == f.node.count()-1 {
			b.appended()
		}
	}
	if t.appending != b || t.appendVersion != b.version() {
		return nil
	}
	l.counts = l.counts[:0]
	for i := range t.path[:len(t.path)-1] {
		f := &t.path[i]
		if t.owns(f.page) {
			l.counts = append(l.counts, (*[8]byte)(f.node[f.node.counts()+8*f.idx:]))
		} else if f.page == nil || !f.page.stale.Load() {
			return nil
		}
	}
	f := &t.path[len(t.path)-1]
	if !t.owns(f.page) {
		return nil
	}
	l.fill(f, edge)
	b.appendedTo(f.page.ID, f.node.count()-1)
	l.page, l.node, l.version, l.path = f.page, f.node, b.version(), t.appendVersion
	l.last, l.pushed = append(l.last[:0], key...), false
	if l.limits[0] == 0 {
		l.setLimits()
	}
	return nil
}

// fill prepares the leaf of f for many records more, if edge tells that they will come.
func (l *loader) fill(f *frame, edge bool) {
	l.filling.top = 0
	n, p := f.node, f.page
	if !edge || n.fixed() || p.lent {
		return
	}
	if !p.tidy && !n.tidy() {
		l.t.rebuild(f, n.tidyInto)
	}
	if f.node.dead() == 0 {
		p.tidy = true
		l.filling = f.node.fill()
	}
}

// setLimits says what is put at once: what inlineValue and newKey leave in the node.
func (l *loader) setLimits() {
	size := l.t.snap.PageSize() - HeaderSize
	limit := inlineLimit(size)
	l.limits = [3]int{limit, min((size+HeaderSize)/4, lengthMask), 2 * limit}
	l.small = min(l.limits[0], l.limits[1])
}

// writeFull begins to write the full leaves if there are enough. key is the last one.
func (l *loader) writeFull(key []byte) error {
	t := l.t
	enough := loadBegin
	if l.begun {
		enough = loadBytes
	}
	limit := t.spilled.limit
	if limit == 0 {
		l.full = l.full[:0]
		return nil
	}
	if int64(len(l.full))<<t.snap.Shift < min(int64(enough), limit/loadPart) {
		return nil
	}
	pages := make([]*Page, 0, len(l.full))
	for _, p := range l.full {
		if p != l.page && t.owns(p) && p.Stamp == t.stamp && !p.lent && !p.flying &&
			t.own.Overlay.Get(p.ID) == p && (p.tidy || node(p.Body()).tidy()) {
			pages = append(pages, p)
		}
	}
	l.full = l.full[:0]
	slices.SortFunc(pages, func(p, q *Page) int { return cmp.Compare(p.ID, q.ID) })
	pages = slices.Compact(pages) // the sequence may have made one the last leaf again
	if len(pages) == 0 {
		return nil
	}
	l.detach()
	if err := t.fly(pages); err != nil {
		return err
	}
	l.begun = true
	return l.attach(key, true)
}
