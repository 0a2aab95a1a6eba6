package mapleaf

import (
	"context"
	"fmt"
	"io/fs"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// These types are those of package tx, where their methods are documented.
type (
	// Tx is a read-only or a read-write transaction.
	Tx = tx.Tx

	// Bucket is a collection of keys, values and further buckets.
	Bucket = tx.Bucket

	// Cursor walks over the records of a bucket.
	Cursor = tx.Cursor

	// BucketStats describes the pages of a bucket.
	BucketStats = tx.BucketStats

	// BucketStructure is a bucket with those inside it, as Inspect returns it.
	BucketStructure = tx.BucketStructure

	// TxStats are the counters of a write transaction.
	TxStats = tx.TxStats

	// PageInfo describes a page, as Tx.Page returns it.
	PageInfo = tx.PageInfo

	// CheckOption changes what Tx.Check does.
	CheckOption = tx.CheckOption

	// KVStringer makes keys and values readable in what Tx.Check reports.
	KVStringer = tx.KVStringer
)

// Limits and defaults of package tx.
const (
	// MaxKeySize is the longest key, or bucket name, in bytes.
	MaxKeySize = tx.MaxKeySize

	// MaxValueSize is the longest value, in bytes.
	MaxValueSize = tx.MaxValueSize

	// MaxBucketDepth is how deep buckets may be nested.
	MaxBucketDepth = tx.MaxBucketDepth

	// DefaultFillPercent is the initial value of Bucket.FillPercent.
	DefaultFillPercent = tx.DefaultFillPercent
)

// WithKVStringer makes Tx.Check show keys and values by s.
func WithKVStringer(s KVStringer) CheckOption { return tx.WithKVStringer(s) }

// WithPageId makes Tx.Check begin at the given page instead of the root.
func WithPageId(pageID uint64) CheckOption { return tx.WithPageId(pageID) }

// HexKVStringer shows keys and values in hexadecimal.
func HexKVStringer() KVStringer { return tx.HexKVStringer() }

// DB is an open database: one file. Its methods may be called by any number of
// goroutines. All access to data goes through transactions.
type DB struct {
	// StrictMode checks the whole database after every commit and panics if
	// something is wrong. It is for finding faults in Mapleaf, and slow.
	StrictMode bool

	// NoSync lets commits return before they are durable, and leaves syncing to
	// Sync and Close. The end of the process loses nothing; a power cut or a
	// crash of the system may lose any number of transactions and damage the
	// file, which Check and every read then notice. It is for loading data that
	// can be loaded again. It may be changed between transactions.
	NoSync bool

	// NoFreelistSync is accepted and has no effect; see Options.
	NoFreelistSync bool

	// FreelistType is accepted and has no effect; see Options.
	FreelistType FreelistType

	// NoGrowSync is accepted and has no effect; see Options.
	NoGrowSync bool

	// PreLoadFreelist is what Options said.
	PreLoadFreelist bool

	// MmapFlags is accepted and has no effect; see Options.
	MmapFlags int

	// MaxBatchSize is accepted and has no effect: Batch shares syncs without
	// a limit of its own.
	MaxBatchSize int

	// MaxBatchDelay is accepted and has no effect: Batch does not wait.
	MaxBatchDelay time.Duration

	// AllocSize is by how many bytes the file grows at a time, at most. It is
	// cut to its contents by Close.
	AllocSize int

	// MaxSize is the largest size of the file, in bytes. A transaction that
	// needs more gets ErrMaxSizeReached. Zero or less means no limit.
	MaxSize int

	// Mlock keeps the mapped file in memory; see Options.
	Mlock bool

	path     string
	readOnly bool
	logger   Logger
	store    *store
	closing  sync.Once
	done     chan struct{} // closed when it is closed, and closed says how that went
	closed   error
}

// Info is what is behind the bytes that transactions hand out.
type Info struct {
	Data     uintptr // where the file is mapped now
	PageSize int     // bytes
}

// Open opens the database at path, and creates it with the given permissions if
// there is none. Nil options are the zero value. The folder must exist.
//
// Any number of processes, and of DBs in one process, may have a database open,
// unless one of them has set Options.Exclusive. Open waits for that one, and for a
// write transaction of another process to end, as Options.Timeout says. It
// returns ErrTimeout, ErrInvalid or ErrChecksum for a file that is no (or no
// whole) Mapleaf database, ErrVersionMismatch, and *CorruptError where the
// newest state is damaged. If the last process did not close the file
// properly, Open first makes sure that its newest state is durable.
//
// Open reads next to nothing of a file that was closed properly: pages are verified
// when they are first touched, and the free space when the first read-write
// transaction begins. If that is damaged, the database can be read, and
// beginning to write returns the *CorruptError.
func Open(path string, mode fs.FileMode, options *Options) (*DB, error) {
	return OpenContext(context.Background(), path, mode, options)
}

// OpenContext is Open that stops waiting for the lock when ctx is done, and then
// returns the error of ctx.
func OpenContext(ctx context.Context, path string, mode fs.FileMode, options *Options) (
	*DB, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, err := options.filled()
	if err != nil {
		return nil, err
	}
	db := &DB{
		NoSync:          o.NoSync,
		NoFreelistSync:  o.NoFreelistSync,
		FreelistType:    o.FreelistType,
		NoGrowSync:      o.NoGrowSync,
		PreLoadFreelist: o.PreLoadFreelist,
		MmapFlags:       o.MmapFlags,
		MaxBatchSize:    DefaultMaxBatchSize,
		MaxBatchDelay:   DefaultMaxBatchDelay,
		AllocSize:       DefaultAllocSize,
		MaxSize:         o.MaxSize,
		Mlock:           o.Mlock,
		done:            make(chan struct{}),
		path:            path,
		readOnly:        o.ReadOnly,
		logger:          o.Logger,
	}
	if db.store, err = openStore(ctx, db, path, mode, o); err != nil {
		return nil, named("open database", err)
	}
	return db, nil
}

// Close waits for all open transactions to end, brings the file into a state that
// needs no recovery, and releases it. Transactions that are begun meanwhile get
// ErrDatabaseNotOpen. A second Close waits for the first and returns the same.
//
// It makes the file shorter: the free pages at its end are cut off, and if that saves an
// eighth of it at least, the pages behind the other free ones are moved to these first.
// So that who has done little waits little, it moves no more than half as much as was
// written to the file since it was opened, and does so up to a file of 1 GiB that no other
// process has open.
func (db *DB) Close() error {
	return db.CloseContext(context.Background())
}

// Begin begins a transaction, which must end with Commit or Rollback. Any number
// of read-only transactions may be open at once, and they wait for nobody. There
// is one read-write transaction at a time: Begin(true) waits for the one before
// to end. A read-only transaction keeps the pages that it sees from being
// reused, and Close waits for it.
func (db *DB) Begin(writable bool) (*Tx, error) {
	return db.BeginContext(context.Background(), writable)
}

// BeginContext is Begin that stops waiting for another read-write transaction
// when ctx is done, and then returns the error of ctx.
func (db *DB) BeginContext(ctx context.Context, writable bool) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case db.store == nil:
		return nil, ErrDatabaseNotOpen
	case !writable:
		return db.beginRead()
	case db.readOnly:
		return nil, ErrDatabaseReadOnly
	}
	t, err := db.store.beginWrite(ctx)
	return t, named("begin transaction", err)
}

func (db *DB) beginRead() (*Tx, error) {
	snap, slot, err := db.store.beginRead()
	if err != nil {
		return nil, named("begin transaction", err)
	}
	return tx.NewReader(snap, db.store, slot), nil
}

// View calls fn with a read-only transaction, and ends it afterwards. It returns
// the error of fn, or else the damage or fault that a read in fn met. The
// transaction cannot be ended by fn itself.
func (db *DB) View(fn func(*Tx) error) error {
	return db.ViewContext(context.Background(), fn)
}

// ViewContext is View that does not begin when ctx is done.
func (db *DB) ViewContext(ctx context.Context, fn func(*Tx) error) error {
	t, err := db.BeginContext(ctx, false)
	if err != nil {
		return err
	}
	defer rollback(t)
	return db.store.managed(t, fn)
}

// Update calls fn with a read-write transaction. If fn returns nil, the changes
// are committed, and are durable and visible when Update returns nil; if fn
// returns an error, or a read in fn met damage, they are dropped and Update
// returns that. The transaction cannot be ended by fn itself.
//
// Goroutines that call Update at the same time take turns with fn, and share
// the waiting for the drive.
func (db *DB) Update(fn func(*Tx) error) error {
	return db.UpdateContext(context.Background(), fn)
}

// UpdateContext is Update that stops waiting for another read-write transaction
// when ctx is done, and then returns the error of ctx. Once fn has begun, ctx
// has no effect.
func (db *DB) UpdateContext(ctx context.Context, fn func(*Tx) error) error {
	t, err := db.BeginContext(ctx, true)
	if err != nil {
		return err
	}
	defer rollback(t)
	if err := db.store.managed(t, fn); err != nil {
		return err
	}
	return t.Commit()
}

// Batch is Update: concurrent calls share their syncs in both, each function is
// called once, and one that fails or panics touches no other.
func (db *DB) Batch(fn func(*Tx) error) error { return db.Update(fn) }

// managed calls fn with t. Faults in the mapping become an error; every other
// panic goes on.
func (s *store) managed(t *Tx, fn func(*Tx) error) (err error) {
	tx.SetManaged(t)
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		tx.EndManaged(t)
		if r := recover(); r != nil {
			if err = s.Fault(r); err == nil {
				panic(r)
			}
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	return t.Err()
}

// rollback ends a transaction that has not ended yet.
func rollback(t *Tx) {
	_ = t.Rollback() // ErrTxClosed says that Commit came first
}

// Sync makes all commits durable that have returned. It is of use with NoSync and with
// Options.Lazy.
func (db *DB) Sync() error {
	if db.store == nil || db.store.published.Load() == nil {
		return ErrDatabaseNotOpen
	}
	if db.readOnly {
		return nil
	}
	return db.store.syncAll()
}

// Stats returns the counters of the database. With Options.NoStatistics they
// are all zero.
func (db *DB) Stats() Stats {
	if db.store == nil {
		return Stats{}
	}
	return db.store.readStats()
}

// Info returns where the file is mapped. After Close, Data is zero.
func (db *DB) Info() *Info {
	if db.store == nil {
		return &Info{}
	}
	return &Info{Data: db.store.mappedAt(), PageSize: db.store.pageSize}
}

// Path returns the path that Open was given.
func (db *DB) Path() string { return db.path }

// IsReadOnly tells whether the database was opened with Options.ReadOnly.
func (db *DB) IsReadOnly() bool { return db.readOnly }

// Logger returns the logger that Open was given, or one that discards.
func (db *DB) Logger() Logger {
	if db == nil || db.logger == nil {
		return discard
	}
	return db.logger
}

// String names the database and its path.
func (db *DB) String() string { return fmt.Sprintf("DB<%q>", db.path) }

// GoString names the type, too.
func (db *DB) GoString() string { return fmt.Sprintf("mapleaf.DB{path:%q}", db.path) }
