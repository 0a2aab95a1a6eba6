package mapleaf

import (
	"fmt"
	"math/bits"
	"os"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// The sizes that a database may have for its pages, in bytes.
const (
	// DefaultPageSize is what Open gives a new database.
	DefaultPageSize = 4096

	pageSizeMin = 4 << 10
	pageSizeMax = 64 << 10
)

// Defaults of Options.
const (
	// DefaultCheckpointBytes is what Options.CheckpointBytes stands at.
	DefaultCheckpointBytes = 256 << 20

	// DefaultSyncInterval is what Options.SyncInterval stands at.
	DefaultSyncInterval = 100 * time.Millisecond

	// DefaultSyncBytes is what Options.SyncBytes stands at.
	DefaultSyncBytes = 4 << 20

	// DefaultLogSize is what Options.LogSize stands at.
	DefaultLogSize = 64 << 20
)

// Defaults of the fields of DB that programs written for bbolt set.
const (
	// DefaultMaxBatchSize is the initial value of DB.MaxBatchSize.
	DefaultMaxBatchSize = 1000

	// DefaultMaxBatchDelay is the initial value of DB.MaxBatchDelay.
	DefaultMaxBatchDelay = 10 * time.Millisecond

	// DefaultAllocSize is the initial value of DB.AllocSize, in bytes.
	DefaultAllocSize = 16 << 20
)

// FreelistType exists for programs written for bbolt. Mapleaf has one structure
// for its free space, and the choice has no effect.
type FreelistType string

// The values that bbolt knows.
const (
	// FreelistArrayType is accepted and has no effect.
	FreelistArrayType = FreelistType("array")

	// FreelistMapType is accepted and has no effect.
	FreelistMapType = FreelistType("hashmap")
)

// Options say how Open opens a database. The zero value is good for most. Open
// takes a copy: a change afterwards has no effect.
type Options struct {
	// Timeout is how long Open waits for others, who have set Exclusive or are
	// writing, before it returns ErrTimeout. Zero means without end.
	Timeout time.Duration

	// NoGrowSync is accepted and has no effect: a commit makes the size of the
	// file durable together with everything else, by the same sync.
	NoGrowSync bool

	// NoFreelistSync is accepted and has no effect: each commit stores the few
	// changes that it made to the free space.
	NoFreelistSync bool

	// PreLoadFreelist makes Open read the free space at once instead of when the
	// first read-write transaction begins, or Check, Stats or Page ask for it.
	PreLoadFreelist bool

	// FreelistType is accepted and has no effect.
	FreelistType FreelistType

	// ReadOnly opens the file for reading only. The file must exist, and is not
	// changed, also if it was not closed properly. If this process may write to
	// it, and to the lock file beside it, others write meanwhile and it follows
	// them; else it keeps writers waiting until it is closed.
	ReadOnly bool

	// MmapFlags is accepted and has no effect.
	MmapFlags int

	// InitialMmapSize is the least number of bytes of address space to map.
	// Zero lets Open choose. The file does not become larger by it.
	InitialMmapSize int

	// PageSize is the page size of a database that Open creates: a power of two
	// from 4,096 to 65,536 bytes. Zero means DefaultPageSize. A database that
	// exists keeps its own.
	PageSize int

	// MaxSize is the initial value of DB.MaxSize, in bytes.
	MaxSize int

	// NoSync is the initial value of DB.NoSync.
	NoSync bool

	// Lazy lets commits return when they are written and visible, and makes them
	// durable a little later, many at a time: within SyncInterval, when SyncBytes of
	// them have come together, and by DB.Sync. The end of the process loses nothing.
	// A power cut or a crash of the system loses at most what was not durable yet,
	// and never damages the file: it holds the state after some transaction, and
	// every one before. A transaction that is written by its pages, as large ones
	// are, is durable at once. NoSync goes before Lazy.
	Lazy bool

	// SyncInterval is how long a transaction may be lost for, with Lazy. Zero means
	// DefaultSyncInterval.
	SyncInterval time.Duration

	// SyncBytes is how many bytes of transactions may be lost, with Lazy. Zero means
	// DefaultSyncBytes.
	SyncBytes int

	// OpenFile opens every file that the database uses, also the temporary one
	// that becomes a new database. Nil means os.OpenFile, except that on Windows,
	// too, an open file can be renamed and removed.
	OpenFile func(string, int, os.FileMode) (*os.File, error)

	// Mlock keeps the mapped file in memory, which takes a privilege or a
	// generous limit on most systems. Open fails where it is not granted.
	Mlock bool

	// Logger receives failures that no call can return. Nil means nobody.
	Logger Logger

	// NoStatistics leaves the counters of DB.Stats at zero, which saves a few
	// nanoseconds per read transaction.
	NoStatistics bool

	// Exclusive makes sure that no other process, and no other DB of this one,
	// has the file open at the same time: Open waits for them up to Timeout.
	// A program that relies on it, as a guard against a second instance of
	// itself, sets Exclusive. It has no meaning together with ReadOnly.
	Exclusive bool

	// AllowNetwork lets Open use a file on a network file system, which it
	// refuses otherwise with ErrNetwork: another machine's writes do not show in
	// mapped memory, and locks may exclude nobody. It is safe at most while one
	// machine uses the file.
	AllowNetwork bool

	// MaxReadAge is how long a read transaction may be open before it counts as
	// long: in Stats.LongReadN, and by a call of OnLongRead. Zero means for ever.
	// It is noticed up to half of it later.
	MaxReadAge time.Duration

	// OnLongRead is called once for each read transaction of this DB that has
	// become older than MaxReadAge, on a goroutine of the database, which waits
	// for it to return.
	OnLongRead func(LongRead)
	// CheckpointBytes bounds the memory for committed pages that are not written to
	// their places in the file yet, in bytes: when they reach it, they are, beside
	// further commits, which may take as much again meanwhile. More of them means
	// fewer writes where the same pages change often. With NoSync, where a write
	// costs no more than a copy, it is a sixteenth. It also bounds the pages of a
	// running write transaction: one that changes more writes pages before it ends,
	// except those of which Get or a cursor has returned bytes to the caller. Zero
	// means DefaultCheckpointBytes.
	CheckpointBytes int

	// LogSize is the largest size of each of the two parts of the redo log, in
	// bytes. The log lies in the file while it is open, once small commits have
	// shown that it pays; Close takes it out again. Zero means DefaultLogSize,
	// and a negative number means no log: every commit writes its pages.
	LogSize int

	// wrapFile puts a layer between the page manager and the file, for tests.
	wrapFile func(file) file

	// network tells the name of the network file system of a file, for tests.
	network func(*mmapfile.File) (string, error)

	// idleAfter takes the place of the constant, for tests.
	idleAfter time.Duration

	// logAtOnce makes the log begin with the first commit, for tests.
	logAtOnce bool

	// shrinkAtOnce makes Close shrink the file whatever that costs and brings, for tests.
	shrinkAtOnce bool

	// trustManifest turns off the check that decides whether the newest meta
	// counts after a crash, so that tests can show that they would notice.
	trustManifest bool
}

// DefaultOptions exists for programs written for bbolt that copy or pass it.
// Open never reads it: nil options are the zero value.
var DefaultOptions = &Options{
	Timeout:      0,
	NoGrowSync:   false,
	FreelistType: FreelistArrayType,
}

// String returns the options in one line, for logs.
func (o *Options) String() string {
	if o == nil {
		return "{}"
	}
	return fmt.Sprintf("{Timeout: %s, NoGrowSync: %t, NoFreelistSync: %t, "+
		"PreLoadFreelist: %t, FreelistType: %s, ReadOnly: %t, MmapFlags: %x, "+
		"InitialMmapSize: %d, PageSize: %d, MaxSize: %d, NoSync: %t, OpenFile: %p, "+
		"Mlock: %t, Logger: %p, NoStatistics: %t, Exclusive: %t, AllowNetwork: %t, "+
		"MaxReadAge: %s, OnLongRead: %p, CheckpointBytes: %d, LogSize: %d, "+
		"Lazy: %t, SyncInterval: %s, SyncBytes: %d}",
		o.Timeout, o.NoGrowSync, o.NoFreelistSync, o.PreLoadFreelist, o.FreelistType,
		o.ReadOnly, o.MmapFlags, o.InitialMmapSize, o.PageSize, o.MaxSize, o.NoSync,
		o.OpenFile, o.Mlock, o.Logger, o.NoStatistics, o.Exclusive, o.AllowNetwork,
		o.MaxReadAge, o.OnLongRead, o.CheckpointBytes, o.LogSize,
		o.Lazy, o.SyncInterval, o.SyncBytes)
}

// filled returns a copy of o with what zero values stand for, or an error that
// names the first field that cannot be.
func (o *Options) filled() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.PageSize == 0 {
		c.PageSize = DefaultPageSize
	}
	if c.OpenFile == nil {
		c.OpenFile = mmapfile.OpenOS
	}
	if c.network == nil {
		c.network = (*mmapfile.File).Network
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = DefaultCheckpointBytes
	}
	if c.LogSize == 0 {
		c.LogSize = DefaultLogSize
	}
	if c.idleAfter == 0 {
		c.idleAfter = idleAfter
	}
	if c.SyncInterval == 0 {
		c.SyncInterval = DefaultSyncInterval
	}
	if c.SyncBytes == 0 {
		c.SyncBytes = DefaultSyncBytes
	}
	c.LogSize = max(c.LogSize, 0) &^ (pageSizeMax - 1)
	if c.Logger == nil {
		c.Logger = discard
	}
	return c, c.validate()
}

func (o *Options) validate() error {
	if o.Timeout < 0 {
		return fmt.Errorf("mapleaf: Options.Timeout is negative: %s", o.Timeout)
	}
	if o.MaxReadAge < 0 {
		return fmt.Errorf("mapleaf: Options.MaxReadAge is negative: %s", o.MaxReadAge)
	}
	if o.SyncInterval < 0 {
		return fmt.Errorf("mapleaf: Options.SyncInterval is negative: %s", o.SyncInterval)
	}
	if o.SyncBytes < 0 {
		return fmt.Errorf("mapleaf: Options.SyncBytes is negative: %d", o.SyncBytes)
	}
	if o.CheckpointBytes < 0 {
		return fmt.Errorf("mapleaf: Options.CheckpointBytes is negative: %d", o.CheckpointBytes)
	}
	if !validPageSize(uint64(o.PageSize)) {
		return fmt.Errorf("mapleaf: Options.PageSize is not a power of two from %d to %d: %d",
			pageSizeMin, pageSizeMax, o.PageSize)
	}
	return nil
}

// validPageSize reports whether a database can have pages of n bytes.
func validPageSize(n uint64) bool {
	return n >= pageSizeMin && n <= pageSizeMax && bits.OnesCount64(n) == 1
}
