package mapleaf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/hostile"
)

const (
	fuzzTimeMax  = 30 * time.Second // for all that is done with one file
	fuzzAllocMax = 64 << 20         // bytes, for the same
	fuzzCopyMax  = 4 << 20          // bytes of values that useWriting copies
)

// watch fails the process if the caller does not call the result in time.
func watch(what string) (stop func() bool) {
	return time.AfterFunc(fuzzTimeMax, func() { panic(what + " hangs") }).Stop
}

// FuzzOpen changes a database file and does everything with it. The input is a
// byte of flags and patches of five bytes: page, offset in it, and two bytes to
// put there. With the first flag, checksums are made right again after the
// patches, so that what stands behind them is reached too; with the second, the
// input is the whole file; with the third, the file ends at the last patch.
func FuzzOpen(f *testing.F) {
	bases := [][]byte{smallFile(f, 1), smallFile(f, 2), loggedFile(f)}
	f.Add([]byte{0})
	f.Add([]byte{1})
	f.Add([]byte{2, 'M', 'a', 'p', 'l', 'e', 'a', 'f', 0, 1})
	for _, base := range bases {
		f.Add(append([]byte{2}, base[:300]...))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		input := []byte{byte(i)&0x1d | byte(i%5)>>2<<5}
		for range 1 + i%4 {
			offset := rng.IntN(4096)
			if i%3 > 0 {
				offset %= 120
			}
			input = append(input, byte(rng.IntN(24)), byte(offset), byte(offset>>8))
			input = append(input, byte(rng.Uint32()>>(i%25)), byte(rng.Uint32()>>(i%32)))
		}
		f.Add(input)
	}
	for i := range 20 { // in the records of the log
		at := logAt(bases[2]) + rng.IntN(100)
		f.Add([]byte{0x20 | byte(i%2), byte(at >> 12), byte(at), byte(at >> 8 & 15),
			byte(rng.Uint32()), byte(rng.Uint32())})
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 {
			return
		}
		file, flags := input[1:], input[0]
		if flags&2 == 0 {
			base := bases[int(flags>>4&3)%len(bases)]
			file = patched(bytes.Clone(base), input[1:], flags&4 != 0)
			if flags&1 != 0 {
				hostile.Reseal(file)
			}
		}
		useFile(t, file, flags&3 == 0)
	})
}

// smallFile returns a database with a few pages of each kind.
func smallFile(f *testing.F, variant int) []byte {
	path := filepath.Join(f.TempDir(), "db")
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
	must(f, err)
	must(f, db.Update(func(tx *mapleaf.Tx) error {
		fill(f, mustBucket(f, tx, "gone"), 50, 40)
		b := mustBucket(f, tx, "b")
		fill(f, b, 60*variant, 60)
		must(f, b.Put([]byte("large"), value(1, 6000)))
		put(f, b, "l"+string(value(1, 3000)), "long")
		put(f, mustBucket(f, b, "inline"), "k", "v")
		for i := range 120 * variant {
			must(f, b.Bucket([]byte("inline")).Put(binary.BigEndian.AppendUint32(nil, uint32(i)), nil))
		}
		put(f, mustBucket(f, tx, "small"), "k", "v")
		return nil
	}))
	must(f, db.Update(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("gone")) }))
	if variant == 1 {
		must(f, db.Close())
	} else {
		defer db.Close() // the file of a process that was killed
	}
	content, err := os.ReadFile(path)
	must(f, err)
	// What was preallocated behind the last page is of no interest.
	content = bytes.TrimRight(content, "\x00")
	return append(content, make([]byte, -len(content)&4095)...)
}

// loggedFile returns the file of a process that was killed while it had a log.
func loggedFile(f *testing.F) []byte {
	f.Helper()
	path := filepath.Join(f.TempDir(), "db")
	o := &mapleaf.Options{}
	mapleaf.WithLog(o)
	db, err := mapleaf.Open(path, 0o600, o)
	must(f, err)
	defer db.Close()
	for i := range 8 {
		must(f, db.Update(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(f, err)
			if i == 0 {
				fill(f, b, 200, 60)
			}
			put(f, b, fmt.Sprint(i), "value")
			sub, err := b.CreateBucketIfNotExists([]byte("sub"))
			must(f, err)
			return sub.SetSequence(uint64(i))
		}))
	}
	content, err := os.ReadFile(path)
	must(f, err)
	if at := logAt(content); at == 0 || bytes.Equal(content[at:at+48], make([]byte, 48)) {
		f.Fatal("the file has no log")
	}
	return content[:min(len(content), 256<<12)]
}

// logAt returns where the log begins that the newest meta names, 0 if there is none.
func logAt(file []byte) int {
	le := binary.LittleEndian
	slot := file
	if le.Uint64(file[16384+16:]) > le.Uint64(file[16:]) {
		slot = file[16384:]
	}
	return int(le.Uint32(slot[104:])) << 12
}

// patched applies patches to a file, and cuts it at the last one if asked to.
func patched(file, patches []byte, cut bool) []byte {
	at := 0
	for ; len(patches) >= 5; patches = patches[5:] {
		at = int(patches[0])<<12 + int(binary.LittleEndian.Uint16(patches[1:])&0xfff)
		if at+2 <= len(file) {
			copy(file[at:], patches[3:5])
		}
	}
	if cut && at < len(file) {
		return file[:at]
	}
	return file
}

// useFile does everything with a file of arbitrary content. In a file whose
// checksums were not forged, all ways of reading agree, or there is an error.
func useFile(t *testing.T, content []byte, honest bool) {
	t.Helper()
	defer watch("a file")()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	path := filepath.Join(t.TempDir(), "db")
	for _, readOnly := range []bool{true, false} {
		must(t, os.WriteFile(path, content, 0o600))
		db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{
			ReadOnly: readOnly, NoSync: true, MaxSize: 64 << 20, Timeout: fuzzTimeMax,
		})
		if err != nil {
			wantTyped(t, "Open", err)
			left, readErr := os.ReadFile(path)
			must(t, readErr)
			if errors.Is(err, mapleaf.ErrInvalid) && !bytes.Equal(left, content) && len(content) > 0 {
				t.Fatalf("Open refuses the file with %v, and has changed it", err)
			}
			continue
		}
		useReading(t, db, honest)
		if !readOnly {
			useWriting(t, db)
		}
		wantTyped(t, "Close", db.Close())
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > fuzzAllocMax {
		t.Fatalf("a file of %d bytes makes the process allocate %d", len(content), got)
	}
}

// wantTyped fails the test unless err is nil, tells of damage, or refuses what
// cannot be done with the contents of the file.
func wantTyped(t *testing.T, call string, err error) {
	t.Helper()
	for _, known := range []error{
		nil, mapleaf.ErrIncompatibleValue, mapleaf.ErrBucketExists, mapleaf.ErrBucketNotFound,
		mapleaf.ErrMaxSizeReached, mapleaf.ErrDatabaseReadOnly, mapleaf.ErrInvalidMapping,
	} {
		if errors.Is(err, known) {
			return
		}
	}
	if !isRefusal(err) || !strings.HasPrefix(err.Error(), "mapleaf: ") {
		t.Fatalf("%s returns %v", call, err)
	}
}

// useReading reads everything there is.
func useReading(t *testing.T, db *mapleaf.DB, honest bool) {
	t.Helper()
	wantTyped(t, "View", db.View(func(tx *mapleaf.Tx) error {
		var down func(b *mapleaf.Bucket, depth int)
		down = func(b *mapleaf.Bucket, depth int) {
			for k, v := range b.All() {
				if sub := b.Bucket(k); sub != nil && depth < 60 {
					down(sub, depth+1)
				} else if got := b.Get(k); honest && !bytes.Equal(got, v) && tx.Err() == nil {
					t.Fatalf("Get gives %d bytes, the cursor %d", len(got), len(v))
				}
			}
			for range b.Backward() {
				continue
			}
			_, _, _ = b.Count(), b.Stats(), b.Sequence()
			b.Cursor().Seek([]byte("k"))
		}
		c := tx.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if b := tx.Bucket(k); b != nil {
				down(b, 0)
			}
		}
		tx.Inspect()
		return nil
	}))
	wantTyped(t, "Check", db.View(func(tx *mapleaf.Tx) error {
		for err := range tx.Check() {
			wantTyped(t, "Check", err)
		}
		return nil
	}))
	wantTyped(t, "WriteTo", db.View(func(tx *mapleaf.Tx) error {
		_, err := tx.WriteTo(io.Discard)
		return err
	}))
	wantTyped(t, "Page", db.View(func(tx *mapleaf.Tx) error {
		for id := range 40 {
			if _, err := tx.Page(id); err != nil {
				return err
			}
		}
		return nil
	}))
	db.Stats()
}

// useWriting changes everything there is.
func useWriting(t *testing.T, db *mapleaf.DB) {
	t.Helper()
	name := []byte("b")
	for i, change := range []func(tx *mapleaf.Tx, b *mapleaf.Bucket) error{
		func(tx *mapleaf.Tx, b *mapleaf.Bucket) error { return b.Put([]byte("new"), value(1, 5000)) },
		func(tx *mapleaf.Tx, b *mapleaf.Bucket) error {
			for i := range 300 {
				if err := b.Put([]byte(key8(i)), value(i, 60)); err != nil {
					return err
				}
			}
			return nil
		},
		func(tx *mapleaf.Tx, b *mapleaf.Bucket) error {
			c := b.Cursor()
			return deleteLoop(c, c.First, c.Next)
		},
		func(tx *mapleaf.Tx, b *mapleaf.Bucket) error {
			c := b.Cursor()
			return deleteLoop(c, c.Last, c.Prev)
		},
		func(tx *mapleaf.Tx, b *mapleaf.Bucket) error {
			i, size := 0, 0
			for k, v := range b.All() {
				if err := b.Put(append([]byte("a"), k...), v); err != nil && v != nil {
					return err
				}
				i, size = i+1, size+len(v)
				if i == 1000 || size > fuzzCopyMax { // a key may lie before those that it makes
					break
				}
			}
			return nil
		},
		func(tx *mapleaf.Tx, b *mapleaf.Bucket) error {
			_, err := b.DeleteRange([]byte("i"), nil)
			return err
		},
		func(tx *mapleaf.Tx, b *mapleaf.Bucket) error { return tx.DeleteBucket(name) },
	} {
		err := db.Update(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			return change(tx, b)
		})
		wantTyped(t, fmt.Sprint("Update ", i), err)
	}
}

// deleteLoop deletes in a cursor's loop what is not a bucket, every other record.
func deleteLoop(c *mapleaf.Cursor, first, next func() ([]byte, []byte)) error {
	i := 0
	for k, _ := first(); k != nil; k, _ = next() {
		if i++; i%2 == 0 {
			continue
		}
		if err := c.Delete(); err != nil && !errors.Is(err, mapleaf.ErrIncompatibleValue) {
			return err
		}
	}
	return nil
}

// byteSource is a source of random numbers that are the bytes of the fuzzer's
// input, two at a time, and once they are used up those of a seed.
type byteSource struct {
	input []byte
	rest  *rand.PCG
}

func (s *byteSource) Uint64() uint64 {
	if len(s.input) < 2 {
		s.input = nil
		return s.rest.Uint64()
	}
	n := uint64(binary.LittleEndian.Uint16(s.input))
	s.input = s.input[2:]
	return n * 0x0001000100010001
}

// FuzzOps runs the operations of the model test as the input says: its first
// eight bytes draw the mixture, the others decide everything else.
func FuzzOps(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 24 {
		input := make([]byte, 8+40*i)
		for j := range input {
			input[j] = byte(rng.Uint32())
		}
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) < 8 || len(input) > 1200 {
			return
		}
		defer watch("a sequence of operations")()
		seed := binary.LittleEndian.Uint64(input)
		source := &byteSource{input: input[8:], rest: rand.NewPCG(seed, 1)}
		w := &world{t: t, rng: rand.New(source), now: newModel()}
		w.swarm = drawSwarm(rand.New(rand.NewPCG(seed, 0)))
		w.swarm.ops = min(w.swarm.ops, 40)
		w.swarm.keys = w.swarm.keys[:min(len(w.swarm.keys), 250)]
		w.db = openDB(t, w.swarm.options)
		t.Cleanup(w.closeReaders)
		for i := 0; i < 6 || len(source.input) > 0; i++ { // far enough for a checkpoint
			w.step()
		}
	})
}
