package mapleaf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

// openDB opens a database that is checked and closed when the test ends.
func openDB(t testing.TB, opts ...dbtest.Option) *dbtest.DB {
	t.Helper()
	return dbtest.Open(t, opts...)
}

// pageSize sets the page size of a new database, in bytes.
func pageSize(size int) dbtest.Option {
	return func(o *mapleaf.Options) { o.PageSize = size }
}

// noSync leaves out the sync of each commit, for tests that do not look at it.
func noSync(o *mapleaf.Options) { o.NoSync = true }

// must fails the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantMode fails the test unless the file at path has the permissions that any
// new file gets from mode. How much of it a file keeps is up to the system:
// Windows knows whether it may be written.
func wantMode(t testing.TB, path string, mode fs.FileMode) {
	t.Helper()
	plain := filepath.Join(t.TempDir(), "plain")
	must(t, os.WriteFile(plain, nil, mode))
	want, err := os.Stat(plain)
	must(t, err)
	got, err := os.Stat(path)
	must(t, err)
	if got.Mode() != want.Mode() {
		t.Fatalf("%s has mode %v, want %v", path, got.Mode(), want.Mode())
	}
}

// wantErr fails the test unless got is want, or wraps it.
func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got error %v, want %v", what, got, want)
	}
}

// mustBucket creates the bucket name under parent, which is a *mapleaf.Tx or a
// *mapleaf.Bucket.
func mustBucket(t testing.TB, parent interface {
	CreateBucket([]byte) (*mapleaf.Bucket, error)
}, name string) *mapleaf.Bucket {
	t.Helper()
	b, err := parent.CreateBucket([]byte(name))
	if err != nil {
		t.Fatalf("create bucket %q: %v", name, err)
	}
	if b == nil {
		t.Fatalf("create bucket %q: nil bucket without an error", name)
	}
	return b
}

// put fails the test if the pair cannot be put.
func put(t testing.TB, b *mapleaf.Bucket, key, value string) {
	t.Helper()
	if err := b.Put([]byte(key), []byte(value)); err != nil {
		t.Fatalf("put %.40q: %v", key, err)
	}
}

// wantGet fails the test unless key has exactly this value.
func wantGet(t testing.TB, b *mapleaf.Bucket, key, want string) {
	t.Helper()
	got := b.Get([]byte(key))
	if got == nil {
		t.Fatalf("get %.40q: nil, want %d bytes", key, len(want))
	}
	if string(got) != want {
		t.Fatalf("get %.40q: %.40q, want %.40q", key, got, want)
	}
}

// wantNone fails the test unless key is missing.
func wantNone(t testing.TB, b *mapleaf.Bucket, key string) {
	t.Helper()
	if got := b.Get([]byte(key)); got != nil {
		t.Fatalf("get %.40q: %.40q, want nil", key, got)
	}
}

// pair is a record as a cursor shows it; a sub-bucket has no value.
type pair struct {
	key    string
	value  string
	bucket bool
}

// pairs returns what ForEach shows of the bucket.
func pairs(t testing.TB, b *mapleaf.Bucket) []pair {
	t.Helper()
	var all []pair
	must(t, b.ForEach(func(k, v []byte) error {
		all = append(all, pair{string(k), string(v), v == nil})
		return nil
	}))
	return all
}

// wantPairs fails the test unless the bucket holds exactly want, in order.
func wantPairs(t testing.TB, b *mapleaf.Bucket, want []pair) {
	t.Helper()
	got := pairs(t, b)
	if !slices.Equal(got, want) {
		t.Fatalf("bucket holds %d records %s, want %d: %s",
			len(got), brief(got), len(want), brief(want))
	}
}

// brief prints the first few pairs of a list.
func brief(list []pair) string {
	var s strings.Builder
	for i, p := range list {
		if i == 8 {
			s.WriteString(" ...")
			break
		}
		fmt.Fprintf(&s, " %.20q=%.20q", p.key, p.value)
	}
	return s.String()
}

// wantAt fails the test unless a cursor's move gave the key, with its value.
// An empty key stands for the end.
func wantAt(t testing.TB, what string, k, v []byte, key, value string) {
	t.Helper()
	switch {
	case key == "" && (k != nil || v != nil):
		t.Fatalf("%s: %.40q %.40q, want the end", what, k, v)
	case key != "" && (string(k) != key || string(v) != value):
		t.Fatalf("%s: %.40q %.40q, want %.40q %.40q", what, k, v, key, value)
	}
}

// key8 is the i-th of a set of keys that sort by number.
func key8(i int) string { return fmt.Sprintf("key-%08d", i) }

// value returns size bytes that depend on seed, so that every value differs.
func value(seed, size int) []byte {
	b := bytes.Repeat([]byte{byte(seed)}, size)
	for i, c := range []byte(fmt.Sprintf("<%d>", seed)) {
		if i < size {
			b[i] = c
		}
	}
	return b
}

// fill puts n records of valueSize bytes into b, in key order.
func fill(t testing.TB, b *mapleaf.Bucket, n, valueSize int) {
	t.Helper()
	for i := range n {
		if err := b.Put([]byte(key8(i)), value(i, valueSize)); err != nil {
			t.Fatalf("put %d of %d: %v", i, n, err)
		}
	}
}

// wantFilled fails the test unless b holds what fill put, and nothing else.
func wantFilled(t testing.TB, b *mapleaf.Bucket, n, valueSize int) {
	t.Helper()
	i := 0
	must(t, b.ForEach(func(k, v []byte) error {
		if string(k) != key8(i) || !bytes.Equal(v, value(i, valueSize)) {
			return fmt.Errorf("record %d is %q with %d bytes", i, k, len(v))
		}
		i++
		return nil
	}))
	if i != n {
		t.Fatalf("bucket holds %d records, want %d", i, n)
	}
}
