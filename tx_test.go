package mapleaf_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
)

func TestUpdateCommitsOrRollsBack(t *testing.T) {
	db := openDB(t)
	fail := errors.New("undo")
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		put(t, mustBucket(t, tx, "b"), "k", "old")
		return nil
	})
	err := db.Update(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("b"))
		put(t, b, "k", "new")
		fill(t, b, 3000, 50)
		mustBucket(t, tx, "c")
		return fail
	})
	if err != fail {
		t.Fatalf("Update returns %v, want the function's error", err)
	}
	db.MustView(func(tx *mapleaf.Tx) error {
		wantPairs(t, tx.Bucket([]byte("b")), []pair{{key: "k", value: "old"}})
		if tx.Bucket([]byte("c")) != nil {
			t.Fatal("a bucket survived its rollback")
		}
		return nil
	})
	if err := db.View(func(*mapleaf.Tx) error { return fail }); err != fail {
		t.Fatalf("View returns %v, want the function's error", err)
	}
}

// TestPanicRollsBack lets the user's panic through, and nothing of its writes.
func TestPanicRollsBack(t *testing.T) {
	db := openDB(t)
	catch := func(fn func()) (caught any) {
		defer func() { caught = recover() }()
		fn()
		return nil
	}
	got := catch(func() {
		_ = db.Update(func(tx *mapleaf.Tx) error {
			put(t, mustBucket(t, tx, "b"), "k", "v")
			panic("of the user")
		})
	})
	if got != "of the user" {
		t.Fatalf("Update: the panic became %v", got)
	}
	got = catch(func() {
		_ = db.View(func(tx *mapleaf.Tx) error { panic("of the reader") })
	})
	if got != "of the reader" {
		t.Fatalf("View: the panic became %v", got)
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		if tx.Bucket([]byte("b")) != nil {
			t.Fatal("writes before a panic were committed")
		}
		return nil
	})
}

func TestBeginByHand(t *testing.T) {
	db := openDB(t)
	tx, err := db.Begin(true)
	must(t, err)
	if !tx.Writable() {
		t.Fatal("Begin(true) is not writable")
	}
	put(t, mustBucket(t, tx, "b"), "k", "v")
	must(t, tx.Commit())

	tx, err = db.Begin(true)
	must(t, err)
	put(t, tx.Bucket([]byte("b")), "k", "lost")
	must(t, tx.Rollback())

	read, err := db.Begin(false)
	must(t, err)
	if read.Writable() {
		t.Fatal("Begin(false) is writable")
	}
	wantGet(t, read.Bucket([]byte("b")), "k", "v")
	wantErr(t, "commit a read transaction", read.Commit(), mapleaf.ErrTxNotWritable)
	must(t, read.Rollback())
	wantErr(t, "end a transaction twice", read.Rollback(), mapleaf.ErrTxClosed)
}

func TestClosedTxCommit(t *testing.T) {
	db := openDB(t)
	for _, end := range []func(*mapleaf.Tx) error{
		(*mapleaf.Tx).Commit, (*mapleaf.Tx).Rollback,
	} {
		tx, err := db.Begin(true)
		must(t, err)
		must(t, end(tx))
		wantErr(t, "Rollback", tx.Rollback(), mapleaf.ErrTxClosed)
	}
}

func TestOnCommitOrder(t *testing.T) {
	db := openDB(t)
	var got []int
	note := func(tx *mapleaf.Tx) {
		for i := range 5 {
			tx.OnCommit(func() { got = append(got, i) })
		}
	}
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		note(tx)
		if len(got) != 0 {
			t.Fatal("OnCommit ran before the commit")
		}
		mustBucket(t, tx, "b")
		return nil
	})
	if want := []int{0, 1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Fatalf("OnCommit ran as %v, want %v", got, want)
	}
	got = nil
	fail := errors.New("undo")
	err := db.Update(func(tx *mapleaf.Tx) error { note(tx); return fail })
	wantErr(t, "update", err, fail)
	tx, err := db.Begin(true)
	must(t, err)
	note(tx)
	must(t, tx.Rollback())
	if len(got) != 0 {
		t.Fatalf("OnCommit ran %d times after a rollback", len(got))
	}
}

// TestOnCommitUpdates begins the next transaction inside OnCommit: no lock is held.
func TestOnCommitUpdates(t *testing.T) {
	db := openDB(t)
	var inner error
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		put(t, mustBucket(t, tx, "b"), "k", "v")
		tx.OnCommit(func() {
			inner = db.Update(func(tx *mapleaf.Tx) error {
				wantGet(t, tx.Bucket([]byte("b")), "k", "v")
				return tx.Bucket([]byte("b")).Put([]byte("k2"), []byte("v2"))
			})
		})
		return nil
	})
	must(t, inner)
	db.MustView(func(tx *mapleaf.Tx) error {
		wantGet(t, tx.Bucket([]byte("b")), "k2", "v2")
		return nil
	})
}

// TestSnapshotIsolation holds a reader for each of many states.
func TestSnapshotIsolation(t *testing.T) {
	const states = 40
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	var readers []*mapleaf.Tx
	for i := range states {
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			b := tx.Bucket([]byte("b"))
			put(t, b, "state", fmt.Sprint(i))
			for j := range 50 {
				must(t, b.Put([]byte(key8((i*31+j*7)%400)), value(i, 300)))
			}
			return b.Delete([]byte(key8(i % 400)))
		})
		tx, err := db.Begin(false)
		must(t, err)
		readers = append(readers, tx)
	}
	sums := map[int]string{}
	for round := range 2 {
		for i, tx := range readers {
			b := tx.Bucket([]byte("b"))
			wantGet(t, b, "state", fmt.Sprint(i))
			sum := ""
			for _, p := range pairs(t, b) {
				sum += p.key[len(p.key)-3:] + p.value[:min(len(p.value), 4)]
			}
			if round == 1 && sums[i] != sum {
				t.Fatalf("state %d changed while its reader was open", i)
			}
			sums[i] = sum
		}
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			fill(t, tx.Bucket([]byte("b")), 3000, 200)
			return nil
		})
	}
	for _, i := range []int{0, 39, 20} {
		must(t, readers[i].Rollback())
		readers[i] = nil
		db.MustUpdate(func(tx *mapleaf.Tx) error {
			return tx.Bucket([]byte("b")).Put([]byte("x"), nil)
		})
	}
	for i, tx := range readers {
		if tx != nil {
			wantGet(t, tx.Bucket([]byte("b")), "state", fmt.Sprint(i))
			must(t, tx.Rollback())
		}
	}
}

func TestTxID(t *testing.T) {
	db := openDB(t)
	id := func() (n int) {
		db.MustView(func(tx *mapleaf.Tx) error { n = tx.ID(); return nil })
		return n
	}
	before := id()
	var writer int
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		writer = tx.ID()
		mustBucket(t, tx, "b")
		return nil
	})
	if writer <= before {
		t.Fatalf("writer %d after state %d", writer, before)
	}
	if got := id(); got != writer {
		t.Fatalf("a reader after transaction %d has id %d", writer, got)
	}
	db.Reopen()
	if got := id(); got < writer {
		t.Fatalf("id %d after reopening, was %d", got, writer)
	}
}

// TestOneWriterAtATime counts who is inside a write transaction.
func TestOneWriterAtATime(t *testing.T) {
	const writers, rounds = 8, 25
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	var inside, total atomic.Int32
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for range rounds {
				tx, err := db.Begin(true)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two write transactions at once")
				}
				b := tx.Bucket([]byte("b"))
				n := b.Sequence()
				total.Add(1)
				if err := b.SetSequence(n + 1); err != nil {
					t.Error(err)
				}
				inside.Add(-1)
				end := tx.Commit
				if w == 0 {
					total.Add(-1)
					end = tx.Rollback
				}
				if err := end(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	db.MustView(func(tx *mapleaf.Tx) error {
		if got := tx.Bucket([]byte("b")).Sequence(); got != uint64(total.Load()) {
			t.Fatalf("%d committed increments, sequence %d", total.Load(), got)
		}
		return nil
	})
}

func TestTxForEach(t *testing.T) {
	db := openDB(t)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		for _, name := range []string{"c", "a", "b"} {
			put(t, mustBucket(t, tx, name), "name", name)
		}
		return nil
	})
	db.MustView(func(tx *mapleaf.Tx) error {
		var got string
		must(t, tx.ForEach(func(name []byte, b *mapleaf.Bucket) error {
			got += string(name) + string(b.Get([]byte("name")))
			return nil
		}))
		if got != "aabbcc" {
			t.Fatalf("ForEach gives %s", got)
		}
		return nil
	})
}

// TestSharedReadTx reads one transaction from several goroutines.
func TestSharedReadTx(t *testing.T) {
	const n = 3000
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "b"), n, 60)
		return nil
	})
	db.Reopen()
	tx, err := db.Begin(false)
	must(t, err)
	var group sync.WaitGroup
	for w := range 6 {
		group.Go(func() {
			b := tx.Bucket([]byte("b"))
			for i := w; i < n; i += 3 {
				if got := b.Get([]byte(key8(i))); string(got) != string(value(i, 60)) {
					t.Errorf("goroutine %d reads %.20q for record %d", w, got, i)
					return
				}
			}
		})
	}
	group.Wait()
	must(t, tx.Rollback())
}

func TestEmptyCommit(t *testing.T) {
	db := openDB(t)
	for range 5 {
		db.MustUpdate(func(*mapleaf.Tx) error { return nil })
		tx, err := db.Begin(true)
		must(t, err)
		must(t, tx.Commit())
	}
	db.MustView(func(tx *mapleaf.Tx) error {
		if k, v := tx.Cursor().First(); k != nil || v != nil {
			t.Fatalf("an empty database holds %q", k)
		}
		return nil
	})
}
