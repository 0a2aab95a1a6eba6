package mapleaf_test

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
)

// ended is what is left of a transaction that has ended.
type ended struct {
	tx     *mapleaf.Tx
	b, sub *mapleaf.Bucket
	c, at  *mapleaf.Cursor // a fresh one, and one on a record
}

// endedTx returns a transaction that has ended, with its buckets and cursors.
func endedTx(t *testing.T, writable bool, end func(*mapleaf.Tx) error) ended {
	t.Helper()
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		fill(t, b, 300, 100)
		put(t, mustBucket(t, b, "sub"), "k", "v")
		return nil
	})
	tx, err := db.Begin(writable)
	must(t, err)
	b := tx.Bucket([]byte("b"))
	e := ended{tx, b, b.Bucket([]byte("sub")), b.Cursor(), b.Cursor()}
	e.at.First()
	must(t, end(tx))
	return e
}

func TestClosedTx(t *testing.T) {
	commit, rollback := (*mapleaf.Tx).Commit, (*mapleaf.Tx).Rollback
	for name, e := range map[string]ended{
		"reader":             endedTx(t, false, rollback),
		"writer committed":   endedTx(t, true, commit),
		"writer rolled back": endedTx(t, true, rollback),
	} {
		t.Run(name, func(t *testing.T) {
			wantClosedErrors(t, e)
			wantClosedReads(t, e)
			wantClosedIterators(t, e)
		})
	}
}

// wantClosedErrors calls every method that returns an error.
func wantClosedErrors(t *testing.T, e ended) {
	t.Helper()
	key := []byte("k")
	create := func(_ *mapleaf.Bucket, err error) error { return err }
	number := func(_ any, err error) error { return err }
	_, write := e.tx.WriteTo(io.Discard)
	_, del := e.b.DeleteRange(nil, nil)
	_, next := e.b.NextSequence()
	for what, err := range map[string]error{
		"Tx.Commit": e.tx.Commit(), "Tx.Rollback": e.tx.Rollback(),
		"Tx.CreateBucket":            create(e.tx.CreateBucket(key)),
		"Tx.CreateBucketIfNotExists": create(e.tx.CreateBucketIfNotExists(key)),
		"Tx.DeleteBucket":            e.tx.DeleteBucket([]byte("b")),
		"Tx.MoveBucket":              e.tx.MoveBucket([]byte("sub"), e.b, nil),
		"Tx.ForEach": e.tx.ForEach(func([]byte, *mapleaf.Bucket) error {
			panic("a closed transaction has buckets")
		}),
		"Tx.WriteTo": write,
		"Tx.Copy": func() error {
			//lint:ignore SA1019 the old name is part of the API
			return e.tx.Copy(io.Discard)
		}(),
		"Tx.CopyFile":              e.tx.CopyFile(filepath.Join(t.TempDir(), "x"), 0o600),
		"Tx.Page":                  number(e.tx.Page(0)),
		"Bucket.Put":               e.b.Put(key, key),
		"Bucket.Delete":            e.b.Delete(key),
		"Bucket.DeleteRange":       del,
		"Bucket.Load":              e.b.Load(func(yield func(_, _ []byte) bool) { yield(key, key) }),
		"Bucket.CreateBucket":      create(e.b.CreateBucket(key)),
		"Bucket.CreateIfNotExists": create(e.b.CreateBucketIfNotExists([]byte("sub"))),
		"Bucket.DeleteBucket":      e.b.DeleteBucket([]byte("sub")),
		"Bucket.MoveBucket":        e.b.MoveBucket([]byte("sub"), e.sub),
		"Bucket.SetSequence":       e.b.SetSequence(1),
		"Bucket.NextSequence":      next,
		"Bucket.ForEach":           e.b.ForEach(func(_, _ []byte) error { return nil }),
		"Bucket.ForEachBucket":     e.b.ForEachBucket(func([]byte) error { return nil }),
		"Cursor.Delete":            e.at.Delete(),
	} {
		wantErr(t, what, err, mapleaf.ErrTxClosed)
	}
	n := 0
	for err := range e.tx.Check() {
		wantErr(t, "Tx.Check", err, mapleaf.ErrTxClosed)
		n++
	}
	if n != 1 {
		t.Fatalf("Tx.Check reports %d problems", n)
	}
	e.tx.OnCommit(func() { t.Error("OnCommit runs after the end") })
}

// wantClosedReads calls every method that returns data.
func wantClosedReads(t *testing.T, e ended) {
	t.Helper()
	if b := e.tx.Bucket([]byte("b")); b != nil {
		t.Error("Tx.Bucket opens a bucket")
	}
	if b := e.b.Bucket([]byte("sub")); b != nil {
		t.Error("Bucket.Bucket opens a bucket")
	}
	if v := e.b.Get([]byte(key8(0))); v != nil {
		t.Errorf("Get returns %d bytes", len(v))
	}
	if e.b.Tx() != e.tx || e.b.Count() != 0 || e.c.Bucket() != e.b {
		t.Errorf("Tx, Count or Bucket is wrong: Count is %d", e.b.Count())
	}
	for _, c := range []*mapleaf.Cursor{e.c, e.at, e.b.Cursor(), e.tx.Cursor()} {
		for name, move := range map[string]func() ([]byte, []byte){
			"First": c.First, "Last": c.Last, "Next": c.Next, "Prev": c.Prev,
			"Seek": func() ([]byte, []byte) { return c.Seek([]byte(key8(1))) },
		} {
			if k, v := move(); k != nil || v != nil {
				t.Errorf("Cursor.%s returns %q %q", name, k, v)
			}
		}
	}
	// These have no error to return, and must only not panic or hang.
	_, _, _ = e.tx.ID(), e.tx.Size(), e.tx.Writable()
	_, _, _ = e.tx.Stats(), e.tx.Err(), e.tx.Inspect()
	_, _, _ = e.b.Inspect(), e.b.Stats(), e.b.Root()
	_, _ = e.b.Sequence(), e.b.Writable()
}

// wantClosedIterators ranges over everything.
func wantClosedIterators(t *testing.T, e ended) {
	t.Helper()
	for range e.b.All() {
		t.Error("All yields")
	}
	for range e.b.Backward() {
		t.Error("Backward yields")
	}
	for range e.b.Prefix([]byte("key")) {
		t.Error("Prefix yields")
	}
	for range e.b.Range([]byte("a"), nil) {
		t.Error("Range yields")
	}
}

// TestIteratorOutlivesTx ends the transaction inside the loop.
func TestIteratorOutlivesTx(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), 1000, 100)
		return nil
	})
	tx, err := db.Begin(false)
	must(t, err)
	n := 0
	for range tx.Bucket([]byte("b")).All() {
		if n++; n == 10 {
			must(t, tx.Rollback())
		}
	}
	if n != 10 {
		t.Fatalf("the loop saw %d records, and the transaction ended at 10", n)
	}
}

// TestDeletedBucketHandle uses a bucket that its transaction has deleted.
func TestDeletedBucketHandle(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "b")
		fill(t, b, 1000, 100)
		sub := mustBucket(t, b, "sub")
		put(t, sub, "k", "v")
		c := b.Cursor()
		c.First()
		must(t, tx.DeleteBucket([]byte("b")))
		gone := mapleaf.ErrBucketNotFound
		for name, x := range map[string]*mapleaf.Bucket{"the bucket": b, "its sub-bucket": sub} {
			wantErr(t, "put into "+name, x.Put([]byte("k"), nil), gone)
			wantErr(t, "delete from "+name, x.Delete([]byte("k")), gone)
			wantErr(t, "sequence of "+name, x.SetSequence(1), gone)
			_, err := x.CreateBucket([]byte("x"))
			wantErr(t, "create in "+name, err, gone)
			wantNone(t, x, "k")
		}
		if k, v := c.Next(); k != nil || v != nil {
			t.Fatalf("a cursor in a deleted bucket goes to %q %q", k, v)
		}
		wantErr(t, "delete by its cursor", c.Delete(), gone)
		return nil
	})
}

// TestMoveIntoItself moves a bucket to where it would contain itself.
func TestMoveIntoItself(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		a := mustBucket(t, tx, "a")
		deep := mustBucket(t, mustBucket(t, a, "b"), "c")
		put(t, deep, "k", "v")
		for _, dst := range []*mapleaf.Bucket{a, a.Bucket([]byte("b")), deep} {
			if err := tx.MoveBucket([]byte("a"), nil, dst); err == nil {
				t.Fatal("a bucket moves into itself")
			}
		}
		wantGet(t, a.Bucket([]byte("b")).Bucket([]byte("c")), "k", "v")
		return nil
	})
}

// TestManaged ends a managed transaction by hand, which is an error and no panic.
func TestManaged(t *testing.T) {
	db := openDB(t)
	run := func(name string, update func(func(*mapleaf.Tx) error) error, writable bool) {
		err := update(func(tx *mapleaf.Tx) error {
			wantErr(t, name+": Rollback", tx.Rollback(), mapleaf.ErrTxManaged)
			if !writable {
				wantErr(t, name+": Commit", tx.Commit(), mapleaf.ErrTxNotWritable)
				return nil
			}
			wantErr(t, name+": Commit", tx.Commit(), mapleaf.ErrTxManaged)
			put(t, mustBucket(t, tx, name), "k", "v")
			return nil
		})
		must(t, err)
	}
	run("update", db.Update, true)
	run("batch", db.Batch, true)
	run("view", db.View, false)
	db.MustView(func(tx *mapleaf.Tx) error {
		wantGet(t, tx.Bucket([]byte("update")), "k", "v")
		wantGet(t, tx.Bucket([]byte("batch")), "k", "v")
		return nil
	})
}

// TestGoexit ends the goroutine inside a transaction, which holds nothing up.
func TestGoexit(t *testing.T) {
	db := openDB(t)
	for name, run := range map[string]func(func(*mapleaf.Tx) error) error{
		"view": db.View, "update": db.Update, "batch": db.Batch,
	} {
		var group sync.WaitGroup
		group.Go(func() {
			err := run(func(tx *mapleaf.Tx) error {
				if tx.Writable() {
					if _, err := tx.CreateBucket([]byte(name)); err != nil {
						t.Error(err)
					}
				}
				runtime.Goexit()
				return nil
			})
			t.Errorf("%s returned %v", name, err)
		})
		group.Wait()
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		if got := tx.Inspect(); len(got.Children) != 0 {
			t.Fatalf("a goroutine that ended has committed %+v", got)
		}
		return nil
	})
}

// TestBatchRunsOnce counts how often each function of Batch runs.
func TestBatchRunsOnce(t *testing.T) {
	const n = 100
	db := openDB(t, noSync)
	runs := make([]int, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			err := db.Batch(func(tx *mapleaf.Tx) error {
				runs[i]++
				if _, err := tx.CreateBucket([]byte(fmt.Sprint(i))); err != nil {
					return err
				}
				if i%4 == 0 {
					return io.ErrUnexpectedEOF
				}
				return nil
			})
			if i%4 != 0 && err != nil || i%4 == 0 && err != io.ErrUnexpectedEOF {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	group.Wait()
	for i, got := range runs {
		if got != 1 {
			t.Fatalf("function %d ran %d times", i, got)
		}
	}
}
