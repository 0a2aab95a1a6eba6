package mapleaf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// The damage test takes a small database with pages of every kind, damages one
// page in every way, and calls everything: each call gives what was put, or an
// error of a type that tells of damage; nothing panics, hangs or gives other data.

// damageable is a database file and what it holds, bucket by bucket.
type damageable struct {
	content  []byte
	pageSize int
	buckets  map[string][]pair // by path: the names, with slashes between them
	more     []string          // paths beside those of damageBuckets
}

// damageBuckets are filled so that each kind of page and of record occurs.
var damageBuckets = []struct {
	name   string
	count  int
	record func(i int) (key, value string)
}{
	{"fixed", 900, func(i int) (string, string) { return key8(i)[8:], "12345678" }},
	{"large", 9, func(i int) (string, string) { return key8(i), string(value(i, 6000*(i%3))) }},
	{"long keys", 24, func(i int) (string, string) {
		return key8(i) + string(value(i, 900*(i%4))), "v"
	}},
	{"small", 3, func(i int) (string, string) { return fmt.Sprint(i), "v" }},
	{"variable", 300, func(i int) (string, string) { return key8(i), string(value(i, 20+i%200)) }},
}

// newDamageable builds the file and reads it: closed, or as a process leaves it
// that is killed after its last commit, which is all that may be lost by damage.
func newDamageable(t testing.TB, killed bool) damageable {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{NoSync: true})
	must(t, err)
	d := damageable{pageSize: db.Info().PageSize, buckets: map[string][]pair{}}
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		fill(t, mustBucket(t, tx, "gone"), 300, 100)
		return nil
	}))
	for _, bucket := range damageBuckets {
		var all []pair
		must(t, db.Update(func(tx *mapleaf.Tx) error {
			b := mustBucket(t, tx, bucket.name)
			for i := range bucket.count {
				k, v := bucket.record(i)
				put(t, b, k, v)
				all = append(all, pair{key: k, value: v})
			}
			return nil
		}))
		slices.SortFunc(all, func(p, q pair) int { return strings.Compare(p.key, q.key) })
		d.buckets[bucket.name] = all
	}
	must(t, db.Update(func(tx *mapleaf.Tx) error { return tx.DeleteBucket([]byte("gone")) }))
	must(t, db.Update(func(tx *mapleaf.Tx) error {
		return mustBucket(t, tx, "last commit").Put([]byte("k"), value(1, 10_000))
	}))
	if killed {
		defer db.Close()
	} else {
		must(t, db.Close())
	}
	d.content, err = os.ReadFile(path)
	must(t, err)
	if killed {
		// What was preallocated behind the last page is of no interest.
		d.content = bytes.TrimRight(d.content, "\x00")
		d.content = append(d.content, make([]byte, -len(d.content)&(d.pageSize-1))...)
	}
	return d
}

// all returns an iterator over the buckets and what they hold, in order.
func (d *damageable) all() iter.Seq2[string, []pair] {
	return func(yield func(string, []pair) bool) {
		for _, bucket := range damageBuckets {
			if !yield(bucket.name, d.buckets[bucket.name]) {
				return
			}
		}
		for _, path := range d.more {
			if !yield(path, d.buckets[path]) {
				return
			}
		}
	}
}

// bucketAt returns the bucket at a path, nil if there is none.
func bucketAt(tx *mapleaf.Tx, path string) *mapleaf.Bucket {
	names := strings.Split(path, "/")
	b := tx.Bucket([]byte(names[0]))
	for _, name := range names[1:] {
		if b == nil {
			return nil
		}
		b = b.Bucket([]byte(name))
	}
	return b
}

// createAt returns the bucket at a path, after it has made what is missing of the way.
func createAt(tx *mapleaf.Tx, path string) (*mapleaf.Bucket, error) {
	names := strings.Split(path, "/")
	b, err := tx.CreateBucketIfNotExists([]byte(names[0]))
	for _, name := range names[1:] {
		if err != nil {
			return nil, err
		}
		b, err = b.CreateBucketIfNotExists([]byte(name))
	}
	return b, err
}

// deleteAt deletes the bucket at a path, if it is there.
func deleteAt(tx *mapleaf.Tx, path string) error {
	if bucketAt(tx, path) == nil {
		return tx.Err()
	}
	cut := strings.LastIndex(path, "/")
	if cut < 0 {
		return tx.DeleteBucket([]byte(path))
	}
	return bucketAt(tx, path[:cut]).DeleteBucket([]byte(path[cut+1:]))
}

// A damage is one way to damage a page; p is the page, file all of them.
type damage struct {
	name  string
	apply func(rng *rand.Rand, file []byte, offset, size int) []byte
}

var damages = []damage{
	{"flipped", func(rng *rand.Rand, file []byte, offset, size int) []byte {
		file[offset+rng.IntN(size)] ^= 1 << rng.IntN(8)
		return file
	}},
	{"header", func(rng *rand.Rand, file []byte, offset, size int) []byte {
		file[offset+rng.IntN(32)] ^= 1 << rng.IntN(8)
		return file
	}},
	{"node header", func(rng *rand.Rand, file []byte, offset, size int) []byte {
		file[offset+32+rng.IntN(32)] ^= 1 << rng.IntN(8)
		return file
	}},
	{"zeroed", func(_ *rand.Rand, file []byte, offset, size int) []byte {
		clear(file[offset : offset+size])
		return file
	}},
	{"random", func(rng *rand.Rand, file []byte, offset, size int) []byte {
		for i := range size {
			file[offset+i] = byte(rng.Uint32())
		}
		return file
	}},
	{"swapped", func(rng *rand.Rand, file []byte, offset, size int) []byte {
		other := rng.IntN(len(file)/size) * size
		page := bytes.Clone(file[offset : offset+size])
		copy(file[offset:], file[other:other+size])
		copy(file[other:], page)
		return file
	}},
	{"doubled", func(rng *rand.Rand, file []byte, offset, size int) []byte {
		other := rng.IntN(len(file)/size) * size
		copy(file[offset:], file[other:other+size])
		return file
	}},
	{"cut", func(rng *rand.Rand, file []byte, offset, size int) []byte {
		return file[:offset+rng.IntN(2)*rng.IntN(size)]
	}},
}

func TestDamage(t *testing.T) {
	t.Parallel()
	t.Run("closed", func(t *testing.T) { damageAll(t, newDamageable(t, false)) })
	t.Run("killed", func(t *testing.T) { damageAll(t, newDamageable(t, true)) })
}

// damageAll damages each page in each way; in the small size one in three, chosen anew
// for each way.
func damageAll(t *testing.T, d damageable) {
	t.Helper()
	rng := dbtest.Rand(t, 0)
	path := filepath.Join(t.TempDir(), "db")
	pages := len(d.content) / d.pageSize
	hurt, step := map[string]int{}, 1
	if testing.Short() {
		step = 3
	}
	for page := range pages {
		for i, way := range damages {
			if (page+i)%step != 0 {
				continue
			}
			file := way.apply(rng, bytes.Clone(d.content), page*d.pageSize, d.pageSize)
			must(t, os.WriteFile(path, file, 0o600))
			v := victim{t: t, d: &d, path: path, what: fmt.Sprintf("page %d %s", page, way.name)}
			v.read()
			if (page/step+i)%4 == 0 {
				v.write()
			}
			if v.hurt {
				hurt[way.name]++
			}
			if t.Failed() {
				return
			}
		}
	}
	// Free pages may be damaged as they like; the others must be noticed.
	for _, way := range damages {
		if hurt[way.name] < pages/step/2 {
			t.Errorf("%s: only %d of %d pages were noticed", way.name, hurt[way.name], pages/step)
		}
	}
}

// A victim is one damaged file.
type victim struct {
	t    testing.TB
	d    *damageable
	path string
	what string // the damage, for messages
	hurt bool   // some call met the damage

	refused bool // Open did
	found   bool // Check did
}

// isDamage reports whether err tells of damage, and in which page if in one.
func isDamage(err error) bool {
	var corrupt *mapleaf.CorruptError
	var fault *mapleaf.FaultError
	return errors.As(err, &corrupt) && corrupt.Reason != "" || errors.As(err, &fault)
}

// isRefusal reports whether Open may return err for a damaged file.
func isRefusal(err error) bool {
	return isDamage(err) || errors.Is(err, mapleaf.ErrInvalid) ||
		errors.Is(err, mapleaf.ErrChecksum) || errors.Is(err, mapleaf.ErrVersionMismatch)
}

// met fails the test unless err is nil or tells of damage. It reports which.
func (v *victim) met(call string, err error) bool {
	v.t.Helper()
	if err == nil {
		return false
	}
	if !isDamage(err) {
		v.t.Errorf("%s: %s returns %v", v.what, call, err)
	}
	v.hurt = true
	return true
}

// guarded runs fn on the opened file, and turns a panic into a failure that
// names the damage.
func (v *victim) guarded(opts mapleaf.Options, fn func(db *mapleaf.DB)) {
	v.t.Helper()
	opts.Timeout = 10 * time.Second
	opts.NoSync = true
	defer func() {
		if r := recover(); r != nil {
			v.t.Errorf("%s: panic: %v", v.what, r)
			panic(r)
		}
	}()
	db, err := mapleaf.Open(v.path, 0o600, &opts)
	if err != nil {
		if !isRefusal(err) {
			v.t.Errorf("%s: Open returns %v", v.what, err)
		}
		v.hurt, v.refused = true, true
		return
	}
	fn(db)
	if err := db.Close(); err != nil && !isDamage(err) {
		v.t.Errorf("%s: Close returns %v", v.what, err)
	}
}

// read calls everything that reads, on a file that is open for reading only.
func (v *victim) read() {
	v.t.Helper()
	v.guarded(mapleaf.Options{ReadOnly: true}, func(db *mapleaf.DB) {
		for name, want := range v.d.all() {
			v.get(db, name, want)
			v.scan(db, name, want)
		}
		v.found = v.check(db)
		if v.hurt && !v.found {
			v.t.Errorf("%s: a read met damage that Check does not find", v.what)
		}
		v.backup(db)
		v.met("Stats", db.View(func(tx *mapleaf.Tx) error {
			for name := range v.d.all() {
				if b := bucketAt(tx, name); b != nil {
					b.Stats()
				}
			}
			tx.Inspect()
			return nil
		}))
	})
}

// get gets every record: its value, or damage.
func (v *victim) get(db *mapleaf.DB, name string, want []pair) {
	v.t.Helper()
	for i := 0; i < len(want); i += 1 + len(want)/40 {
		p := want[i]
		v.met("Get", db.View(func(tx *mapleaf.Tx) error {
			b := bucketAt(tx, name)
			if b == nil {
				if tx.Err() == nil {
					v.t.Errorf("%s: bucket %s is gone without an error", v.what, name)
				}
				return nil
			}
			if p.bucket {
				if b.Bucket([]byte(p.key)) == nil && tx.Err() == nil {
					v.t.Errorf("%s: bucket %s/%s is gone without an error", v.what, name, p.key)
				}
				return nil
			}
			if got := b.Get([]byte(p.key)); got == nil && tx.Err() == nil ||
				got != nil && string(got) != p.value {
				v.t.Errorf("%s: %s/%.20q has %d bytes, want %d, and the error %v", v.what, name,
					p.key, len(got), len(p.value), tx.Err())
			}
			return nil
		}))
	}
}

// scan looks at all records from both ends: the right ones, up to the damage.
func (v *victim) scan(db *mapleaf.DB, name string, want []pair) {
	v.t.Helper()
	v.met("a scan", db.View(func(tx *mapleaf.Tx) error {
		b := bucketAt(tx, name)
		if b == nil {
			return tx.Err()
		}
		i := 0
		for k, val := range b.All() {
			if i >= len(want) || string(k) != want[i].key || string(val) != want[i].value {
				v.t.Errorf("%s: record %d of %s is %.20q", v.what, i, name, k)
				return nil
			}
			i++
		}
		if i != len(want) && tx.Err() == nil {
			v.t.Errorf("%s: %s ends after %d of %d records", v.what, name, i, len(want))
		}
		return nil
	}))
	v.met("a scan backward", db.View(func(tx *mapleaf.Tx) error {
		b := bucketAt(tx, name)
		if b == nil {
			return tx.Err()
		}
		i := len(want)
		for k, val := range b.Backward() {
			i--
			if i < 0 || string(k) != want[i].key || string(val) != want[i].value {
				v.t.Errorf("%s: record %d of %s is %.20q, backward", v.what, i, name, k)
				return nil
			}
		}
		if i != 0 && tx.Err() == nil {
			v.t.Errorf("%s: %s ends backward with %d records to go", v.what, name, i)
		}
		return nil
	}))
}

// check runs Check and reports whether it found anything.
func (v *victim) check(db *mapleaf.DB) (found bool) {
	v.t.Helper()
	err := db.View(func(tx *mapleaf.Tx) error {
		for err := range tx.Check() {
			if !isDamage(err) {
				v.t.Errorf("%s: Check reports %v, which names no page", v.what, err)
			}
			found = true
		}
		return nil
	})
	return v.met("Check", err) || found
}

// backup copies the database: the copy is whole, or there is none.
func (v *victim) backup(db *mapleaf.DB) {
	v.t.Helper()
	var buf bytes.Buffer
	err := db.View(func(tx *mapleaf.Tx) error {
		_, err := tx.WriteTo(&buf)
		return err
	})
	if v.met("WriteTo", err) {
		return
	}
	path := v.path + ".copy"
	must(v.t, os.WriteFile(path, buf.Bytes(), 0o600))
	fresh := victim{t: v.t, d: v.d, path: path, what: v.what + ", the backup"}
	fresh.guarded(mapleaf.Options{ReadOnly: true}, func(db *mapleaf.DB) {
		for name, want := range v.d.all() {
			fresh.scan(db, name, want)
		}
		if fresh.check(db) || fresh.hurt {
			v.t.Errorf("%s: a backup succeeds, and is damaged", v.what)
		}
	})
}

// write changes every bucket, and then deletes them.
func (v *victim) write() {
	v.t.Helper()
	v.guarded(mapleaf.Options{}, func(db *mapleaf.DB) {
		for name, want := range v.d.all() {
			v.met("Update", db.Update(func(tx *mapleaf.Tx) error {
				b, err := createAt(tx, name)
				if err != nil {
					return err
				}
				p := want[len(want)/2]
				if err := b.Put([]byte(p.key), []byte(p.value)); err != nil {
					return err
				}
				return b.Put([]byte("large"), value(1, 20_000))
			}))
			v.met("Delete", db.Update(func(tx *mapleaf.Tx) error {
				b := bucketAt(tx, name)
				if b == nil {
					return tx.Err()
				}
				if err := b.Delete([]byte("large")); err != nil {
					return err
				}
				return b.Delete([]byte(want[0].key))
			}))
			v.get(db, name, want[1:])
		}
	})
	v.guarded(mapleaf.Options{}, func(db *mapleaf.DB) {
		for name := range v.d.all() {
			v.met("DeleteBucket", db.Update(func(tx *mapleaf.Tx) error {
				return deleteAt(tx, name)
			}))
		}
		v.check(db)
	})
}

// TestDamageWhileOpen damages pages of an open database before it has read them.
func TestDamageWhileOpen(t *testing.T) {
	rng := dbtest.Rand(t, 1)
	d := newDamageable(t, false)
	path := filepath.Join(t.TempDir(), "db")
	for range 30 {
		must(t, os.WriteFile(path, d.content, 0o600))
		v := victim{t: t, d: &d, path: path, what: "an open file"}
		v.guarded(mapleaf.Options{ReadOnly: true}, func(db *mapleaf.DB) {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			for range 3 {
				page := 8 + rng.IntN(len(d.content)/d.pageSize-8)
				_, err = file.WriteAt(make([]byte, d.pageSize), int64(page*d.pageSize))
				must(t, err)
			}
			must(t, file.Close())
			for name, want := range d.all() {
				v.get(db, name, want)
				v.scan(db, name, want)
			}
			v.backup(db)
		})
	}
}

// TestDamagedMetas damages one of the two metas, or both.
func TestDamagedMetas(t *testing.T) {
	d := newDamageable(t, false)
	path := filepath.Join(t.TempDir(), "db")
	open := func(change func(slot []byte), slots ...int) error {
		file := bytes.Clone(d.content)
		for _, slot := range slots {
			change(file[slot*16384:][:4096])
		}
		must(t, os.WriteFile(path, file, 0o600))
		db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		v := victim{t: t, d: &d, path: path, what: fmt.Sprint("metas ", slots)}
		for name, want := range d.all() {
			v.scan(db, name, want)
		}
		if v.check(db) || v.hurt {
			t.Errorf("one damaged meta of %v damages more", slots)
		}
		return db.Close()
	}
	flip := func(slot []byte) { slot[100] ^= 1 }
	zero := func(slot []byte) { clear(slot) }
	version := func(slot []byte) {
		slot[8] = 77
		binary.LittleEndian.PutUint64(slot[168:], xxhash.Sum64(slot[:168]))
	}
	for _, slot := range []int{0, 1} {
		must(t, open(flip, slot))
		must(t, open(zero, slot))
	}
	wantErr(t, "open with both metas damaged", open(flip, 0, 1), mapleaf.ErrChecksum)
	wantErr(t, "open with both metas zeroed", open(zero, 0, 1), mapleaf.ErrInvalid)
	err := open(version, 0, 1)
	wantErr(t, "open an unknown format", err, mapleaf.ErrVersionMismatch)
	if !strings.Contains(err.Error(), "77") {
		t.Errorf("the error does not name the format: %v", err)
	}
}
