package mapleaf

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

// leftOpen makes a file as a process leaves it that was killed: never closed.
// It returns the path and what the file holds.
func leftOpen(t *testing.T, commits int) (string, model) {
	t.Helper()
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "running.db"), nil)
	r := testRand(t, 60)
	m := model{}
	for range commits {
		m = m.mustUpdate(t, db, r, 40)
	}
	path := filepath.Join(dir, "killed.db")
	copyFile(t, db.Path(), path)
	return path, m
}

// newestSlot returns the slot of the newest meta.
func newestSlot(t *testing.T, path string) int {
	t.Helper()
	if readMeta(t, path, 1).txid > readMeta(t, path, 0).txid {
		return 1
	}
	return 0
}

// spoil flips one bit of a file.
func spoil(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func TestCloseLeavesCleanFile(t *testing.T) {
	path := tempPath(t)
	rec := &recorder{}
	db := mustOpen(t, path, &Options{wrapFile: rec.wrap})
	r := testRand(t, 61)
	m := model{}.mustUpdate(t, db, r, 300)
	mustClose(t, db)
	for i := range 2 {
		if got := readMeta(t, path, i); !got.closed {
			t.Errorf("meta %d is not marked closed", i)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(readMeta(t, path, 0).hwm) * DefaultPageSize; info.Size() != want {
		t.Errorf("file has %d bytes, its pages %d", info.Size(), want)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {ReadOnly: true}} {
		rec := &recorder{}
		o.wrapFile = rec.wrap
		db := mustOpen(t, path, &o)
		if err := m.compare(db); err != nil {
			t.Error(err)
		}
		mustClose(t, db)
		if n := rec.len(); n != 0 {
			t.Errorf("reading took %d calls that write: %v", n, rec.ops[0].kind)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("reading has changed the file: %v", err)
	}
}

// Close cuts the free end off the file.
func TestCloseCutsFreeTail(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, nil)
	r := testRand(t, 62)
	m := model{}.mustUpdate(t, db, r, 100)
	next, err := m.bigUpdate(db)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(t *Tx) error { return t.Bucket(testBucket).Delete([]byte("big")) })
	if err != nil {
		t.Fatal(err)
	}
	delete(next, "big")
	mustClose(t, db)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 1<<20 {
		t.Errorf("file has %d bytes after its large value is gone", info.Size())
	}
	db = mustOpen(t, path, nil)
	if err := next.compare(db); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
	next.mustUpdate(t, db, r, 300) // grows again, over what the chain has said before
	sameChain(t, db)
}

// What a killed process leaves is synced before use. Where the drive has it, nothing is
// written; what it does not have, after a sync that failed, is written again, and so is
// everything where it cannot be asked. A reader changes nothing.
func TestOpenAfterKill(t *testing.T) {
	path, m := leftOpen(t, 5)
	rec := &recorder{}
	db := mustOpen(t, path, &Options{ReadOnly: true, wrapFile: rec.wrap})
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
	mustClose(t, db)
	if rec.len() != 0 {
		t.Error("a read-only open has written")
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, drive := range map[string]mmapfile.DriveReader{
		"whole": cacheReader{&memFile{whole}}, "empty": cacheReader{&memFile{}}, "mute": nil,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "left.db")
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			rec := &recorder{}
			db := mustOpen(t, path, &Options{wrapFile: func(f file) file {
				return &otherDrive{rec.wrap(f), drive}
			}})
			meta := db.store.meta
			syncs, written := 2, map[int64]int{}
			for _, o := range rec.noted() {
				if o.kind == opWrite {
					written[o.off] += len(o.data)
				}
			}
			if name == "whole" {
				syncs = 1
				if len(written) > 0 {
					t.Errorf("%d pieces were written that the drive has", len(written))
				}
			} else {
				wantWritten(t, meta, db.store.metaSlot, written)
			}
			if n, _ := rec.count(opSync, 0); n != syncs {
				t.Errorf("recovery took %d syncs", n)
			}
			if err := m.compare(db); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// wantWritten fails the test unless all that the meta names was written, and it, too.
func wantWritten(t *testing.T, m *meta, slot int, written map[int64]int) {
	t.Helper()
	for _, e := range m.entries {
		if written[int64(e.first)*DefaultPageSize] == 0 {
			t.Errorf("page %d was not written again", e.first)
		}
	}
	if written[slotOffset(slot)] != metaSlotSize {
		t.Error("the meta was not written again")
	}
}

// An otherDrive is a file whose drive holds something else than the cache.
type otherDrive struct {
	file
	drive mmapfile.DriveReader
}

func (f *otherDrive) Drive() (mmapfile.DriveReader, error) {
	if f.drive == nil {
		return nil, mmapfile.ErrUnsupported
	}
	return f.drive, nil
}

// A page of the newest commit is damaged: the state before is taken, as after a
// crash, and its successor gets a txid that nobody has seen.
func TestFallBackToOtherMeta(t *testing.T) {
	path, _ := leftOpen(t, 5)
	slot := newestSlot(t, path)
	newest, other := readMeta(t, path, slot), readMeta(t, path, 1-slot)
	spoil(t, path, int64(newest.entries[0].first)*DefaultPageSize+100)
	db := mustOpen(t, path, nil)
	if got := db.store.meta.txid; got != other.txid {
		t.Fatalf("opened state %d instead of %d", got, other.txid)
	}
	w, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	if tx.TxID(w.ID()) <= newest.txid {
		t.Errorf("transaction %d after state %d was seen", w.ID(), newest.txid)
	}
	if err := w.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// A fallback that would give up what was durable is an error.
func TestNoSilentFallBack(t *testing.T) {
	path, _ := leftOpen(t, 5)
	slot := newestSlot(t, path)
	newest := readMeta(t, path, slot)
	spoil(t, path, int64(newest.entries[0].first)*DefaultPageSize+100)

	t.Run("durable", func(t *testing.T) {
		m := *newest
		m.durable = m.txid
		testMeta(t, path, slot, &m, ErrCorrupt)
	})
	t.Run("closed", func(t *testing.T) {
		m := *newest
		m.closed = true
		db := testMeta(t, path, slot, &m, nil)
		if db.store.meta.txid != newest.txid {
			t.Error("fell back from a meta that was marked closed")
		}
		if err := checkErrors(db); !errors.Is(err, ErrCorrupt) {
			t.Errorf("check: %v", err)
		}
	})
	t.Run("both", func(t *testing.T) {
		other := readMeta(t, path, 1-slot)
		dir := t.TempDir()
		both := filepath.Join(dir, "both.db")
		copyFile(t, path, both)
		spoil(t, both, int64(other.entries[0].first)*DefaultPageSize+100)
		if _, err := Open(both, 0o600, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("open: %v", err)
		}
	})
}

// testMeta opens a copy of a file with another meta in one of the slots.
func testMeta(t *testing.T, path string, slot int, m *meta, want error) *DB {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[slotOffset(slot):], m.encode())
	work := filepath.Join(t.TempDir(), "work.db")
	if err := os.WriteFile(work, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(work, 0o600, nil)
	if !errors.Is(err, want) {
		t.Fatalf("open: %v, want %v", err, want)
	}
	if db != nil {
		t.Cleanup(func() { db.Close() })
	}
	return db
}

// Each meta may be damaged: a closed file opens from the other one, and an
// unclosed one does so unless something newer would be lost.
func TestDamagedMeta(t *testing.T) {
	closed := tempPath(t)
	db := mustOpen(t, closed, nil)
	m := model{}.mustUpdate(t, db, testRand(t, 63), 50)
	mustClose(t, db)
	work := tempPath(t)
	for slot := range 2 {
		for _, off := range []int64{0, metaFormat, metaTxID, metaRoot, metaChecksum} {
			copyFile(t, closed, work)
			spoil(t, work, slotOffset(slot)+off)
			db := mustOpen(t, work, nil)
			if err := m.compare(db); err != nil {
				t.Errorf("meta %d, byte %d: %v", slot, off, err)
			}
			mustClose(t, db)
		}
	}
	copyFile(t, closed, work)
	spoil(t, work, metaRoot)
	spoil(t, work, metaSlotGap+metaRoot)
	if _, err := Open(work, 0o600, nil); !errors.Is(err, ErrChecksum) {
		t.Errorf("both metas damaged: %v", err)
	}

	killed, _ := leftOpen(t, 4)
	spoil(t, killed, slotOffset(newestSlot(t, killed))+metaRoot)
	if _, err := Open(killed, 0o600, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("newest meta of an unclosed file damaged: %v", err)
	}
}

func TestCreation(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 4096, 8192, 16384, 32768, 65536} {
		path := filepath.Join(dir, "new.db")
		db := mustOpen(t, path, &Options{PageSize: size})
		m := model{}.mustUpdate(t, db, testRand(t, 64), 50)
		mustClose(t, db)
		db = mustOpen(t, path, nil)
		if want := max(size, DefaultPageSize); db.Info().PageSize != want {
			t.Errorf("page size %d, want %d", db.Info().PageSize, want)
		}
		if err := m.compare(db); err != nil {
			t.Error(err)
		}
		mustClose(t, db)
		if err := errors.Join(os.Remove(path), os.Remove(path+"-lock")); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{-1, 1024, 5000, 131072} {
		if _, err := Open(filepath.Join(dir, "bad.db"), 0o600, &Options{PageSize: size}); err == nil {
			t.Errorf("page size %d was accepted", size)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// What is there already: an empty file becomes a database under its own
// permissions; anything else that is none is refused and not touched.
func TestOpenOtherFiles(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(empty, 0o600, &Options{ReadOnly: true}); !errors.Is(err, ErrInvalid) {
		t.Errorf("read-only open of an empty file: %v", err)
	}
	before, err := os.Stat(empty)
	if err != nil {
		t.Fatal(err)
	}
	db := mustOpen(t, empty, nil)
	model{}.mustUpdate(t, db, testRand(t, 65), 20)
	mustClose(t, db)
	after, err := os.Stat(empty)
	if err != nil {
		t.Fatal(err)
	}
	if after.Mode() != before.Mode() {
		t.Errorf("permissions are %v, they were %v", after.Mode(), before.Mode())
	}
	missing := filepath.Join(dir, "missing.db")
	if _, err := Open(missing, 0o600, &Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read-only open of a missing file: %v", err)
	}
	for name, content := range map[string][]byte{
		"text":  []byte(strings.Repeat("no database\n", 5000)),
		"short": []byte("x"),
		"zeros": make([]byte, 100_000),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, 0o600, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s has changed: %v", name, err)
		}
	}
	slot := resealed(func(b []byte) { b[metaFormat] = 9 })
	path := filepath.Join(dir, "newer")
	if err := os.WriteFile(path, append(slot, make([]byte, 60_000)...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, 0o600, nil)
	if !errors.Is(err, ErrVersionMismatch) || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("newer format: %v", err)
	}
}

func TestLock(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, &Options{Exclusive: true})
	o := &Options{Timeout: 20 * time.Millisecond}
	if _, err := Open(path, 0o600, o); !errors.Is(err, ErrTimeout) {
		t.Errorf("second open: %v", err)
	}
	o.ReadOnly = true
	if _, err := Open(path, 0o600, o); !errors.Is(err, ErrTimeout) {
		t.Errorf("reader beside a writer: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := OpenContext(ctx, path, 0o600, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("open with a context: %v", err)
	}
	mustClose(t, db)
	first := mustOpen(t, path, o)
	mustOpen(t, path, o) // readers share
	if _, err := first.Begin(true); !errors.Is(err, ErrDatabaseReadOnly) {
		t.Errorf("write transaction: %v", err)
	}
}

// While an open waits for the lock, the file is replaced: it must not go on with
// the one that has lost its name.
func TestFileIsReplacedWhileWaiting(t *testing.T) {
	path := tempPath(t)
	old := mustOpen(t, path, &Options{Exclusive: true})
	opened := make(chan *DB)
	go func() {
		db, err := Open(path, 0o600, nil)
		if err != nil {
			t.Error(err)
		}
		opened <- db
	}()
	time.Sleep(20 * time.Millisecond)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, old)
	db := <-opened
	defer db.Close()
	if err := sameFile(db.store.mf, path); err != nil {
		t.Errorf("opened another file than the one at the path: %v", err)
	}
}

// Where an open file cannot be replaced in one step it goes aside, and comes
// back if that fails.
func TestReplaceAside(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, path := range []string{from, to} {
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open, err := mmapfile.OpenOS(to, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	holds := func(want string, names int) {
		t.Helper()
		got, err := os.ReadFile(to)
		if err != nil || string(got) != want {
			t.Errorf("in its place is %q, %v, want %q", got, err, want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != names {
			t.Errorf("the folder holds %v, %v, want %d", entries, err, names)
		}
	}
	if err := replaceAside(filepath.Join(dir, "nothing"), to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("replaced by nothing: %v", err)
	}
	holds(to, 2)
	if err := replaceAside(from, to); err != nil {
		t.Fatal(err)
	}
	if err := open.Close(); err != nil { // a removed file may keep its name until then
		t.Error(err)
	}
	holds(from, 1)
	if err := replaceAside(from, filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing replaced: %v", err)
	}
}

// Many open the same new path at once: one file comes into being, and nobody's
// work is lost.
func TestConcurrentCreation(t *testing.T) {
	path := tempPath(t)
	const openers = 12
	errs := make(chan error, openers)
	for i := range openers {
		go func() {
			db, err := Open(path, 0o600, nil)
			if err != nil {
				errs <- err
				return
			}
			err = db.Update(func(t *Tx) error {
				_, err := t.CreateBucket([]byte{byte(i + 1)})
				return err
			})
			errs <- errors.Join(err, db.Close())
		}()
	}
	for range openers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	db := mustOpen(t, path, nil)
	for i := range openers {
		if err := db.View(func(tx *Tx) error {
			if tx.Bucket([]byte{byte(i + 1)}) == nil {
				t.Errorf("the work of opener %d is lost", i)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 2 { // the lock file, too
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A database whose creation could not be made durable is removed, but never one
// that somebody else has opened or put in its place.
func TestUncreate(t *testing.T) {
	path := tempPath(t)
	o, err := (*Options)(nil).filled()
	if err != nil {
		t.Fatal(err)
	}
	db := mustOpen(t, path, nil)
	id, err := db.store.mf.Identity()
	if err != nil {
		t.Fatal(err)
	}
	exists := func() bool {
		_, err := os.Stat(path)
		return err == nil
	}
	if err := uncreate(path, id, &o); err != nil || !exists() {
		t.Errorf("a file in use: %v, it exists: %t", err, exists())
	}
	mustClose(t, db)
	other := tempPath(t)
	copyFile(t, path, other)
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if err := uncreate(path, id, &o); err != nil || !exists() {
		t.Errorf("a file in its place: %v, it exists: %t", err, exists())
	}
	db = mustOpen(t, path, nil)
	if id, err = db.store.mf.Identity(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	if err := uncreate(path, id, &o); err != nil || exists() {
		t.Errorf("its own file: %v, it exists: %t", err, exists())
	}
}

// Damage in the chain keeps nobody from reading.
func TestDamagedChainIsReadable(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, nil)
	m := model{}.mustUpdate(t, db, testRand(t, 66), 50)
	m = m.mustUpdate(t, db, testRand(t, 67), 50)
	mustClose(t, db)
	link := readMeta(t, path, 0).chain.ID
	spoil(t, path, int64(link)*DefaultPageSize+headerSize+2)
	var damage *CorruptError
	if _, err := Open(path, 0o600, &Options{PreLoadFreelist: true}); !errors.As(err, &damage) ||
		damage.Page != link {
		t.Errorf("open: %v", err)
	}
	for _, readOnly := range []bool{true, false} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, 0o600, &Options{ReadOnly: readOnly})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.compare(db); err != nil {
			t.Error(err)
		}
		if !readOnly {
			for range 2 {
				err := db.Update(func(*Tx) error { return nil })
				if !errors.As(err, &damage) || damage.Page != link {
					t.Errorf("update: %v", err)
				}
			}
		}
		if err := checkErrors(db); !errors.As(err, &damage) || damage.Page != link {
			t.Errorf("check: %v", err)
		}
		mustClose(t, db)
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(after, before) {
			t.Error("a database that cannot be written to was written to", err)
		}
	}
}
