//go:build ci && linux

package mapleaf_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf"
)

// This file moves databases between processors. The test binary is built for
// each and run in turn over one folder. Each run writes files of its own once,
// and then reads, checks and changes every file that it finds.
//
// Invariants:
//
//	M1 The records are those that portableDigest stands for, on every
//	   processor, whichever wrote them.
//	M2 A file remembers every visit, in order. The ledger beside the files
//	   remembers them too, as text, and both agree.

// portableDirEnv names the folder that the runs share. Without it, the test
// makes one and visits it twice.
const portableDirEnv = "MAPLEAF_PORTABLE_DIR"

// portableDigest is the SHA-256 of all records, as digestBucket adds them up.
const portableDigest = "5e83423dc184898d55ceb34fe6bc9e9a76c8e2a7f9fa8037391a180e00807d20"

// portablePageSizes are the page sizes that each processor writes files with.
var portablePageSizes = []int{4096, 65536}

// TestPortableFiles proves that a file reads and writes alike everywhere.
func TestPortableFiles(t *testing.T) {
	if dir := os.Getenv(portableDirEnv); dir != "" {
		visitPortable(t, dir)
		return
	}
	dir := t.TempDir()
	visitPortable(t, dir)
	visitPortable(t, dir)
}

// visitPortable writes this processor's files if they are not there yet, and
// visits all files of dir.
func visitPortable(t *testing.T, dir string) {
	t.Helper()
	for _, size := range portablePageSizes {
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.db", runtime.GOARCH, size))
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			writePortable(t, path, size)
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		visitPortableFile(t, path, filepath.Join(dir, "ledger"))
	}
	t.Logf("%s visited %d files", runtime.GOARCH, len(paths))
}

// writePortable writes a database to path, and beside it, as NAME-open.db, what
// a process would leave that dies with the database open.
func writePortable(t *testing.T, path string, pageSize int) {
	t.Helper()
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{PageSize: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	for _, fill := range []func(*mapleaf.Tx) error{
		fillRandom, fillIntegers, fillPaths, fillLarge, fillNested, deleteSome,
	} {
		if err := db.Update(fill); err != nil {
			t.Fatalf("write %s: %v", path, err)
		}
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	left := strings.TrimSuffix(path, ".db") + "-open.db"
	if err := os.WriteFile(left, image, 0o600); err != nil {
		t.Fatal(err)
	}
}

// portableRand returns the same random numbers everywhere.
func portableRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func fillRandom(tx *mapleaf.Tx) error {
	b, err := tx.CreateBucket([]byte("random"))
	r := portableRand(1)
	for i := 0; i < 2000 && err == nil; i++ {
		err = b.Put(randomBytes(r, 1+r.IntN(40)), randomBytes(r, r.IntN(200)))
	}
	return err
}

func fillIntegers(tx *mapleaf.Tx) error {
	b, err := tx.CreateBucket([]byte("integers"))
	for i := uint64(0); i < 3000 && err == nil; i++ {
		key := binary.BigEndian.AppendUint64(nil, i*i)
		err = b.Put(key, binary.LittleEndian.AppendUint64(nil, i))
	}
	if err != nil {
		return err
	}
	return b.SetSequence(1<<40 + 3000)
}

func fillPaths(tx *mapleaf.Tx) error {
	b, err := tx.CreateBucket([]byte("paths"))
	for i := 0; i < 1000 && err == nil; i++ {
		key := fmt.Appendf(nil, "/usr/share/a long common prefix/%03d/file", i)
		err = b.Put(key, bytes.Repeat([]byte{byte(i)}, i%90))
	}
	return err
}

func fillLarge(tx *mapleaf.Tx) error {
	b, err := tx.CreateBucket([]byte("large"))
	r := portableRand(2)
	for _, size := range []int{1023, 1025, 4096, 16 << 10, 70_001, 300_000} {
		if err != nil {
			return err
		}
		key := fmt.Appendf(nil, "%d %s", size, strings.Repeat("k", size%4000))
		err = b.Put(key, randomBytes(r, size))
	}
	return err
}

func fillNested(tx *mapleaf.Tx) error {
	b, err := tx.CreateBucket([]byte("nested"))
	for depth := 0; depth < 12 && err == nil; depth++ {
		if err = b.Put([]byte("depth"), []byte{byte(depth)}); err != nil {
			return err
		}
		b, err = b.CreateBucket(fmt.Appendf(nil, "bucket %d", depth))
	}
	return err
}

// deleteSome frees pages, so that the file has free space to carry along.
func deleteSome(tx *mapleaf.Tx) error {
	c := tx.Bucket([]byte("random")).Cursor()
	var doomed [][]byte
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if k[0] >= 'P' && k[0] < 'p' {
			doomed = append(doomed, slices.Clone(k))
		}
	}
	for _, k := range doomed {
		if err := tx.Bucket([]byte("random")).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// visitPortableFile reads, checks and changes one file, and reads it again.
func visitPortableFile(t *testing.T, path, ledger string) {
	t.Helper()
	name := filepath.Base(path)
	db, err := mapleaf.Open(path, 0o600, nil)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Fatalf("close %s: %v", name, err)
		}
	}()
	before := ledgerOf(t, ledger, name)
	comparePortable(t, db, name, before)
	err = db.Update(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("visits"))
		if err != nil {
			return err
		}
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		return b.Put(binary.BigEndian.AppendUint64(nil, n), []byte(runtime.GOARCH))
	})
	if err != nil {
		t.Fatalf("visit %s: %v", name, err)
	}
	appendLedger(t, ledger, name)
	comparePortable(t, db, name, append(before, runtime.GOARCH))
}

// comparePortable compares what db holds with what it should hold.
func comparePortable(t *testing.T, db *mapleaf.DB, name string, want []string) {
	t.Helper()
	sum := sha256.New()
	var visits []string
	err := db.View(func(tx *mapleaf.Tx) error {
		if b := tx.Bucket([]byte("visits")); b != nil {
			c := b.Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				visits = append(visits, string(v))
			}
		}
		for _, bucket := range []string{"integers", "large", "nested", "paths", "random"} {
			if err := digestBucket(sum, tx.Bucket([]byte(bucket)), bucket); err != nil {
				return err
			}
		}
		var found []error
		for err := range tx.Check() {
			found = append(found, err)
		}
		return errors.Join(found...)
	})
	if err != nil {
		t.Fatalf("%s read %s: %v", runtime.GOARCH, name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != portableDigest {
		t.Fatalf("%s finds records with digest %s in %s, want %s",
			runtime.GOARCH, got, name, portableDigest)
	}
	if !slices.Equal(visits, want) {
		t.Fatalf("%s finds visits %q in %s, want %q", runtime.GOARCH, visits, name, want)
	}
}

// digestBucket adds everything under b to sum, and looks every key up.
func digestBucket(sum hash.Hash, b *mapleaf.Bucket, path string) error {
	if b == nil {
		return fmt.Errorf("bucket %s is missing", path)
	}
	fmt.Fprintf(sum, "bucket %q sequence %d\n", path, b.Sequence())
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return digestBucket(sum, b.Bucket(k), path+"/"+string(k))
		}
		if got := b.Get(k); !bytes.Equal(got, v) {
			return fmt.Errorf("bucket %s: get %x: got %d bytes, the scan has %d",
				path, k, len(got), len(v))
		}
		fmt.Fprintf(sum, "%x = %x\n", k, v)
		return nil
	})
}

// ledgerOf returns who visited the file name, in order.
func ledgerOf(t *testing.T, ledger, name string) []string {
	t.Helper()
	text, err := os.ReadFile(ledger)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var visits []string
	for line := range strings.Lines(string(text)) {
		if file, arch, ok := strings.Cut(strings.TrimSpace(line), " "); ok && file == name {
			visits = append(visits, arch)
		}
	}
	return visits
}

// appendLedger notes a visit of the file name.
func appendLedger(t *testing.T, ledger, name string) {
	t.Helper()
	f, err := os.OpenFile(ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "%s %s\n", name, runtime.GOARCH)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
