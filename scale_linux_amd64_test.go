//go:build linux && amd64

package mapleaf

import (
	"errors"
	"os"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// Sparse files at the edges of the format: beyond 64 GiB, and at the last page id. They
// take a system with sparse files and an address space of 47 bits.

// grownFile makes a database whose next page is id, in a sparse file.
func grownFile(t *testing.T, id tx.PageID) string {
	t.Helper()
	path := tempPath(t)
	mustClose(t, mustOpen(t, path, nil))
	m := readMeta(t, path, 0)
	m.hwm = id
	m.txid = m.txid.Next()
	m.durable = m.txid
	m.entrySum = manifestSumOf(m.txid, nil)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(id) * int64(m.pageSize)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := f.WriteAt(m.encode(), slotOffset(i)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// A file of more than 64 GiB: pages behind that are written, read, freed and cut off.
func TestBeyond64GiB(t *testing.T) {
	const far = 70 << 30 / DefaultPageSize
	path := grownFile(t, far)
	r := testRand(t, 951)
	m := model{}
	for _, o := range []*Options{
		{wrapFile: sparseGrowth}, {wrapFile: sparseGrowth, LogSize: -1}, {ReadOnly: true},
	} {
		db, err := Open(path, 0o600, o) // Check would name every page that is not there
		if err != nil {
			t.Fatal(err)
		}
		if err := m.compare(db); err != nil && len(m) > 0 {
			t.Fatal(err)
		}
		for i := 0; i < 20 && !o.ReadOnly; i++ {
			m = m.mustUpdate(t, db, r, 100)
		}
		if top := db.store.meta.hwm; top <= far && len(m) == 0 {
			t.Fatalf("nothing lies behind page %d, the file ends with page %d", far, top)
		}
		mustClose(t, db)
	}
}

// sparseGrowth lets a file grow without room: the holes of a sparse one stay holes.
func sparseGrowth(f file) file { return sparseFile{lazyFile{f}} }

type sparseFile struct{ lazyFile }

func (f sparseFile) Allocate(size int64) error { return f.Truncate(size) }

// The last page id: what needs more pages than there are ids is refused, and what does
// not goes on.
func TestLastPageID(t *testing.T) {
	db, err := Open(grownFile(t, hwmMax-600), 0o600, &Options{wrapFile: sparseGrowth})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := testRand(t, 952)
	m := model{}.mustUpdate(t, db, r, 20)
	if _, err := m.bigUpdate(db); !errors.Is(err, ErrMaxSizeReached) {
		t.Fatalf("growth past the last page id: %v", err)
	}
	for range 5 {
		m = m.mustUpdate(t, db, r, 10)
	}
	if err := m.compare(db); err != nil {
		t.Fatal(err)
	}
}
