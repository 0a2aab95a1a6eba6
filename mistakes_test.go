package mapleaf_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// What programs do by mistake is an error, or has a meaning: nothing panics.

func TestZeroDB(t *testing.T) {
	closed, err := mapleaf.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	must(t, err)
	must(t, closed.Close())
	for name, db := range map[string]*mapleaf.DB{"zero": {}, "closed": closed} {
		t.Run(name, func(t *testing.T) {
			never := func(*mapleaf.Tx) error {
				t.Error("a transaction runs")
				return nil
			}
			wantErr(t, "View", db.View(never), mapleaf.ErrDatabaseNotOpen)
			wantErr(t, "Update", db.Update(never), mapleaf.ErrDatabaseNotOpen)
			wantErr(t, "Batch", db.Batch(never), mapleaf.ErrDatabaseNotOpen)
			wantErr(t, "Sync", db.Sync(), mapleaf.ErrDatabaseNotOpen)
			_, err := db.Begin(false)
			wantErr(t, "Begin", err, mapleaf.ErrDatabaseNotOpen)
			_, err = db.Begin(true)
			wantErr(t, "Begin", err, mapleaf.ErrDatabaseNotOpen)
			wantErr(t, "Compact", mapleaf.Compact(db, db, 0), mapleaf.ErrDatabaseNotOpen)
			must(t, db.Close())
			if s := db.Stats(); s.OpenTxN != 0 {
				t.Errorf("Stats is %+v", s)
			}
			if db.Info() == nil || db.Logger() == nil || db.String() == "" || db.GoString() == "" {
				t.Error("Info, Logger, String or GoString gives nothing")
			}
			_, _ = db.IsReadOnly(), db.Path()
		})
	}
}

func TestWrongOptions(t *testing.T) {
	dir := t.TempDir()
	for i, o := range []mapleaf.Options{
		{PageSize: 1}, {PageSize: -4096}, {PageSize: 2048}, {PageSize: 5000}, {PageSize: 131072},
		{Timeout: -time.Second},
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if db, err := mapleaf.Open(path, 0o600, &o); err == nil {
			db.Close()
			t.Errorf("Open accepts %s", &o)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("a refused Open left a file: %v", err)
		}
	}
}

// TestOddOptions opens with values that bbolt accepts, or that no system can serve.
func TestOddOptions(t *testing.T) {
	dir := t.TempDir()
	for i, o := range []mapleaf.Options{
		{InitialMmapSize: -1}, {MaxSize: -1}, {MmapFlags: -1}, {FreelistType: "unheard of"},
		{InitialMmapSize: 1}, {InitialMmapSize: 12_345_678}, {InitialMmapSize: math.MaxInt},
		{MaxSize: math.MaxInt}, {MaxSize: math.MinInt}, {Exclusive: true},
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		db, err := mapleaf.Open(path, 0o600, &o)
		if err != nil {
			if o.InitialMmapSize != math.MaxInt {
				t.Errorf("Open refuses %s: %v", &o, err)
			}
			continue
		}
		for _, size := range []int{0, -1, 1, 4096, math.MaxInt} {
			db.AllocSize = size
			must(t, db.Update(func(tx *mapleaf.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte(fmt.Sprint("b", size)))
				if err != nil {
					return err
				}
				return b.Put([]byte("k"), value(1, 1<<20))
			}))
		}
		dbtest.Check(t, db)
		must(t, db.Close())
	}
}

func TestTinyMaxSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{MaxSize: 1})
	if err != nil {
		wantErr(t, "open", err, mapleaf.ErrMaxSizeReached)
		return
	}
	err = db.Update(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		return b.Put([]byte("k"), value(1, 100))
	})
	wantErr(t, "update", err, mapleaf.ErrMaxSizeReached)
	must(t, db.View(func(tx *mapleaf.Tx) error {
		if tx.Bucket([]byte("b")) != nil {
			t.Error("the refused transaction is there")
		}
		return nil
	}))
	must(t, db.Close())
}

// TestReadersKeepExclusiveWritersOut opens for exclusive writing while somebody has
// the file open for reading, and the other way round.
func TestReadersKeepExclusiveWritersOut(t *testing.T) {
	db := openDB(t, func(o *mapleaf.Options) { o.Exclusive = true })
	short := mapleaf.Options{Timeout: 50 * time.Millisecond, Exclusive: true}
	readOnly := short
	readOnly.ReadOnly = true
	_, err := mapleaf.Open(db.Path(), 0o600, &readOnly)
	wantErr(t, "read beside a writer", err, mapleaf.ErrTimeout)
	db.Shut()
	reader, err := mapleaf.Open(db.Path(), 0o600, &readOnly)
	must(t, err)
	_, err = mapleaf.Open(db.Path(), 0o600, &short)
	wantErr(t, "write beside a reader", err, mapleaf.ErrTimeout)
	must(t, reader.Close())
	db.Reopen()
}

func TestOddPages(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		for _, id := range []int{-1, math.MinInt, math.MaxInt32, math.MaxInt} {
			if p, err := tx.Page(id); p != nil {
				t.Errorf("page %d is %+v, %v", id, p, err)
			}
		}
		return nil
	})
}

// TestNilTargets passes nil where a bucket is expected.
func TestNilTargets(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		mustBucket(t, b, "sub")
		if err := b.MoveBucket([]byte("sub"), nil); err == nil {
			t.Error("a bucket moves into nil")
		}
		if b.Bucket([]byte("sub")) == nil {
			t.Error("a bucket that moved into nil is gone")
		}
		return nil
	})
}

// TestRootAsBucket uses the root through its cursor, as any other bucket.
func TestRootAsBucket(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		root := tx.Cursor().Bucket()
		mustBucket(t, tx, "b")
		mustBucket(t, root, "c")
		if err := root.Put([]byte("key"), []byte("v")); err == nil {
			wantGet(t, root, "key", "v")
			must(t, root.Delete([]byte("key")))
		}
		wantPairs(t, root, []pair{{key: "b", bucket: true}, {key: "c", bucket: true}})
		wantCount(t, root, 2)
		return root.DeleteBucket([]byte("b"))
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		if got := fmt.Sprint(tx.Inspect()); got != "{root 0 [{c 0 []}]}" {
			t.Errorf("the database is %s", got)
		}
		return nil
	})
}

// TestDeleteBucketInLoop deletes the bucket that is being walked over.
func TestDeleteBucketInLoop(t *testing.T) {
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 2000, 100)
		n := 0
		for range tx.Bucket([]byte("b")).All() {
			if n++; n == 100 {
				must(t, tx.DeleteBucket([]byte("b")))
			}
		}
		if n != 100 {
			t.Errorf("the loop saw %d records of a bucket that was deleted at 100", n)
		}
		fill(t, mustBucket(t, tx, "b"), 300, 100)
		for k := range tx.Bucket([]byte("b")).All() {
			if _, err := tx.Bucket([]byte("b")).DeleteRange(nil, nil); err != nil {
				return err
			}
			if string(k) != key8(0) {
				t.Errorf("a loop over what it deleted is at %q", k)
			}
		}
		return nil
	})
}

// TestSymbolicLinks opens a database by a link, and creates one behind a link.
func TestSymbolicLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links take a privilege there
	}
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	must(t, os.Symlink(file, link))
	for round := range 3 {
		path := []string{link, file}[round%2]
		db, err := mapleaf.Open(path, 0o600, nil)
		must(t, err)
		must(t, db.Update(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			n, err := b.NextSequence()
			if n != uint64(round+1) {
				t.Errorf("round %d opens another database: sequence %d", round, n)
			}
			return err
		}))
		must(t, db.Close())
	}
	info, err := os.Lstat(link)
	must(t, err)
	if info.Mode()&os.ModeSymlink == 0 {
		t.Error("Open replaced a link by a file")
	}
}
