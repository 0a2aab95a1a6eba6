package tx

import (
	"io"
	"io/fs"
	"sync/atomic"
)

// Limits of keys and values.
const (
	// MaxKeySize is the longest key, or bucket name, in bytes.
	MaxKeySize = 32768

	// MaxValueSize is the longest value, in bytes.
	MaxValueSize = 1<<31 - 2

	// MaxBucketDepth is how deep buckets can be nested.
	MaxBucketDepth = 1 << 14

	// maxNesting is how deep nested buckets are followed. It leaves room above
	// MaxBucketDepth, since a move of a bucket does not look how deep others are
	// nested in it unless its target lies at moveWalkDepth or deeper.
	maxNesting    = 4 * MaxBucketDepth
	moveWalkDepth = 64
)

// Tx is a read-only or a read-write transaction: one snapshot of the database.
//
// A read-only transaction sees what was committed when it began, takes no lock,
// and waits for nobody. It keeps the pages of its snapshot from being reused,
// so it should end soon. A read-write transaction sees its own changes besides;
// there is one at a time.
//
// Every transaction must end with Commit or Rollback; View, Update and Batch
// see to that by themselves. Bytes that a transaction hands out are valid until
// it ends and must not be written to. A transaction is used by one goroutine at
// a time; several goroutines may read through one read-only transaction if each
// has its own cursors.
type Tx struct {
	// WriteFlag is accepted for programs written for bbolt, where it holds the
	// flags with which WriteTo opens the file. Here WriteTo copies from the
	// snapshot and opens nothing.
	WriteFlag int

	*writing // of a writer only

	snap    *Snapshot
	host    Host
	session Session // of a reader
	failed  atomic.Pointer[error]
	stamp   uint32 // of a writer's own pages, else 0
	closed  atomic.Bool
	taken   atomic.Bool // first
	managed bool        // inside View, Update or Batch, which have armed faults
	changed bool
	root    Bucket
	first   Bucket // the first bucket that is opened, to save an allocation
}

// writing is the state that only a write transaction has.
type writing struct {
	stats    TxStats // first, for its alignment on 32-bit systems
	pager    Pager
	own      Snapshot // what the transaction has built; snap points to it
	base     TxID     // what Snapshot.Written said when it began
	onCommit []func()
	fresh    int    // how many pages of born have new ids
	cleared  uint64 // nodes by the call that runs; more than there are pages is damage

	// The bucket at whose end path leads since a record was appended there,
	// and its version then.
	appending     *Bucket
	appendVersion uint64

	copies  arena // values copied out of fixed leaves
	ops     opList
	spilled spilled

	rootEdit, firstEdit bucketEdit // of Tx.root and Tx.first

	scratch
	home *scratch // where that came from
}

// NewReader returns a read-only transaction on s, which calls end when it ends.
func NewReader(s *Snapshot, h Host, end Session) *Tx {
	t := &Tx{snap: s, host: h, session: end}
	t.root.tx, t.root.header = t, s.Root
	return t
}

// NewWriter returns a read-write transaction on the state s, through p.
func NewWriter(s Snapshot, h Host, p Pager) *Tx {
	t := &Tx{host: h, stamp: p.TxID().Stamp()}
	t.writing = &writing{pager: p, own: s, base: s.Written}
	t.own.TxID = p.TxID()
	t.snap = &t.own
	t.root.tx, t.root.header, t.root.FillPercent = t, s.Root, DefaultFillPercent
	t.root.edit = &t.rootEdit
	t.home = scratches.Get().(*scratch)
	t.scratch = *t.home
	t.ops.buf, t.ops.limit = p.Log()
	t.spilled.limit = p.SpillLimit()
	return t
}

// SetManaged tells t that its caller ends it and has armed the goroutine's
// faults, so that Commit and Rollback by anybody else are refused.
func SetManaged(t *Tx) { t.managed = true }

// EndManaged lets Commit and Rollback through again.
func EndManaged(t *Tx) { t.managed = false }

// SnapshotOf returns the state that t reads, for the store beneath it.
func SnapshotOf(t *Tx) *Snapshot { return t.snap }

// fail notes the first damage or fault that the transaction met.
func (t *Tx) fail(err error) {
	if err == nil {
		return
	}
	first := err // only this escapes, and only if there is an error
	t.failed.CompareAndSwap(nil, &first)
}

// Err returns the first damage or fault that a read of this transaction met,
// as a *CorruptError or *FaultError, or nil. After one, further reads may
// return nil, and Commit refuses. View and Update return it by themselves.
func (t *Tx) Err() error {
	if p := t.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// usable returns why the transaction cannot be written to, if so.
func (t *Tx) usable() error {
	switch {
	case t.closed.Load():
		return ErrTxClosed
	case t.writing == nil:
		return ErrTxNotWritable
	}
	return t.Err()
}

// ID returns the transaction's id: for a reader that of the last write
// transaction in its snapshot, for a writer its own.
func (t *Tx) ID() int {
	if t.closed.Load() {
		return 0
	}
	return int(t.snap.TxID)
}

// Size returns the size of the database in bytes, as this transaction sees it,
// which is what WriteTo writes.
func (t *Tx) Size() int64 {
	if t.closed.Load() {
		return 0
	}
	return int64(t.snap.HWM) << t.snap.Shift
}

// Writable tells whether the transaction can change the database.
func (t *Tx) Writable() bool { return t.writing != nil }

// Stats returns a copy of the counters of a write transaction. A reader has none.
func (t *Tx) Stats() TxStats {
	if t.writing == nil {
		return TxStats{}
	}
	return t.stats.copy()
}

// OnCommit adds a function that is called, after those added before it, once the
// transaction has been committed and is durable. It runs on the goroutine that
// committed, when all locks are free.
func (t *Tx) OnCommit(fn func()) {
	if t.writing != nil && !t.closed.Load() {
		t.onCommit = append(t.onCommit, fn)
	}
}

// Commit makes the changes durable and visible to transactions that begin
// afterwards, and ends the transaction. It returns ErrTxNotWritable for a
// reader, ErrTxManaged inside View, Update or Batch, ErrTxClosed after the end,
// and Err if the transaction met damage; in the last case it has been rolled back.
func (t *Tx) Commit() error {
	switch {
	case t.closed.Load():
		return ErrTxClosed
	case t.writing == nil:
		return ErrTxNotWritable
	case t.managed:
		return ErrTxManaged
	}
	if err := t.prepare(); err != nil {
		t.pager.Rollback()
		t.end()
		return err
	}
	hooks := t.onCommit
	stats, host := &t.stats, t.host
	err := t.pager.Commit(&t.own, t.changed, t.ops.buf)
	t.end()
	host.Ended(stats)
	if err != nil {
		return err
	}
	for _, fn := range hooks {
		fn()
	}
	return nil
}

// prepare writes the headers of changed buckets into their parents.
func (t *Tx) prepare() (err error) {
	defer t.guardErr(armFaults(), &err)
	if err := t.settle(); err != nil {
		return err
	}
	t.tidy()
	return nil
}

// settle brings the pages of a write transaction up to date with its buckets, so
// that the snapshot is a whole state. The transaction can go on afterwards.
func (t *Tx) settle() error {
	if t.writing == nil {
		return nil
	}
	err := t.Err()
	if err == nil {
		err = t.land()
	}
	if err == nil {
		err = t.root.flush()
	}
	if err == nil {
		err = t.root.arrange()
	}
	t.fail(err)
	t.own.Root = t.root.header
	return err
}

// Rollback ends the transaction and drops its changes. A reader must end with
// it. It returns ErrTxManaged inside View, Update or Batch, and ErrTxClosed
// after the end.
func (t *Tx) Rollback() error {
	switch {
	case t.closed.Load():
		return ErrTxClosed
	case t.managed:
		return ErrTxManaged
	}
	if t.writing == nil {
		session := t.session
		t.end()
		session.End()
		return nil
	}
	stats, host := &t.stats, t.host
	t.pager.Rollback()
	t.end()
	host.Ended(stats)
	return nil
}

// noSnapshot is what a transaction reads after its end.
var noSnapshot Snapshot

// end clears what leads into the mapping, which may be unmapped now (I8).
func (t *Tx) end() {
	t.closed.Store(true)
	t.snap = &noSnapshot
	if t.writing != nil {
		t.scratch.giveTo(t.home)
		*t.writing = writing{stats: t.stats.copy()}
	}
	t.root.header = BucketHeader{}
	t.root.edit = nil
}

// Bucket returns the top-level bucket of that name, or nil if there is none.
// It is valid until the transaction ends.
func (t *Tx) Bucket(name []byte) *Bucket { return t.root.Bucket(name) }

// CreateBucket creates a top-level bucket; see Bucket.CreateBucket.
func (t *Tx) CreateBucket(name []byte) (*Bucket, error) { return t.root.CreateBucket(name) }

// CreateBucketIfNotExists returns a top-level bucket, and creates it if it does
// not exist; see Bucket.CreateBucketIfNotExists.
func (t *Tx) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	return t.root.CreateBucketIfNotExists(name)
}

// DeleteBucket deletes a top-level bucket with all that it holds; see
// Bucket.DeleteBucket.
func (t *Tx) DeleteBucket(name []byte) error { return t.root.DeleteBucket(name) }

// MoveBucket moves the bucket child from src to dst, where nil stands for the
// top level; see Bucket.MoveBucket.
func (t *Tx) MoveBucket(child []byte, src, dst *Bucket) error {
	if src == nil {
		src = &t.root
	}
	if dst == nil {
		dst = &t.root
	}
	return src.MoveBucket(child, dst)
}

// Cursor returns a cursor over the top-level buckets; all its values are nil.
func (t *Tx) Cursor() *Cursor { return t.root.Cursor() }

// ForEach calls fn for each top-level bucket, in byte order of the names. It
// stops at the first error and returns it.
func (t *Tx) ForEach(fn func(name []byte, b *Bucket) error) error {
	return t.root.ForEachBucket(func(k []byte) error {
		return fn(k, t.root.Bucket(k))
	})
}

// WriteTo writes the state that the transaction sees to w, as a database of
// its own: exactly Size bytes. Readers and writers go on meanwhile.
func (t *Tx) WriteTo(w io.Writer) (n int64, err error) {
	if t.closed.Load() {
		return 0, ErrTxClosed
	}
	defer t.guardErr(armFaults(), &err)
	if err := t.settle(); err != nil {
		return 0, err
	}
	return t.host.WriteTo(t, w)
}

// Copy writes the database to w.
//
// Deprecated: Use WriteTo.
func (t *Tx) Copy(w io.Writer) error {
	_, err := t.WriteTo(w)
	return err
}

// CopyFile writes the state that the transaction sees to a file at path, which
// is created with the given mode or replaced. The copy is durable and whole
// when CopyFile returns nil; after an error path is as it was, unless only the last step
// has failed, which makes that durable: then a loss of power may bring the old file back.
func (t *Tx) CopyFile(path string, mode fs.FileMode) (err error) {
	if t.closed.Load() {
		return ErrTxClosed
	}
	defer t.guardErr(armFaults(), &err)
	if err := t.settle(); err != nil {
		return err
	}
	return t.host.CopyFile(t, path, mode)
}

// Page describes page id, or returns nil if the database has no such page.
func (t *Tx) Page(id int) (info *PageInfo, err error) {
	if t.closed.Load() {
		return nil, ErrTxClosed
	}
	if id < 0 || uint64(id) >= uint64(t.snap.HWM) {
		return nil, nil
	}
	defer t.guardErr(armFaults(), &err)
	return t.host.PageInfo(t, PageID(id))
}

// Inspect returns the tree of all buckets.
func (t *Tx) Inspect() BucketStructure { return t.root.Inspect() }
