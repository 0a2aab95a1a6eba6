package mapleaf

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/mapleafdb/mapleaf/tx"
)

// Files that somebody made with care, so that every checksum is right and what
// they say is wrong. Opening and using them may fail and may find damage, but
// must not panic, hang or take memory without bound.

// interesting are values that fields of 32 bits are set to.
var interesting = []uint32{0, 1, 2, 7, 8, 9, 100, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 2, 1<<32 - 1}

// craft changes one 32-bit word, between from and to, of b.
func craft(r *rand.Rand, b []byte, from, to int) {
	at := from + 4*r.IntN((to-from)/4)
	v := interesting[r.IntN(len(interesting))]
	if r.IntN(3) == 0 {
		v = binary.LittleEndian.Uint32(b[at:]) + uint32(r.IntN(9)) - 4
	}
	binary.LittleEndian.PutUint32(b[at:], v)
}

// craftMeta changes the record of both metas, or of one.
func craftMeta(r *rand.Rand, b []byte) {
	for i := range 2 {
		slot := b[slotOffset(i):][:metaSlotSize]
		if r.IntN(4) > 0 {
			craft(r, slot, metaPageSize, metaFileID)
		}
		binary.LittleEndian.PutUint64(slot[metaChecksum:], xxhash.Sum64(slot[:metaChecksum]))
	}
}

// craftPage changes a page and seals it again under its own id.
func craftPage(r *rand.Rand, b []byte, id tx.PageID) {
	page := b[int(id)*DefaultPageSize:][:DefaultPageSize]
	h := decodePageHeader(page)
	if h.count != 1 {
		return
	}
	craft(r, page, headerSize, headerSize+200)
	if r.IntN(8) == 0 {
		h.birth += tx.TxID(r.IntN(3)) - 1
	}
	h.seal(page)
}

// exercise uses a file as a careless program would.
func exercise(path string, r *rand.Rand) {
	db, err := Open(path, 0o600, &Options{wrapFile: wrapLazy, MaxSize: 64 << 20})
	if err != nil {
		return
	}
	defer db.Close()
	_ = checkErrors(db)
	_ = model{}.compare(db)
	for range 3 {
		if _, err := (model{}).update(db, r, 30); err != nil {
			break
		}
	}
	_ = checkErrors(db)
	_ = db.Stats()
}

func TestCraftedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := testRand(t, 80)
	killed, _ := leftOpen(t, 12)
	clean := dir + "/clean.db"
	db := mustOpen(t, clean, nil)
	m := model{}
	for range 12 {
		m = m.mustUpdate(t, db, r, 30)
	}
	mustClose(t, db)
	var files [][]byte
	for _, path := range []string{killed, clean} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	work := dir + "/work.db"
	for round := range 400 {
		b := slices.Clone(files[round%2])
		hwm := int(min(readMetaOf(b).hwm, tx.PageID(len(b)/DefaultPageSize)))
		if r.IntN(2) == 0 {
			craftMeta(r, b)
		} else {
			for range 1 + r.IntN(3) {
				craftPage(r, b, tx.PageID(8+r.IntN(hwm-8)))
			}
		}
		if err := os.WriteFile(work, b, 0o600); err != nil {
			t.Fatal(err)
		}
		watchdog := time.AfterFunc(time.Minute, func() { panic("crafted file hangs") })
		exercise(work, r)
		watchdog.Stop()
	}
}

// readMetaOf returns a meta of a file in memory.
func readMetaOf(b []byte) *meta {
	for i := range 2 {
		if m, err := decodeMeta(b[slotOffset(i):][:metaSlotSize]); err == nil {
			return m
		}
	}
	return &meta{hwm: 16}
}
