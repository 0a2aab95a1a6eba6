package mapleaf

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// A gateFile lets an append to the log wait.
type gateFile struct {
	lazyFile
	gate func()
}

func (f gateFile) WriteVecDurable(bufs [][]byte, off int64) error {
	f.gate()
	return f.WriteVec(bufs, off)
}

// generationKeys is how many keys a generation has.
const generationKeys = 3000

// putGeneration gives every key a value of size bytes gen.
func putGeneration(tx *Tx, gen byte, size int) error {
	b, err := tx.CreateBucketIfNotExists(testBucket)
	for i := range generationKeys {
		if err == nil {
			err = b.Put(fmt.Appendf(nil, "key%05d", i), bytes.Repeat([]byte{gen}, size))
		}
	}
	return err
}

// checkGeneration returns an error unless every key has that value.
func checkGeneration(db *DB, gen byte, size int) error {
	return db.View(func(tx *Tx) error {
		b := tx.Bucket(testBucket)
		for i := range generationKeys {
			got := b.Get(fmt.Appendf(nil, "key%05d", i))
			if !bytes.Equal(got, bytes.Repeat([]byte{gen}, size)) {
				return fmt.Errorf("key %d has %.10x, %v", i, got, tx.Err())
			}
		}
		return nil
	})
}

// putOne is a transaction for the log.
func putOne(tx *Tx) error {
	return tx.Bucket(testBucket).Put([]byte("one"), []byte("value"))
}

// The pages of a commit that went by pages may stand in the overlay of one that
// joined behind it and goes by the log: their buffers stay until that is superseded.
func TestPagesBeforeRecord(t *testing.T) {
	var wait sync.Mutex
	waits := make(chan struct{}, 8)
	o := logOptions()
	o.wrapFile = func(f file) file {
		return gateFile{lazyFile{f}, func() {
			waits <- struct{}{}
			defer func() { <-waits }()
			wait.Lock()
			defer wait.Unlock()
		}}
	}
	db := mustOpen(t, tempPath(t), o)
	s := db.store
	for _, fn := range []func(*Tx) error{
		func(tx *Tx) error { return putGeneration(tx, 1, 100) }, putOne, putOne,
	} {
		if err := db.Update(fn); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := putGeneration(pages, 2, 400); err != nil { // more than the log takes
		t.Fatal(err)
	}
	s.writing.Lock() // the committer waits for it
	wait.Lock()
	done := make(chan error, 2)
	go func() { done <- pages.Commit() }()
	record, err := db.Begin(true) // when that has joined
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(record); err != nil {
		t.Fatal(err)
	}
	go func() { done <- record.Commit() }()
	s.writer <- struct{}{} // until that has, too
	<-s.writer
	s.writing.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for len(waits) == 0 {
		time.Sleep(time.Millisecond)
	}
	next, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := putGeneration(next, 3, 100); err != nil {
		t.Fatal(err)
	}
	wait.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := checkGeneration(db, 2, 400); err != nil {
		t.Error(err)
	}
	if err := next.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
}

// Processes that write in turn give back the memory of what they have written.
func TestTurnsKeepBuffers(t *testing.T) {
	path := tempPath(t)
	dbs := []*DB{
		mustOpen(t, path, &Options{wrapFile: wrapLazy}),
		mustOpen(t, path, &Options{wrapFile: wrapLazy}),
	}
	r := testRand(t, 99)
	m := model{}
	for range 300 {
		for _, db := range dbs {
			m = m.mustUpdate(t, db, r, 5)
		}
	}
	for i, db := range dbs {
		if n := len(db.store.buffers.slabs); n > 1 {
			t.Errorf("database %d has allocated %d slabs", i, n)
		}
		if err := m.compare(db); err != nil {
			t.Error(err)
		}
	}
}

// Memory that is in use is not given back, also if some buffers are of the Go heap.
func TestTrimBesideHeap(t *testing.T) {
	b := &buffers{size: DefaultPageSize}
	used := make([][]byte, trimBytes/b.size+1)
	for i := range used {
		used[i] = b.get()
	}
	last := b.free
	b.free = nil
	b.add(nil, mmapfile.ErrTooLarge)
	b.free = append(b.free, last...)
	for _, buf := range used[1:] {
		b.put(buf)
	}
	if err := b.trim(); err != nil {
		t.Fatal(err)
	}
	if len(b.slabs) == 0 {
		t.Fatal("memory was given back that is in use")
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
}

// A batch fails after a writer was let in and before he looks for the newest state: nobody
// sees that of the batch, also if a checkpoint has ended meanwhile.
func TestFailedBatchIsNotPublished(t *testing.T) {
	rec := &recorder{}
	db := mustOpen(t, tempPath(t), &Options{logAtOnce: true, wrapFile: rec.wrap})
	mustCount(t, db, 1)
	mustCount(t, db, 2)
	s := db.store
	s.writing.Lock() // no checkpoint runs
	defer s.writing.Unlock()
	failing, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	defer rollback(failing)
	if _, err := addTo(failing.Bucket(testBucket), counterKey, 1); err != nil {
		t.Fatal(err)
	}
	rec.failIn(1)
	err = failing.Commit()
	if !errors.Is(err, ErrFailed) {
		t.Fatalf("commit: %v", err)
	}
	s.mu.finished = append(s.mu.finished, &epoch{first: s.mu.written})
	s.writer <- struct{}{}
	tx, err := s.startWriter()
	if err == nil {
		rollback(tx)
	} else {
		<-s.writer
	}
	if !errors.Is(err, ErrFailed) {
		t.Errorf("begin: %v", err)
	}
	wantCounted(t, db, 2)
}

// The buffer of a long value is used again by the next one of about its size. Of those
// that nobody uses few are kept, none that is very long, and none when all is given back.
func TestBuffersOfExtents(t *testing.T) {
	b := &buffers{size: DefaultPageSize}
	first := b.extent(40 * DefaultPageSize)
	b.put(first)
	if got := b.extent(10 * DefaultPageSize); &got[0] == &first[0] {
		t.Error("a short extent has the buffer of a long one")
	}
	again := b.extent(39 * DefaultPageSize)
	if &again[0] != &first[0] || len(again) != 39*DefaultPageSize {
		t.Error("the buffer is not used again")
	}
	b.put(again)
	if again = b.extent(40 * DefaultPageSize); &again[0] != &first[0] {
		t.Error("the end of the buffer is lost")
	}
	for i := range 2 * longKept {
		b.put(make([]byte, (i+2)*DefaultPageSize))
	}
	b.put(make([]byte, longBytes+DefaultPageSize))
	if len(b.long) != longKept {
		t.Errorf("%d buffers are kept, want %d", len(b.long), longKept)
	}
	if err := b.trim(); err != nil || len(b.long) > 0 {
		t.Errorf("%d buffers are left, %v", len(b.long), err)
	}
}
