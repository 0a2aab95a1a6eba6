package mapleaf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A lone durable commit costs exactly one sync, by pages and by the log, and, with a
// small change, a bounded number of writes.
func TestOneSyncPerCommit(t *testing.T) {
	rec := &recorder{}
	db := mustOpen(t, tempPath(t), &Options{wrapFile: rec.wrap})
	r := testRand(t, 20)
	m := model{}.mustUpdate(t, db, r, 200)
	for i := range 50 {
		before := rec.len()
		if err := <-put(db, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		syncs, _ := rec.count(opSync, before)
		appends, _ := rec.count(opDurable, before)
		if syncs+appends != 1 {
			t.Fatalf("commit %d took %d syncs and %d durable writes", i, syncs, appends)
		}
	}
	before := rec.len()
	if err := db.Update(func(*Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if rec.len() != before {
		t.Fatal("a commit without changes has touched the file")
	}
	db.NoSync = true
	before = rec.len()
	m.mustUpdate(t, db, r, 20)
	if n, _ := rec.count(opSync, before); n != 0 {
		t.Fatalf("commit with NoSync took %d syncs", n)
	}
	if err := db.Sync(); err != nil {
		t.Fatal(err)
	}
	if n, _ := rec.count(opSync, before); n != 1 {
		t.Fatalf("Sync took %d syncs", n)
	}
}

// slowSync is a file whose Sync waits until it is let go.
type slowSync struct {
	file
	entered chan struct{}
	release chan error
}

func (f *slowSync) Sync() error {
	f.entered <- struct{}{}
	if err := <-f.release; err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *slowSync) WriteVecDurable(bufs [][]byte, off int64) error {
	if err := f.file.WriteVec(bufs, off); err != nil {
		return err
	}
	return f.Sync()
}

// holdSync puts a slowSync under an open database.
func holdSync(db *DB) *slowSync {
	f := &slowSync{db.store.file, make(chan struct{}), make(chan error)}
	db.store.file = f
	return f
}

// put starts an Update that writes one key.
func put(db *DB, key string) <-chan error {
	done := make(chan error, 1)
	go func() {
		done <- db.Update(func(t *Tx) error {
			return t.Bucket(testBucket).Put([]byte(key), []byte(key))
		})
	}()
	return done
}

func has(t *testing.T, db *DB, key string) bool {
	t.Helper()
	var found bool
	err := db.View(func(t *Tx) error {
		found = t.Bucket(testBucket).Get([]byte(key)) != nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// waitHead waits until a transaction has joined a batch.
func waitHead(t *testing.T, db *DB, want uint64) {
	t.Helper()
	for range 5000 {
		db.store.mu.Lock()
		now := uint64(db.store.mu.head.TxID)
		db.store.mu.Unlock()
		if now >= want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("transaction %d never joined its batch", want)
}

// While one batch is synced, others begin, build on it, and share the next sync, which
// nobody comes to ask for (K6). Nothing is seen before it is durable.
func TestBatchesFillWhileOneIsSynced(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	model{}.mustUpdate(t, db, testRand(t, 21), 50)
	f := holdSync(db)
	head := uint64(db.store.mu.head.TxID)
	first := put(db, "first")
	<-f.entered
	second := put(db, "second")
	waitHead(t, db, head+2)
	third := put(db, "third")
	waitHead(t, db, head+3)
	if has(t, db, "first") {
		t.Fatal("seen before it is durable")
	}
	f.release <- nil
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if !has(t, db, "first") || has(t, db, "second") {
		t.Fatal("the first batch is not what is published")
	}
	<-f.entered
	f.release <- nil // one sync for two
	if err := errors.Join(<-second, <-third); err != nil {
		t.Fatal(err)
	}
	if !has(t, db, "second") || !has(t, db, "third") {
		t.Fatal("the second batch is not published")
	}
	db.store.file = f.file
}

// A failed batch takes everything with it that stands on it, publishes nothing,
// and lets nobody write afterwards; an unchanged transaction that read from it
// gets its error, too.
func TestFailedBatch(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, nil)
	model{}.mustUpdate(t, db, testRand(t, 22), 50)
	f := holdSync(db)
	head := uint64(db.store.mu.head.TxID)
	first := put(db, "first")
	<-f.entered
	second := put(db, "second")
	waitHead(t, db, head+2)
	idle := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		idle <- db.Update(func(t *Tx) error {
			defer close(began)
			if t.Bucket(testBucket).Get([]byte("second")) == nil {
				return errors.New("the newest state is not what a writer reads")
			}
			return nil
		})
	}()
	<-began
	f.release <- errInjected
	for name, done := range map[string]<-chan error{
		"first": first, "second": second, "idle": idle,
	} {
		if err := <-done; !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
			t.Errorf("%s transaction: %v", name, err)
		}
	}
	if has(t, db, "first") || has(t, db, "second") {
		t.Error("a failed batch is visible")
	}
	if _, err := db.Begin(true); !errors.Is(err, ErrFailed) {
		t.Errorf("begin after a failed batch: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	db = mustOpen(t, path, nil)
	if _, err := (model{}).update(db, testRand(t, 23), 5); err != nil {
		t.Error(err)
	}
}

// Many goroutines share few syncs, in the order of their transactions, and
// readers never see one move backwards.
func TestGroupCommit(t *testing.T) {
	rec := &recorder{}
	db := mustOpen(t, tempPath(t), &Options{wrapFile: rec.wrap})
	model{}.mustUpdate(t, db, testRand(t, 24), 50)
	before := rec.len()
	const workers, each = 16, 25
	counter := []byte("counter")
	var stop atomic.Bool
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		last := uint64(0)
		for !stop.Load() {
			err := db.View(func(tx *Tx) error {
				v := tx.Bucket(testBucket).Get(counter)
				if v == nil {
					return nil
				}
				now := binary.LittleEndian.Uint64(v)
				if now < last {
					return fmt.Errorf("counter went from %d to %d", last, now)
				}
				last = now
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range workers {
		writers.Go(func() {
			for range each {
				err := db.Update(func(tx *Tx) error {
					b := tx.Bucket(testBucket)
					if b == nil {
						return fmt.Errorf("bucket is missing: %w", tx.Err())
					}
					var n uint64
					if v := b.Get(counter); v != nil {
						n = binary.LittleEndian.Uint64(v)
					}
					return b.Put(counter, binary.LittleEndian.AppendUint64(nil, n+1))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	err := db.View(func(tx *Tx) error {
		n := binary.LittleEndian.Uint64(tx.Bucket(testBucket).Get(counter))
		if n != workers*each {
			return fmt.Errorf("counter is %d", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := rec.count(opSync, before); n >= workers*each {
		t.Errorf("%d transactions took %d syncs", workers*each, n)
	}
}

// Waiting for the writer lock ends with the context, and with Close.
func TestBeginWaits(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	w, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := db.BeginContext(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("begin with a context: %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := db.Begin(true)
		waiting <- err
	}()
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	if err := <-waiting; !errors.Is(err, ErrDatabaseNotOpen) {
		t.Fatalf("begin during close: %v", err)
	}
	if err := w.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for _, writable := range []bool{false, true} {
		if _, err := db.Begin(writable); !errors.Is(err, ErrDatabaseNotOpen) {
			t.Fatalf("begin(%t) after close: %v", writable, err)
		}
	}
}

// A panic, an error and a Goexit inside a function release everything and touch
// nobody else.
func TestFunctionsThatDoNotReturn(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	m := model{}.mustUpdate(t, db, testRand(t, 25), 50)
	spoil := func(tx *Tx) {
		if err := tx.Bucket(testBucket).Put([]byte("spoiled"), []byte("x")); err != nil {
			t.Error(err)
		}
	}
	for _, call := range []func(func(*Tx) error) error{db.Update, db.Batch} {
		func() {
			defer func() {
				if r := recover(); r != "mine" {
					t.Errorf("recovered %v", r)
				}
			}()
			err := call(func(tx *Tx) error {
				spoil(tx)
				panic("mine")
			})
			t.Errorf("panic came back as %v", err)
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			err := call(func(tx *Tx) error {
				spoil(tx)
				runtime.Goexit()
				return nil
			})
			t.Errorf("Goexit came back as %v", err)
		}()
		<-done
		mine := errors.New("mine")
		err := call(func(tx *Tx) error {
			spoil(tx)
			return mine
		})
		if err != mine {
			t.Errorf("error came back as %v", err)
		}
	}
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
}

// growing is a file that grows just after each look at its size.
type growing struct {
	file
	grow func() error
}

func (f *growing) Size() (int64, error) {
	size, err := f.file.Size()
	return size, errors.Join(err, f.grow())
}

// A transaction makes the file grow while the committer asks whether somebody has cut it.
func TestGrowthIsNoCut(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	s := db.store
	s.file = &growing{s.file, func() error { return s.growFile(s.fileSize + 1) }}
	had := s.sized.Load()
	if err := s.uncut(); err != nil {
		t.Error(err)
	}
	if s.sized.Load() == had {
		t.Error("the file did not grow")
	}
}

// A lone transaction commits on its own goroutine: the committer is not even there (K6).
func TestLoneTransactionCommitsItself(t *testing.T) {
	db := mustOpen(t, tempPath(t), nil)
	model{}.mustUpdate(t, db, testRand(t, 28), 50)
	db.store.halt()
	for i := range 500 { // by pages, and by the log
		if err := <-put(db, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if db.store.log.extents[0].count == 0 {
		t.Error("there is no log yet")
	}
}
