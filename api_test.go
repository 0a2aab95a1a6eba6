package mapleaf_test

import (
	"context"
	"io"
	"iter"
	"log"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	mapleaf "github.com/mapleafdb/mapleaf"
	dberrors "github.com/mapleafdb/mapleaf/errors"
)

// This file names every exported symbol of bbolt 1.5, with the signature that it
// has there, but for Tx.DB and the type that Bucket embeds; and then what
// Mapleaf has beyond bbolt. That it compiles is the test.

// is compiles only if f has exactly the type F.
func is[F any](f F) F { return f }

const (
	_ int                  = mapleaf.MaxKeySize
	_ int                  = mapleaf.MaxValueSize
	_ float64              = mapleaf.DefaultFillPercent
	_ mapleaf.FreelistType = mapleaf.FreelistArrayType
	_ mapleaf.FreelistType = mapleaf.FreelistMapType
	_ string               = string(mapleaf.FreelistArrayType)
)

var _ = []any{
	is[func(string, os.FileMode, *mapleaf.Options) (*mapleaf.DB, error)](mapleaf.Open),
	is[func(*mapleaf.DB, *mapleaf.DB, int64) error](mapleaf.Compact),
	is[func() mapleaf.KVStringer](mapleaf.HexKVStringer),
	is[func(mapleaf.KVStringer) mapleaf.CheckOption](mapleaf.WithKVStringer),
	is[func(uint64) mapleaf.CheckOption](mapleaf.WithPageId),
}

var (
	_ *mapleaf.Options = mapleaf.DefaultOptions
)

// The methods of DB.
var _ = []any{
	is[func(*mapleaf.DB, func(*mapleaf.Tx) error) error]((*mapleaf.DB).Batch),
	is[func(*mapleaf.DB, bool) (*mapleaf.Tx, error)]((*mapleaf.DB).Begin),
	is[func(*mapleaf.DB) error]((*mapleaf.DB).Close),
	is[func(*mapleaf.DB) string]((*mapleaf.DB).GoString),
	is[func(*mapleaf.DB) *mapleaf.Info]((*mapleaf.DB).Info),
	is[func(*mapleaf.DB) bool]((*mapleaf.DB).IsReadOnly),
	is[func(*mapleaf.DB) mapleaf.Logger]((*mapleaf.DB).Logger),
	is[func(*mapleaf.DB) string]((*mapleaf.DB).Path),
	is[func(*mapleaf.DB) mapleaf.Stats]((*mapleaf.DB).Stats),
	is[func(*mapleaf.DB) string]((*mapleaf.DB).String),
	is[func(*mapleaf.DB) error]((*mapleaf.DB).Sync),
	is[func(*mapleaf.DB, func(*mapleaf.Tx) error) error]((*mapleaf.DB).Update),
	is[func(*mapleaf.DB, func(*mapleaf.Tx) error) error]((*mapleaf.DB).View),
	is[func(*mapleaf.Options) string]((*mapleaf.Options).String),
	is[func(*mapleaf.Stats, *mapleaf.Stats) mapleaf.Stats]((*mapleaf.Stats).Sub),
}

// The methods of Tx.
var _ = []any{
	is[func(*mapleaf.Tx, []byte) *mapleaf.Bucket]((*mapleaf.Tx).Bucket),
	is[func(*mapleaf.Tx, ...mapleaf.CheckOption) <-chan error]((*mapleaf.Tx).Check),
	is[func(*mapleaf.Tx) error]((*mapleaf.Tx).Commit),
	//lint:ignore SA1019 the old name is part of the API
	is[func(*mapleaf.Tx, io.Writer) error]((*mapleaf.Tx).Copy),
	is[func(*mapleaf.Tx, string, os.FileMode) error]((*mapleaf.Tx).CopyFile),
	is[func(*mapleaf.Tx, []byte) (*mapleaf.Bucket, error)]((*mapleaf.Tx).CreateBucket),
	is[func(*mapleaf.Tx, []byte) (*mapleaf.Bucket, error)]((*mapleaf.Tx).CreateBucketIfNotExists),
	is[func(*mapleaf.Tx) *mapleaf.Cursor]((*mapleaf.Tx).Cursor),
	is[func(*mapleaf.Tx, []byte) error]((*mapleaf.Tx).DeleteBucket),
	is[func(*mapleaf.Tx, func([]byte, *mapleaf.Bucket) error) error]((*mapleaf.Tx).ForEach),
	is[func(*mapleaf.Tx) int]((*mapleaf.Tx).ID),
	is[func(*mapleaf.Tx) mapleaf.BucketStructure]((*mapleaf.Tx).Inspect),
	is[func(*mapleaf.Tx, []byte, *mapleaf.Bucket, *mapleaf.Bucket) error](
		(*mapleaf.Tx).MoveBucket),
	is[func(*mapleaf.Tx, func())]((*mapleaf.Tx).OnCommit),
	is[func(*mapleaf.Tx, int) (*mapleaf.PageInfo, error)]((*mapleaf.Tx).Page),
	is[func(*mapleaf.Tx) error]((*mapleaf.Tx).Rollback),
	is[func(*mapleaf.Tx) int64]((*mapleaf.Tx).Size),
	is[func(*mapleaf.Tx) mapleaf.TxStats]((*mapleaf.Tx).Stats),
	is[func(*mapleaf.Tx) bool]((*mapleaf.Tx).Writable),
	is[func(*mapleaf.Tx, io.Writer) (int64, error)]((*mapleaf.Tx).WriteTo),
}

var (
	_ io.WriterTo = (*mapleaf.Tx)(nil)
)

// The methods of Bucket. Root returns a number type of its own, as in bbolt.
var _ = []any{
	is[func(*mapleaf.Bucket, []byte) *mapleaf.Bucket]((*mapleaf.Bucket).Bucket),
	is[func(*mapleaf.Bucket, []byte) (*mapleaf.Bucket, error)]((*mapleaf.Bucket).CreateBucket),
	is[func(*mapleaf.Bucket, []byte) (*mapleaf.Bucket, error)](
		(*mapleaf.Bucket).CreateBucketIfNotExists),
	is[func(*mapleaf.Bucket) *mapleaf.Cursor]((*mapleaf.Bucket).Cursor),
	is[func(*mapleaf.Bucket, []byte) error]((*mapleaf.Bucket).Delete),
	is[func(*mapleaf.Bucket, []byte) error]((*mapleaf.Bucket).DeleteBucket),
	is[func(*mapleaf.Bucket, func([]byte, []byte) error) error]((*mapleaf.Bucket).ForEach),
	is[func(*mapleaf.Bucket, func([]byte) error) error]((*mapleaf.Bucket).ForEachBucket),
	is[func(*mapleaf.Bucket, []byte) []byte]((*mapleaf.Bucket).Get),
	is[func(*mapleaf.Bucket) mapleaf.BucketStructure]((*mapleaf.Bucket).Inspect),
	is[func(*mapleaf.Bucket, []byte, *mapleaf.Bucket) error]((*mapleaf.Bucket).MoveBucket),
	is[func(*mapleaf.Bucket) (uint64, error)]((*mapleaf.Bucket).NextSequence),
	is[func(*mapleaf.Bucket, []byte, []byte) error]((*mapleaf.Bucket).Put),
	is[func(*mapleaf.Bucket) uint64](
		func(b *mapleaf.Bucket) uint64 { return uint64(b.Root()) }),
	is[func(*mapleaf.Bucket) uint64]((*mapleaf.Bucket).Sequence),
	is[func(*mapleaf.Bucket, uint64) error]((*mapleaf.Bucket).SetSequence),
	is[func(*mapleaf.Bucket) mapleaf.BucketStats]((*mapleaf.Bucket).Stats),
	is[func(*mapleaf.Bucket) *mapleaf.Tx]((*mapleaf.Bucket).Tx),
	is[func(*mapleaf.Bucket) bool]((*mapleaf.Bucket).Writable),
	is[func(*mapleaf.BucketStats, mapleaf.BucketStats)]((*mapleaf.BucketStats).Add),
}

// The methods of Cursor.
var _ = []any{
	is[func(*mapleaf.Cursor) *mapleaf.Bucket]((*mapleaf.Cursor).Bucket),
	is[func(*mapleaf.Cursor) error]((*mapleaf.Cursor).Delete),
	is[func(*mapleaf.Cursor) ([]byte, []byte)]((*mapleaf.Cursor).First),
	is[func(*mapleaf.Cursor) ([]byte, []byte)]((*mapleaf.Cursor).Last),
	is[func(*mapleaf.Cursor) ([]byte, []byte)]((*mapleaf.Cursor).Next),
	is[func(*mapleaf.Cursor) ([]byte, []byte)]((*mapleaf.Cursor).Prev),
	is[func(*mapleaf.Cursor, []byte) ([]byte, []byte)]((*mapleaf.Cursor).Seek),
}

// The methods of TxStats.
var _ = []any{
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetCursorCount),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetNodeCount),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetNodeDeref),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetPageAlloc),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetPageCount),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetRebalance),
	is[func(*mapleaf.TxStats) time.Duration]((*mapleaf.TxStats).GetRebalanceTime),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetSpill),
	is[func(*mapleaf.TxStats) time.Duration]((*mapleaf.TxStats).GetSpillTime),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetSplit),
	is[func(*mapleaf.TxStats) int64]((*mapleaf.TxStats).GetWrite),
	is[func(*mapleaf.TxStats) time.Duration]((*mapleaf.TxStats).GetWriteTime),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncCursorCount),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncNodeCount),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncNodeDeref),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncPageAlloc),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncPageCount),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncRebalance),
	is[func(*mapleaf.TxStats, time.Duration) time.Duration]((*mapleaf.TxStats).IncRebalanceTime),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncSpill),
	is[func(*mapleaf.TxStats, time.Duration) time.Duration]((*mapleaf.TxStats).IncSpillTime),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncSplit),
	is[func(*mapleaf.TxStats, int64) int64]((*mapleaf.TxStats).IncWrite),
	is[func(*mapleaf.TxStats, time.Duration) time.Duration]((*mapleaf.TxStats).IncWriteTime),
	is[func(*mapleaf.TxStats, *mapleaf.TxStats) mapleaf.TxStats]((*mapleaf.TxStats).Sub),
}

// apiLogger is bbolt's Logger interface, spelled out.
type apiLogger interface {
	Debug(v ...interface{})
	Debugf(format string, v ...interface{})
	Error(v ...interface{})
	Errorf(format string, v ...interface{})
	Info(v ...interface{})
	Infof(format string, v ...interface{})
	Warning(v ...interface{})
	Warningf(format string, v ...interface{})
	Fatal(v ...interface{})
	Fatalf(format string, v ...interface{})
	Panic(v ...interface{})
	Panicf(format string, v ...interface{})
}

var _ = []any{
	is[func(*mapleaf.DefaultLogger)]((*mapleaf.DefaultLogger).EnableDebug),
	is[func(*mapleaf.DefaultLogger)]((*mapleaf.DefaultLogger).EnableTimestamps),
}

var (
	_ mapleaf.Logger = apiLogger(nil)
	_ apiLogger      = mapleaf.Logger(nil)
	_ mapleaf.Logger = (*mapleaf.DefaultLogger)(nil)
	_                = mapleaf.DefaultLogger{Logger: (*log.Logger)(nil)}
	_ interface {
		KeyToString([]byte) string
		ValueToString([]byte) string
	} = mapleaf.KVStringer(nil)
)

// The structs that programs read and write, with all the fields of bbolt.
var (
	_ = mapleaf.Options{
		Timeout: time.Duration(0), NoGrowSync: false, NoFreelistSync: false,
		PreLoadFreelist: false, FreelistType: mapleaf.FreelistType(""), ReadOnly: false,
		MmapFlags: int(0), InitialMmapSize: int(0), PageSize: int(0), MaxSize: int(0),
		NoSync:   false,
		OpenFile: (func(string, int, os.FileMode) (*os.File, error))(nil),
		Mlock:    false, Logger: mapleaf.Logger(nil), NoStatistics: false,
	}
	_ = mapleaf.BucketStats{
		BranchPageN: int(0), BranchOverflowN: int(0), LeafPageN: int(0), LeafOverflowN: int(0),
		KeyN: int(0), Depth: int(0), BranchAlloc: int(0), BranchInuse: int(0), LeafAlloc: int(0),
		LeafInuse: int(0), BucketN: int(0), InlineBucketN: int(0), InlineBucketInuse: int(0),
	}
	_ = mapleaf.BucketStructure{
		Name: string(""), KeyN: int(0), Children: []mapleaf.BucketStructure(nil),
	}
	_ = mapleaf.Info{Data: uintptr(0), PageSize: int(0)}
	_ = mapleaf.PageInfo{ID: int(0), Type: string(""), Count: int(0), OverflowCount: int(0)}
	_ = mapleaf.Stats{
		TxStats: mapleaf.TxStats{}, FreePageN: int(0), PendingPageN: int(0), FreeAlloc: int(0),
		FreelistInuse: int(0), TxN: int(0), OpenTxN: int(0),
	}
	_ = mapleaf.TxStats{
		PageCount: int64(0), PageAlloc: int64(0), CursorCount: int64(0), NodeCount: int64(0),
		NodeDeref: int64(0), Rebalance: int64(0), RebalanceTime: time.Duration(0),
		Split: int64(0), Spill: int64(0), SpillTime: time.Duration(0), Write: int64(0),
		WriteTime: time.Duration(0),
	}
	_ = func(tx *mapleaf.Tx, b *mapleaf.Bucket) { tx.WriteFlag, b.FillPercent = int(0), float64(0) }
	_ = func(db *mapleaf.DB) {
		db.StrictMode, db.NoSync, db.NoFreelistSync, db.NoGrowSync = false, false, false, false
		db.PreLoadFreelist, db.Mlock, db.FreelistType = false, false, mapleaf.FreelistMapType
		db.MmapFlags, db.MaxBatchSize, db.AllocSize, db.MaxSize = int(0), int(0), int(0), int(0)
		db.MaxBatchDelay = time.Duration(0)
	}
)

// Beyond bbolt.
var _ = []any{
	is[func(context.Context, string, os.FileMode, *mapleaf.Options) (*mapleaf.DB, error)](
		mapleaf.OpenContext),
	is[func(*mapleaf.DB, context.Context, bool) (*mapleaf.Tx, error)]((*mapleaf.DB).BeginContext),
	is[func(*mapleaf.DB, context.Context, func(*mapleaf.Tx) error) error](
		(*mapleaf.DB).ViewContext),
	is[func(*mapleaf.DB, context.Context, func(*mapleaf.Tx) error) error](
		(*mapleaf.DB).UpdateContext),
	is[func(*mapleaf.DB, context.Context, int) (int, error)]((*mapleaf.DB).Watch),
	is[func(*mapleaf.DB, context.Context) error]((*mapleaf.DB).CloseContext),
	is[func(*mapleaf.DB) ([]mapleaf.Process, error)]((*mapleaf.DB).Processes),
	is[func(*mapleaf.Tx) error]((*mapleaf.Tx).Err),
	is[func(*mapleaf.Bucket) uint64]((*mapleaf.Bucket).Count),
	is[func(*mapleaf.Bucket, []byte, []byte) (uint64, error)]((*mapleaf.Bucket).DeleteRange),
	is[func(*mapleaf.Bucket, iter.Seq2[[]byte, []byte]) error]((*mapleaf.Bucket).Load),
	is[func(*mapleaf.Bucket) iter.Seq2[[]byte, []byte]]((*mapleaf.Bucket).All),
	is[func(*mapleaf.Bucket) iter.Seq2[[]byte, []byte]]((*mapleaf.Bucket).Backward),
	is[func(*mapleaf.Bucket, []byte) iter.Seq2[[]byte, []byte]]((*mapleaf.Bucket).Prefix),
	is[func(*mapleaf.Bucket, []byte, []byte) iter.Seq2[[]byte, []byte]]((*mapleaf.Bucket).Range),
}

// Salvage and surgery.
var _ = []any{
	is[func(context.Context, string, string, *mapleaf.SalvageOptions) (
		*mapleaf.SalvageReport, error)](mapleaf.Salvage),
	is[func(context.Context, string, string, *mapleaf.SurgeryOptions) (
		*mapleaf.SurgeryReport, error)](mapleaf.RevertMeta),
	is[func(context.Context, string, string, *mapleaf.SurgeryOptions) (
		*mapleaf.SurgeryReport, error)](mapleaf.DropLog),
	is[func(context.Context, string, time.Duration) (*mapleaf.Metas, error)](mapleaf.ReadMetas),
	is[func(*mapleaf.SalvageReport) bool]((*mapleaf.SalvageReport).Complete),
}

var (
	_ = mapleaf.SalvageOptions{
		PageSize: int(0), Overwrite: false, CertainOnly: false, Timeout: time.Duration(0),
		Progress: func(mapleaf.SalvageProgress) {},
	}
	_ = mapleaf.SalvageProgress{Stage: "", Done: int64(0), Total: int64(0)}
	_ = mapleaf.SalvageReport{
		PageSize: int(0), State: "", TxID: int(0), LogTxID: int(0), Read: uint64(0),
		Unreadable: uint64(0), Empty: uint64(0), Other: uint64(0), Good: mapleaf.SalvagePages{},
		Damaged: mapleaf.SalvagePages{}, Metas: [2]bool{}, Buckets: uint64(0), Records: uint64(0),
		Missing: []mapleaf.SalvageRange(nil), Guesses: []mapleaf.SalvageRange(nil),
		Recovered: []mapleaf.SalvageBucket(nil), Notes: []string(nil),
	}
	_ = mapleaf.SalvagePages{
		Branch: uint64(0), Leaf: uint64(0), Extent: uint64(0), FreeSpace: uint64(0),
		Manifest: uint64(0),
	}
	_ = mapleaf.SalvageRange{
		Bucket: [][]byte(nil), From: []byte(nil), To: []byte(nil), Records: uint64(0),
		Counted: false, Page: int(0), Kind: "", Reason: "",
	}
	_ = mapleaf.SalvageBucket{Name: "", Page: int(0), TxID: int(0), Records: uint64(0), Certain: false}
	_ = mapleaf.SurgeryOptions{Overwrite: false, Timeout: time.Duration(0)}
	_ = mapleaf.SurgeryReport{Meta: int(0), TxID: int(0), LastTxID: int(0), Problems: []error(nil)}
	_ = mapleaf.Metas{Slots: [2]mapleaf.MetaInfo{}, Taken: int(0), Err: error(nil)}
	_ = mapleaf.MetaInfo{
		Err: error(nil), TxID: int(0), Durable: int(0), Closed: false, PageSize: int(0),
		Pages: int(0), Root: int(0), FileID: [16]byte{}, Whole: error(nil), LogPages: int(0),
		LogTxID: int(0),
	}
)

var (
	_       = mapleaf.Options{Exclusive: false, AllowNetwork: false, MaxReadAge: 0}
	_       = mapleaf.Options{OnLongRead: func(mapleaf.LongRead) {}}
	_       = mapleaf.Reader{TxID: 0, Lag: 0, Age: 0, Pages: 0}
	_ error = (*mapleaf.OpenTxError)(nil)
	_       = mapleaf.CorruptError{Page: 0, Reason: ""}
	_ error = (*mapleaf.CorruptError)(nil)
	_ error = (*mapleaf.FaultError)(nil)
)

// apiErrors pairs the errors of the root package with those of mapleaf/errors.
var apiErrors = map[string][2]error{
	"ErrBucketExists":       {mapleaf.ErrBucketExists, dberrors.ErrBucketExists},
	"ErrBucketNameRequired": {mapleaf.ErrBucketNameRequired, dberrors.ErrBucketNameRequired},
	"ErrBucketNotFound":     {mapleaf.ErrBucketNotFound, dberrors.ErrBucketNotFound},
	"ErrBucketTooDeep":      {mapleaf.ErrBucketTooDeep, dberrors.ErrBucketTooDeep},
	"ErrChecksum":           {mapleaf.ErrChecksum, dberrors.ErrChecksum},
	"ErrCorrupt":            {mapleaf.ErrCorrupt, dberrors.ErrCorrupt},
	"ErrCursorUnset":        {mapleaf.ErrCursorUnset, dberrors.ErrCursorUnset},
	"ErrDatabaseNotOpen":    {mapleaf.ErrDatabaseNotOpen, dberrors.ErrDatabaseNotOpen},
	"ErrDatabaseReadOnly":   {mapleaf.ErrDatabaseReadOnly, dberrors.ErrDatabaseReadOnly},
	"ErrDifferentDB":        {mapleaf.ErrDifferentDB, dberrors.ErrDifferentDB},
	"ErrLockFile":           {mapleaf.ErrLockFile, dberrors.ErrLockFile},
	"ErrNetwork":            {mapleaf.ErrNetwork, dberrors.ErrNetwork},
	"ErrFailed":             {mapleaf.ErrFailed, dberrors.ErrFailed},
	"ErrFreePagesNotLoaded": {mapleaf.ErrFreePagesNotLoaded, dberrors.ErrFreePagesNotLoaded},
	"ErrIncompatibleValue":  {mapleaf.ErrIncompatibleValue, dberrors.ErrIncompatibleValue},
	"ErrInvalid":            {mapleaf.ErrInvalid, dberrors.ErrInvalid},
	"ErrInvalidMapping":     {mapleaf.ErrInvalidMapping, dberrors.ErrInvalidMapping},
	"ErrKeyRequired":        {mapleaf.ErrKeyRequired, dberrors.ErrKeyRequired},
	"ErrKeyTooLarge":        {mapleaf.ErrKeyTooLarge, dberrors.ErrKeyTooLarge},
	"ErrMaxSizeReached":     {mapleaf.ErrMaxSizeReached, dberrors.ErrMaxSizeReached},
	"ErrSameBuckets":        {mapleaf.ErrSameBuckets, dberrors.ErrSameBuckets},
	"ErrTimeout":            {mapleaf.ErrTimeout, dberrors.ErrTimeout},
	"ErrTxClosed":           {mapleaf.ErrTxClosed, dberrors.ErrTxClosed},
	"ErrTxManaged":          {mapleaf.ErrTxManaged, dberrors.ErrTxManaged},
	"ErrTxNotWritable":      {mapleaf.ErrTxNotWritable, dberrors.ErrTxNotWritable},
	"ErrValueTooLarge":      {mapleaf.ErrValueTooLarge, dberrors.ErrValueTooLarge},
	"ErrVersionMismatch":    {mapleaf.ErrVersionMismatch, dberrors.ErrVersionMismatch},
}

func TestErrorNames(t *testing.T) {
	texts := map[string]string{}
	for name, pair := range apiErrors {
		if pair[0] == nil || pair[0] != pair[1] {
			t.Errorf("%s is %v here and %v in mapleaf/errors", name, pair[0], pair[1])
			continue
		}
		text := pair[0].Error()
		if !strings.HasPrefix(text, "mapleaf: ") {
			t.Errorf("%s says %q, without the package's name", name, text)
		}
		if other := texts[text]; other != "" {
			t.Errorf("%s and %s say the same: %s", name, other, text)
		}
		texts[text] = name
	}
	var err error = &mapleaf.CorruptError{Page: 7, Reason: "checksum"}
	wantErr(t, "a CorruptError", err, mapleaf.ErrCorrupt)
	if text := err.Error(); !strings.Contains(text, "page 7") || !strings.Contains(text, "checksum") {
		t.Errorf("a CorruptError says %q", text)
	}
}

// TestStructureTags compares the JSON tags with bbolt's.
func TestStructureTags(t *testing.T) {
	want := map[string]string{"Name": "name", "KeyN": "keyN", "Children": "buckets,omitempty"}
	s := reflect.TypeFor[mapleaf.BucketStructure]()
	if s.NumField() != len(want) {
		t.Fatalf("BucketStructure has %d fields", s.NumField())
	}
	for i := range s.NumField() {
		if got := s.Field(i).Tag.Get("json"); got != want[s.Field(i).Name] {
			t.Errorf("%s has the JSON tag %q", s.Field(i).Name, got)
		}
	}
}
