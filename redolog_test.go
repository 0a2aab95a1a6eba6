package mapleaf

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// The bytes of a record are a promise.
func TestRecordFormat(t *testing.T) {
	b := &batch{first: 7, state: tx.Snapshot{TxID: 9}, ops: [][]byte{{1, 2, 3}, {4}}}
	got, sum := encodeRecord(nil, b, 6, 0x1122334455667788, 42)
	want := "a5e8c783f257b9fb" + "36000000" + "00000000" + "0700000000000000" +
		"0900000000000000" + "0600000000000000" + "8877665544332211" + "03010203" + "0104"
	if hex.EncodeToString(got) != want {
		t.Errorf("record is %x", got)
	}
	r, ok := decodeRecord(append(got, 99), 42)
	if !ok || r.first != 7 || r.last != 9 || r.durable != 6 || r.checksum != sum ||
		r.link != 0x1122334455667788 || r.size != int64(len(got)) {
		t.Errorf("decoded %+v, %t", r, ok)
	}
	ops, err := r.sections()
	if err != nil || len(ops) != 2 || !bytes.Equal(ops[0], b.ops[0]) ||
		!bytes.Equal(ops[1], b.ops[1]) {
		t.Errorf("operations %v, %v", ops, err)
	}
	if _, ok := decodeRecord(got, 43); ok {
		t.Error("a record counts under another salt")
	}
	for bit := range 8 * len(got) {
		bad := bytes.Clone(got)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, ok := decodeRecord(bad, 42); ok {
			t.Fatalf("flipped bit %d of byte %d was not noticed", bit%8, bit/8)
		}
	}
	for n := range got {
		if _, ok := decodeRecord(got[:n], 42); ok {
			t.Fatalf("%d bytes of %d count", n, len(got))
		}
	}
}

// logOptions lets a log begin with the first commit, without a checkpoint soon.
func logOptions() *Options { return &Options{logAtOnce: true, LogSize: 1 << 20} }

// A logged is a file as a process leaves it that was killed while it had a log.
type logged struct {
	path    string
	meta    *meta
	states  []model // before the first record, and after each
	records []int64 // where they begin in the file
}

// smallUpdate changes a few records by so little that the log takes it.
func (m model) smallUpdate(t *testing.T, db *DB, r *rand.Rand) model {
	t.Helper()
	m = maps.Clone(m)
	err := db.Update(func(tx *Tx) error {
		b := tx.Bucket(testBucket)
		for range 1 + r.IntN(20) {
			k, v := fmt.Sprintf("key%04d", r.IntN(400)), fmt.Sprint(r.Uint32())
			m[k] = v
			if err := b.Put([]byte(k), []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// leftLogged commits by the log, and leaves the file as a kill does.
func leftLogged(t *testing.T, commits int) *logged {
	t.Helper()
	dir := t.TempDir()
	l := &logged{path: filepath.Join(dir, "killed.db")}
	db := mustOpen(t, filepath.Join(dir, "running.db"), logOptions())
	r := testRand(t, 80)
	m := model{}.mustUpdate(t, db, r, 40)
	l.states = append(l.states, m)
	for range commits {
		m = m.smallUpdate(t, db, r)
		l.states = append(l.states, m)
	}
	copyFile(t, db.Path(), l.path)
	l.meta = readMeta(t, l.path, newestSlot(t, l.path))
	x := l.meta.logs[0]
	file, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	off := int64(x.first) * DefaultPageSize
	for {
		rec, ok := decodeRecord(file[off:], x.salt)
		if !ok {
			break
		}
		l.records = append(l.records, off)
		off += blocks(rec.size)
	}
	if len(l.records) != commits {
		t.Fatalf("%d records after %d commits", len(l.records), commits)
	}
	return l
}

// open opens a copy of the file with some bytes changed.
func (l *logged) open(t *testing.T, o *Options, change func(f *os.File)) (*DB, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	copyFile(t, l.path, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	change(f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path, 0o600, o)
	if err == nil {
		t.Cleanup(func() { mustClose(t, db) })
	}
	return db, err
}

func flip(t *testing.T, f *os.File, off int64) {
	t.Helper()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// A torn end is cut at the last whole record. Whatever is missing before a record
// that calls it durable is damage, and an error.
func TestLogIsCutOrDamaged(t *testing.T) {
	const commits = 6
	l := leftLogged(t, commits)
	for i, off := range l.records {
		for _, at := range []int64{0, 9, 17, 25, 33, 41, 60} {
			db, err := l.open(t, nil, func(f *os.File) { flip(t, f, off+at) })
			if i < commits-1 {
				if !errors.Is(err, ErrCorrupt) {
					t.Errorf("record %d damaged at byte %d: %v", i, at, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := l.states[i].compare(db); err != nil {
				t.Errorf("torn end, byte %d: %v", at, err)
			}
			mustCheck(t, db)
		}
	}
	// Without the last two, the one before has nobody to call it durable.
	db, err := l.open(t, nil, func(f *os.File) {
		for _, off := range l.records[commits-3:] {
			flip(t, f, off)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.states[commits-3].compare(db); err != nil {
		t.Error(err)
	}
}

// Recovery leaves no log behind: nothing is appended behind a cut, and an old record
// that stands there never counts again.
func TestRecoveryEndsTheLog(t *testing.T) {
	l := leftLogged(t, 4)
	db, err := l.open(t, nil, func(*os.File) {})
	if err != nil {
		t.Fatal(err)
	}
	want := l.states[len(l.states)-1]
	if err := want.compare(db); err != nil {
		t.Fatal(err)
	}
	if m := db.store.meta; m.logs != [2]logExtent{} || m.txid <= l.meta.txid+4 {
		t.Errorf("after recovery the meta has txid %d and logs %v", m.txid, m.logs)
	}
	r := testRand(t, 81)
	for range 20 {
		want = want.mustUpdate(t, db, r, 20)
	}
	if err := want.compare(db); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
}

// Who may only read replays the log in memory, and leaves the file as it is.
func TestLogReadOnly(t *testing.T) {
	l := leftLogged(t, 5)
	before, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	db := mustOpen(t, l.path, &Options{ReadOnly: true})
	if err := l.states[5].compare(db); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
	var backup bytes.Buffer
	err = db.View(func(t *Tx) error {
		_, err := t.WriteTo(&backup)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	after, err := os.ReadFile(l.path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("a read-only open has changed the file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, backup.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, path, nil)
	if err := l.states[5].compare(db); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, db)
}

// A meta that is damaged together with its commit is fallen back from only if the
// log of the other reaches as far as durability had come.
func TestFallbackMustReach(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "running.db"), logOptions())
	r := testRand(t, 82)
	m := model{}.mustUpdate(t, db, r, 40)
	for range 5 {
		m = m.smallUpdate(t, db, r)
	}
	before := m
	if _, err := m.bigUpdate(db); err != nil { // goes by pages, and so writes a meta
		t.Fatal(err)
	}
	path := filepath.Join(dir, "killed.db")
	copyFile(t, db.Path(), path)
	slot := newestSlot(t, path)
	newest := readMeta(t, path, slot)
	if newest.entryCount == 0 {
		t.Fatal("the last commit has no manifest")
	}
	page := int64(newest.entries[0].first) * DefaultPageSize
	l := &logged{path: path}
	db, err := l.open(t, nil, func(f *os.File) { flip(t, f, page+100) })
	if err != nil {
		t.Fatal(err)
	}
	if err := before.compare(db); err != nil {
		t.Error(err)
	}
	// A record under the new salt shows that the meta was durable.
	older := readMeta(t, path, 1-slot)
	b := &batch{first: newest.txid + 1, state: tx.Snapshot{TxID: newest.txid + 1}}
	for i, x := range newest.logs {
		record, _ := encodeRecord(nil, b, newest.txid, 0, x.salt)
		_, err := l.open(t, nil, func(f *os.File) {
			flip(t, f, page+100)
			if _, err := f.WriteAt(record, int64(x.first)*4096); err != nil {
				t.Fatal(err)
			}
		})
		if known := x.salt == older.logs[0].salt || x.salt == older.logs[1].salt; !known &&
			!errors.Is(err, ErrCorrupt) {
			t.Errorf("log %d: %v", i, err)
		}
	}
}

// When nobody has committed for a while, the pages go into the file, and their memory back.
func TestIdleCheckpoint(t *testing.T) {
	o := logOptions()
	o.idleAfter = 5 * time.Millisecond
	o.wrapFile = wrapLazy
	db := mustOpen(t, tempPath(t), o)
	r := testRand(t, 83)
	m := model{}.mustUpdate(t, db, r, 40)
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	seen := m
	for range 5 {
		m = m.smallUpdate(t, db, r)
	}
	for range 10_000 { // the timer decides when, so that it comes at all is what counts
		s := db.store
		s.writing.Lock()
		done := s.meta.txid == s.published.Load().TxID
		s.writing.Unlock()
		if done && s.published.Load().Overlay.Empty() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	db.store.writing.Lock()
	meta := *db.store.meta
	db.store.writing.Unlock()
	if meta.txid != db.store.published.Load().TxID {
		t.Errorf("no checkpoint: the meta is of transaction %d", meta.txid)
	}
	if err := m.compare(db); err != nil {
		t.Error(err)
	}
	if err := seen.compareTx(reader); err != nil {
		t.Error(err)
	}
	rollback(reader)
	m = m.smallUpdate(t, db, r)
	if err := m.compare(db); err != nil {
		t.Error(err)
	}
	mustCheck(t, db)
}

// A transaction that ends just when the log has begun may join a batch that goes by
// pages, and then has to have room for that.
func TestJoinWhileLogBegins(t *testing.T) {
	const records = 2500
	o := logOptions()
	o.wrapFile = wrapLazy
	db := mustOpen(t, tempPath(t), o)
	s := db.store
	done := make(chan error, 3)
	update := func(from, step, size int) {
		t.Helper()
		w, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.CreateBucketIfNotExists(testBucket)
		for i := from; i < records && err == nil; i += step {
			err = b.Put(fmt.Appendf(nil, "key%05d", i), make([]byte, size))
		}
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- w.Commit() }()
		s.writer <- struct{}{} // it has joined
		<-s.writer
	}
	s.writing.Lock() // the committer waits with the first batch, which brings the log
	update(0, 1, 500)
	for sealed := false; !sealed; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		sealed = s.mu.sealing != nil
		s.mu.Unlock()
	}
	update(1, records, 1)
	s.peers.mu.Lock() // and then with its publication
	s.writing.Unlock()
	for begun := false; !begun; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		begun = s.logging()
		s.mu.Unlock()
	}
	update(2, 6, 1)
	s.peers.mu.Unlock()
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	mustCheck(t, db)
}

// loadOrdered commits so many bytes of records behind those of keys below key, and returns
// the next key. The records are of different lengths, so that a page takes more than them.
func loadOrdered(t *testing.T, db *DB, key, size int) int {
	t.Helper()
	end := key + size/100
	err := db.Update(func(tx *Tx) error {
		b, err := tx.CreateBucketIfNotExists(testBucket)
		for ; key < end && err == nil; key++ {
			err = b.Put(fmt.Appendf(nil, "%08d", key), make([]byte, 82+key%21))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// What is loaded in key order fills its pages: it begins no log, and where there is one
// it goes past it, so that each page is written once.
func TestOrderedLoadTakesNoLog(t *testing.T) {
	const commits, size = 20, 1 << 20
	for _, atOnce := range []bool{false, true} {
		rec := &recorder{}
		db := mustOpen(t, tempPath(t), &Options{wrapFile: rec.wrap, NoSync: true, logAtOnce: atOnce})
		s := db.store
		from, key := 0, 0
		for i := range commits {
			if key = loadOrdered(t, db, key, size); i == 0 {
				from = rec.len() // the log may have begun, and was cleared
			}
		}
		s.mu.Lock()
		logging := s.logging()
		s.mu.Unlock()
		if logging != atOnce {
			t.Errorf("at once: %v; there is a log: %v", atOnce, logging)
		}
		mustClose(t, db)
		if _, n := rec.count(opWrite, from); n > commits*size*9/8 {
			t.Errorf("at once: %v; %d bytes were written for %d", atOnce, n, commits*size)
		}
	}
}

// Behind a checkpoint that is under way it takes the log: else it would wait, and all that
// are committed after it.
func TestOrderedLoadWaitsForNoCheckpoint(t *testing.T) {
	const size = 256 << 10
	slow, wrap := wrapSlow()
	db := mustOpen(t, tempPath(t), &Options{logAtOnce: true, wrapFile: wrap})
	s := db.store
	key := loadOrdered(t, db, 0, size)
	loadOrdered(t, db, key, 100) // by the log: it fills no page
	load := func() (byLog bool) {
		s.mu.Lock()
		epoch := s.mu.epoch
		s.mu.Unlock()
		key = loadOrdered(t, db, key, size)
		s.mu.Lock()
		defer s.mu.Unlock()
		return epoch == s.mu.epoch && epoch.logUsed >= size
	}
	slow.armed.Store(true)
	waitFor(t, "a checkpoint begins", s.tryCheckpoint)
	<-slow.entered
	if !load() {
		t.Error("behind a checkpoint, it went by pages")
	}
	close(slow.goOn)
	waitFor(t, "the next one begins", s.tryCheckpoint)
	s.writing.Lock() // it has ended
	s.mu.Lock()
	if s.mu.checkpoint != 0 {
		t.Errorf("the checkpoint of epoch %d seems to be under way", s.mu.checkpoint)
	}
	s.mu.Unlock()
	s.writing.Unlock()
	if load() {
		t.Error("without a checkpoint, it went by the log")
	}
}
