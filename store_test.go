package mapleaf

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

var seedFlag = flag.Uint64("pageseed", 1, "seed of the page manager's random tests")

// testRand returns a generator whose seed is printed if the test fails.
func testRand(t *testing.T, salt uint64) *rand.Rand {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed: -pageseed %d, salt %d", *seedFlag, salt)
		}
	})
	return rand.New(rand.NewPCG(*seedFlag, salt))
}

// mustOpen opens a database, and checks and closes it when the test ends.
func mustOpen(t *testing.T, path string, o *Options) *DB {
	t.Helper()
	db, err := Open(path, 0o600, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() { // with transactions open, perhaps: Close would wait for them
			go db.Close()
			return
		}
		if db.store.published.Load() != nil {
			mustCheck(t, db)
		}
		if err := db.Close(); err != nil && db.store.failed() == nil {
			t.Error(err)
		}
	})
	return db
}

func tempPath(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") }

func mustClose(t *testing.T, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkErrors returns what Check reports about the newest state.
func checkErrors(db *DB) error {
	return db.View(func(t *Tx) error {
		var errs []error
		for err := range t.Check() {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func mustCheck(t *testing.T, db *DB) {
	t.Helper()
	if err := checkErrors(db); err != nil {
		t.Fatal(err)
	}
}

// A model is what a database with one bucket should hold.
type model map[string]string

var testBucket = []byte("bucket")

// change makes random changes in a transaction and in a copy of the model.
func (m model) change(b *Bucket, r *rand.Rand, n int) (model, error) {
	m = maps.Clone(m)
	for range n {
		key := fmt.Sprintf("key%04d", r.IntN(400))
		if r.IntN(4) == 0 {
			delete(m, key)
			if err := b.Delete([]byte(key)); err != nil {
				return nil, err
			}
			continue
		}
		size := r.IntN(120)
		switch r.IntN(20) {
		case 0:
			size = r.IntN(20000)
		case 1:
			size = 0
		}
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(r.Uint32())
		}
		m[key] = string(value)
		if err := b.Put([]byte(key), value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// update commits n random changes and returns the model afterwards.
func (m model) update(db *DB, r *rand.Rand, n int) (model, error) {
	next := m
	err := db.Update(func(t *Tx) error {
		b, err := t.CreateBucketIfNotExists(testBucket)
		if err == nil {
			next, err = m.change(b, r, n)
		}
		return err
	})
	return next, err
}

func (m model) mustUpdate(t *testing.T, db *DB, r *rand.Rand, n int) model {
	t.Helper()
	next, err := m.update(db, r, n)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// compare returns an error unless the database holds exactly the model.
func (m model) compare(db *DB) error {
	return db.View(func(t *Tx) error { return m.compareTx(t) })
}

func (m model) compareTx(t *Tx) error {
	b := t.Bucket(testBucket)
	if b == nil {
		if len(m) == 0 {
			return nil
		}
		return errors.New("bucket is missing")
	}
	keys := slices.Sorted(maps.Keys(m))
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(keys) == 0 || keys[0] != string(k) {
			return fmt.Errorf("key %q is not expected", k)
		}
		if m[keys[0]] != string(v) {
			return fmt.Errorf("value of %q differs", k)
		}
		keys = keys[1:]
	}
	if len(keys) > 0 {
		return fmt.Errorf("key %q is missing", keys[0])
	}
	return t.Err()
}

// An op is one call that a recorder has seen.
type op struct {
	kind opKind
	off  int64
	data []byte // of a write
	size int64  // of the file, after an allocate or truncate
	note int    // of a note: transactions acknowledged so far
}

type opKind string

const (
	opRead     opKind = "read"
	opWrite    opKind = "write"
	opAllocate opKind = "allocate"
	opTruncate opKind = "truncate"
	opSync     opKind = "sync"
	opDurable  opKind = "durable" // what was written at off is durable now
	opSize     opKind = "size"
	opAsk      opKind = "ask" // what the drive has
	opNote     opKind = "note"
)

// errInjected is what a failing call returns.
var errInjected = errors.New("injected failure")

// A recorder remembers every call on the files that it wraps, and can let one fail.
type recorder struct {
	mu     sync.Mutex
	ops    []op
	calls  int
	failAt int // the call, from 1 on, that fails; 0 = none
	failed opKind
	slow   time.Duration // what a sync takes at least
}

// wrap is Options.wrapFile, for each descriptor of a file.
func (r *recorder) wrap(f file) file { return recordedFile{f, r} }

// call counts a call, notes it, and says whether it fails.
func (r *recorder) call(o op) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.calls == r.failAt {
		r.failed = o.kind
		return fmt.Errorf("%w: %s, call %d", errInjected, o.kind, r.calls)
	}
	if o.kind != opRead && o.kind != opSize && o.kind != opAsk {
		r.ops = append(r.ops, o)
	}
	return nil
}

func (r *recorder) note(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op{kind: opNote, note: n})
}

// count returns how many calls of a kind there were, from op number from on.
func (r *recorder) count(kind opKind, from int) (n int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.ops[from:] {
		if o.kind == kind {
			n++
			bytes += int64(len(o.data))
		}
	}
	return n, bytes
}

func (r *recorder) len() int { return len(r.noted()) }

// noted returns what was noted so far. A checkpoint that an open database makes in
// the background goes on noting, therefore the field is for closed ones.
func (r *recorder) noted() []op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.ops)
}

// forget drops what was noted.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = nil
}

// called returns how many calls there were.
func (r *recorder) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// failIn lets the n-th call from now on fail, or none for 0.
func (r *recorder) failIn(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failAt = 0; n > 0 {
		r.failAt = r.calls + n
	}
}

// A recordedFile is a file whose calls a recorder sees.
type recordedFile struct {
	file
	r *recorder
}

func (f recordedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.r.call(op{kind: opRead}); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, off)
}

func (f recordedFile) WriteVec(bufs [][]byte, off int64) error {
	all := slices.Concat(bufs...)
	if err := f.r.call(op{kind: opWrite, off: off, data: all}); err != nil {
		half := [][]byte{all[:len(all)/2]}
		return errors.Join(err, f.file.WriteVec(half, off)) // a torn write
	}
	return f.file.WriteVec(bufs, off)
}

func (f recordedFile) WriteVecDurable(bufs [][]byte, off int64) error {
	all := slices.Concat(bufs...)
	time.Sleep(f.r.slow)
	if err := f.WriteVec(bufs, off); err != nil {
		return err
	}
	if err := f.r.call(op{kind: opDurable, off: off, size: int64(len(all))}); err != nil {
		return err
	}
	return f.file.WriteVecDurable(bufs, off)
}

func (f recordedFile) Allocate(size int64) error {
	if err := f.r.call(op{kind: opAllocate, size: size}); err != nil {
		return err
	}
	return f.file.Allocate(size)
}

func (f recordedFile) Truncate(size int64) error {
	if err := f.r.call(op{kind: opTruncate, size: size}); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f recordedFile) Sync() error {
	time.Sleep(f.r.slow)
	if err := f.r.call(op{kind: opSync}); err != nil {
		return err
	}
	return f.file.Sync()
}

// Drive reads through the recorder, so that those reads fail in their turn, too.
func (f recordedFile) Drive() (mmapfile.DriveReader, error) {
	return driveRecorder{cacheReader{f.file}, f.r}, nil
}

type driveRecorder struct {
	cacheReader
	r *recorder
}

func (d driveRecorder) ReadAt(p []byte, off int64) (int, error) {
	if err := d.r.call(op{kind: opAsk}); err != nil {
		return 0, err
	}
	return d.cacheReader.ReadAt(p, off)
}

func (f recordedFile) Size() (int64, error) {
	if err := f.r.call(op{kind: opSize}); err != nil {
		return 0, err
	}
	return f.file.Size()
}

// lazyFile is a file whose Sync does nothing, for tests that open many files and
// lose power in none.
type lazyFile struct{ file }

func (lazyFile) Sync() error                  { return nil }
func (lazyFile) WriteBack(off, n int64) error { return nil }

func (lazyFile) StartWriteBack(off, n int64) error { return nil }
func (f lazyFile) WriteVecDurable(bufs [][]byte, off int64) error {
	return f.WriteVec(bufs, off)
}

func (f lazyFile) Drive() (mmapfile.DriveReader, error) { return cacheReader{f}, nil }

func wrapLazy(f file) file { return lazyFile{f} }

// A cacheReader is the drive of a file whose cache and drive hold the same.
type cacheReader struct{ file }

func (cacheReader) Close() error { return nil }

// copyFile copies a file as it is.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readMeta returns the meta in slot i of a file.
func readMeta(t *testing.T, path string, i int) *meta {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, metaSlotSize)
	if _, err := f.ReadAt(b, slotOffset(i)); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	m, err := decodeMeta(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// memFile is a file in memory.
type memFile struct{ b []byte }

func (m *memFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memFile) WriteVec(bufs [][]byte, off int64) error {
	for _, b := range bufs {
		if err := m.Allocate(off + int64(len(b))); err != nil {
			return err
		}
		off += int64(copy(m.b[off:], b))
	}
	return nil
}

func (m *memFile) Allocate(size int64) error {
	if n := size - int64(len(m.b)); n > 0 {
		m.b = append(m.b, make([]byte, n)...)
	}
	return nil
}

func (m *memFile) Truncate(size int64) error {
	m.b = slices.Clip(m.b[:min(size, int64(len(m.b)))])
	return m.Allocate(size)
}

func (m *memFile) WriteVecDurable(bufs [][]byte, off int64) error {
	return m.WriteVec(bufs, off)
}

func (m *memFile) WriteBack(off, n int64) error { return nil }

func (m *memFile) StartWriteBack(off, n int64) error { return nil }

func (m *memFile) Drive() (mmapfile.DriveReader, error) { return cacheReader{m}, nil }

func (m *memFile) Sync() error          { return nil }
func (m *memFile) Size() (int64, error) { return int64(len(m.b)), nil }

var _ file = (*mmapfile.File)(nil)
