package mapleaf_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/errors"
)

func TestPageSizes(t *testing.T) {
	for size := 4096; size <= 65536; size *= 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			db := openDB(t, noSync, pageSize(size))
			db.MustUpdate(func(tx *mapleaf.Tx) error {
				b := mustBucket(t, tx, "b")
				fill(t, b, 2000, 150)
				return b.Put([]byte("large"), value(3, 5*size))
			})
			if got := db.Info().PageSize; got != size {
				t.Fatalf("Info says page size %d, want %d", got, size)
			}
			// An existing database keeps its own page size.
			db.Reopen(pageSize(8192))
			if got := db.Info().PageSize; got != size {
				t.Fatalf("page size %d after reopening, want %d", got, size)
			}
			db.MustView(func(tx *mapleaf.Tx) error {
				b := tx.Bucket([]byte("b"))
				wantGet(t, b, key8(1999), string(value(1999, 150)))
				wantGet(t, b, "large", string(value(3, 5*size)))
				if tx.Size()%int64(size) != 0 {
					t.Fatalf("size %d is no multiple of %d", tx.Size(), size)
				}
				return nil
			})
		})
	}
}

func TestOpenFileOption(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	var calls atomic.Int32
	opts := &mapleaf.Options{
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			calls.Add(1)
			if filepath.Dir(name) != filepath.Dir(path) {
				t.Errorf("OpenFile is asked for %s", name)
			}
			return os.OpenFile(name, flag, mode)
		},
	}
	db, err := mapleaf.Open(path, 0o600, opts)
	must(t, err)
	must(t, db.Close())
	if calls.Load() == 0 {
		t.Fatal("OpenFile was never called")
	}
	fail := fmt.Errorf("no file today")
	opts.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return nil, fail }
	_, err = mapleaf.Open(path, 0o600, opts)
	wantErr(t, "open with a failing OpenFile", err, fail)
}

func TestMaxSize(t *testing.T) {
	const limit = 4 << 20
	db := openDB(t, noSync, func(o *mapleaf.Options) { o.MaxSize = limit })
	if db.MaxSize != limit {
		t.Fatalf("DB.MaxSize is %d", db.MaxSize)
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 100, 100)
		return nil
	})
	err := db.Update(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := range 100 {
			if err := b.Put([]byte(fmt.Sprint("large", i)), value(i, 100_000)); err != nil {
				return err
			}
		}
		return nil
	})
	wantErr(t, "a commit beyond MaxSize", err, errors.ErrMaxSizeReached)
	db.MustView(func(tx *mapleaf.Tx) error {
		wantFilled(t, tx.Bucket([]byte("b")), 100, 100)
		return nil
	})
	// The database stays usable below the limit.
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		return tx.Bucket([]byte("b")).Put([]byte("z"), value(1, 10_000))
	})
	info, err := os.Stat(db.Path())
	must(t, err)
	if info.Size() > limit {
		t.Fatalf("the file has %d bytes, the limit is %d", info.Size(), limit)
	}
}

// TestInertOptions sets everything that may be set without a visible effect.
func TestInertOptions(t *testing.T) {
	for _, kind := range []mapleaf.FreelistType{
		"", mapleaf.FreelistArrayType, mapleaf.FreelistMapType,
	} {
		db := openDB(t, func(o *mapleaf.Options) {
			o.NoGrowSync, o.NoFreelistSync, o.PreLoadFreelist = true, true, true
			o.FreelistType, o.InitialMmapSize, o.NoStatistics = kind, 1<<20, true
			o.Timeout = time.Minute
		})
		db.StrictMode = true
		db.AllocSize = 1 << 20
		for i := range 5 {
			db.MustUpdate(func(tx *mapleaf.Tx) error {
				fill(t, mustBucket(t, tx, fmt.Sprint(i)), 300*i, 100)
				return nil
			})
		}
		if got := db.Stats(); got.TxN != 0 || got.TxStats.PageCount != 0 {
			t.Fatalf("NoStatistics counts: %+v", got)
		}
		db.Reopen()
		db.MustView(func(tx *mapleaf.Tx) error {
			wantFilled(t, tx.Bucket([]byte("4")), 1200, 100)
			return nil
		})
	}
}

func TestOptionsString(t *testing.T) {
	var none *mapleaf.Options
	if got := none.String(); got != "{}" {
		t.Fatalf("nil options print as %s", got)
	}
	o := &mapleaf.Options{
		Timeout: time.Second, PageSize: 8192, ReadOnly: true,
		FreelistType: mapleaf.FreelistMapType,
	}
	got := o.String()
	for _, want := range []string{
		"Timeout: 1s", "PageSize: 8192", "ReadOnly: true", "FreelistType: hashmap", "NoSync: false",
	} {
		if !strings.Contains(got, want) {
			t.Fatalf("options print as %s, without %q", got, want)
		}
	}
	if d := mapleaf.DefaultOptions; d == nil || d.Timeout != 0 || d.NoGrowSync ||
		d.FreelistType != mapleaf.FreelistArrayType {
		t.Fatalf("DefaultOptions are %s", mapleaf.DefaultOptions)
	}
}

// TestOptionsAreNotShared opens two databases with the same options at once.
func TestOptionsAreNotShared(t *testing.T) {
	dir, opts := t.TempDir(), &mapleaf.Options{PageSize: 8192, NoSync: true}
	before := *opts
	for i := range 2 {
		db, err := mapleaf.Open(filepath.Join(dir, fmt.Sprint(i)), 0o600, opts)
		must(t, err)
		defer db.Close()
		if db.Info().PageSize != 8192 {
			t.Fatalf("page size %d", db.Info().PageSize)
		}
	}
	if before.String() != opts.String() {
		t.Fatalf("Open changed its options from %s to %s", &before, opts)
	}
}

// TestMlock opens with Mlock, which works or says that it is not granted.
func TestMlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{Mlock: true})
	if err != nil {
		if !strings.HasPrefix(err.Error(), "mapleaf: ") {
			t.Fatalf("Open with Mlock returns %v", err)
		}
		return
	}
	if !db.Mlock {
		t.Fatal("Options.Mlock does not set DB.Mlock")
	}
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 1000, 100)
		return nil
	}))
	must(t, db.View(func(tx *mapleaf.Tx) error {
		wantFilled(t, tx.Bucket([]byte("b")), 1000, 100)
		return nil
	}))
	must(t, db.Close())
}

func TestDefaultLogger(t *testing.T) {
	var buf bytes.Buffer
	l := &mapleaf.DefaultLogger{Logger: log.New(&buf, "", 0)}
	l.Debug("not shown")
	l.EnableDebug()
	l.Debug("a", 1)
	l.Debugf("%d", 2)
	l.Info("i")
	l.Infof("%s", "if")
	l.Warning("w")
	l.Warningf("%s", "wf")
	l.Error("e")
	l.Errorf("%s", "ef")
	want := "DEBUG: a1\nDEBUG: 2\nINFO: i\nINFO: if\nWARN: w\nWARN: wf\nERROR: e\nERROR: ef\n"
	if buf.String() != want {
		t.Fatalf("the log says %q, want %q", buf.String(), want)
	}
	for name, fail := range map[string]func(){
		"Panic": func() { l.Panic("p") }, "Panicf": func() { l.Panicf("%s", "p") },
	} {
		func() {
			defer func() {
				if r := recover(); fmt.Sprint(r) != "p" {
					t.Errorf("%s panics with %v", name, r)
				}
			}()
			fail()
		}()
	}
	l.EnableTimestamps()
	if l.Flags()&(log.Ldate|log.Ltime) != log.Ldate|log.Ltime {
		t.Fatal("EnableTimestamps sets no flags")
	}
	db := openDB(t, func(o *mapleaf.Options) { o.Logger = l })
	if db.Logger() != mapleaf.Logger(l) {
		t.Fatal("DB.Logger is not Options.Logger")
	}
}
