package mapleaf

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// ledgerPages writes out what a ledger says, page by page.
func ledgerPages(l *ledger) map[tx.PageID]chainEntry {
	pages := map[tx.PageID]chainEntry{}
	l.tree.Ascend(func(r record) bool {
		for i := range r.count {
			pages[r.first+tx.PageID(i)] = chainEntry{birth: r.birth, freed: r.freed}
		}
		return true
	})
	return pages
}

func TestLedgerModel(t *testing.T) {
	r := testRand(t, 40)
	l := newLedger()
	want := map[tx.PageID]chainEntry{}
	for i := range 5000 {
		e := chainEntry{extent: extent{tx.PageID(8 + r.IntN(300)), 1 + r.Uint32N(20)}}
		if r.IntN(3) > 0 {
			e.freed = tx.TxID(1 + i)
			e.birth = tx.TxID(r.IntN(i + 1))
		}
		l.apply(e, uint64(i))
		for n := range e.count {
			id := e.first + tx.PageID(n)
			if e.freed == 0 {
				delete(want, id)
			} else {
				want[id] = chainEntry{birth: e.birth, freed: e.freed}
			}
		}
		if l.pages != uint64(len(want)) {
			t.Fatalf("%d pages, want %d", l.pages, len(want))
		}
	}
	got := ledgerPages(&l)
	for id, e := range want {
		if got[id] != e {
			t.Fatalf("page %d: %v, want %v", id, got[id], e)
		}
	}
}

// sameChain reads the chain from the file and compares it with the committer's
// ledger, page by page.
func sameChain(t *testing.T, db *DB) {
	t.Helper()
	s := db.store
	s.writing.Lock()
	defer s.writing.Unlock()
	disk, err := loadChain(s.file, s.meta)
	if err != nil {
		t.Fatal(err)
	}
	want, got := ledgerPages(&s.chain.ledger), ledgerPages(&disk.ledger)
	if len(want) != len(got) {
		t.Fatalf("the chain has %d pages, the ledger %d", len(got), len(want))
	}
	for id, e := range want {
		if got[id] != e {
			t.Fatalf("page %d: chain %v, ledger %v", id, got[id], e)
		}
	}
	s.chain.tree.Ascend(func(r record) bool {
		if r.home < s.chain.links[0].seq || r.home > s.chain.seq {
			t.Fatalf("record %v has no home", r)
		}
		return true
	})
}

// The chain replays to the ledger after every commit, and stays short while it
// is written again and again.
func TestChainStaysShort(t *testing.T) {
	for _, noSync := range []bool{true, false} {
		db := mustOpen(t, tempPath(t), &Options{wrapFile: wrapLazy, NoSync: noSync})
		r := testRand(t, 41)
		m := model{}
		longest := 0
		for i := range 400 {
			m = m.mustUpdate(t, db, r, 1+r.IntN(30))
			db.store.writing.Lock()
			c := &db.store.chain
			least := c.pagesFor(c.tree.Len())
			longest = max(longest, len(c.links)-2*least)
			db.store.writing.Unlock()
			if i%10 == 0 {
				sameChain(t, db)
				mustCheck(t, db)
			}
		}
		if longest > chainSlack+4 {
			t.Errorf("the chain has grown %d links beyond twice its need", longest)
		}
	}
}

// Large commits copy less of the chain, and the small ones after them shorten it.
func TestChainOfLargeCommits(t *testing.T) {
	db := mustOpen(t, tempPath(t), &Options{wrapFile: wrapLazy, NoSync: true, LogSize: -1})
	r := testRand(t, 45)
	length := func() (links, least int) {
		db.store.writing.Lock()
		defer db.store.writing.Unlock()
		c := &db.store.chain
		return len(c.links), c.pagesFor(c.tree.Len())
	}
	change := func(puts int) {
		err := db.Update(func(t *Tx) error {
			b, err := t.CreateBucketIfNotExists(testBucket)
			for i := 0; i < puts && err == nil; i++ {
				key := fmt.Appendf(nil, "%016x", r.Uint64()>>(r.IntN(2)*50))
				err = b.Put(key, make([]byte, 100))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		change(1500)
		links, least := length()
		if most := chainBulk*least + chainSlack + 40; links > most {
			t.Fatalf("the chain has %d links, and needs %d", links, least)
		}
	}
	sameChain(t, db)
	for range 400 {
		change(1)
	}
	if links, least := length(); links > 2*least+chainSlack+4 {
		t.Errorf("after small commits the chain has %d links, and needs %d", links, least)
	}
	sameChain(t, db)
}

// scatter makes a database in which every other one of many pages is free. The
// pages between them are in no tree, so that the file takes no room on the drive.
func scatter(t *testing.T, path string, free int) {
	t.Helper()
	db := mustOpen(t, path, nil)
	model{}.mustUpdate(t, db, testRand(t, 43), 200)
	mustClose(t, db)
	m := *readMeta(t, path, 0)
	c := chain{capacity: chainCapacity(m.pageSize)}
	var entries []chainEntry
	for i := range tx.PageID(free) {
		entries = append(entries, chainEntry{extent{m.hwm + 2*i, 1}, freeForAll, freeForAll})
	}
	m.hwm += tx.PageID(2 * free)
	m.txid = m.txid.Next()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(b []byte, off int64) {
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	ref := m.chain
	for len(entries) > 0 {
		n := min(len(entries), c.capacity)
		buf := make([]byte, m.pageSize)
		encodeChain(buf[headerSize:], ref, entries[:n])
		h := pageHeader{id: m.hwm, count: 1, birth: m.txid, kind: tx.KindChain,
			file: tagOf(m.fileID)}
		h.seal(buf)
		write(buf, int64(m.hwm)*int64(m.pageSize))
		ref = tx.Ref{ID: m.hwm, Stamp: m.txid.Stamp()}
		m.hwm++
		m.chainPages++
		entries = entries[n:]
	}
	m.chain = ref
	write(m.encode(), slotOffset(0))
	write(m.encode(), slotOffset(1))
}

// However much is free, and however scattered, a small commit writes little, and
// opening reads the chain and nothing else.
func TestManyFreePages(t *testing.T) {
	t.Parallel()
	const free = 200_000
	path := tempPath(t)
	scatter(t, path, free)
	rec := &recorder{}
	db, err := Open(path, 0o600, &Options{wrapFile: rec.wrap, NoSync: true, LogSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n := rec.called(); n > 10 {
		t.Errorf("opening took %d calls", n)
	}
	if n := db.Stats().FreePageN; n < free {
		t.Fatalf("only %d pages are free", n)
	}
	links := len(db.store.chain.links)
	if n := rec.called(); n > links+10 {
		t.Errorf("the first use took %d calls for a chain of %d pages", n, links)
	}
	rec.forget()
	for i := range 3000 {
		before := rec.len()
		if err := <-put(db, fmt.Sprint("small", i%20)); err != nil {
			t.Fatal(err)
		}
		if _, bytes := rec.count(opWrite, before); bytes > 64<<10 {
			t.Fatalf("commit %d has written %d bytes", i, bytes)
		}
		rec.forget()
	}
	sameChain(t, db)
	now := len(db.store.chain.links)
	if n := db.Stats().FreePageN; n < free-now {
		t.Errorf("only %d pages are free afterwards", n)
	}
	if now > 3*links {
		t.Errorf("the chain has grown from %d to %d links", links, now)
	}
}

// A damaged chain is an error that names a page, and never a hang.
func TestDamagedChain(t *testing.T) {
	path := tempPath(t)
	db := mustOpen(t, path, nil)
	r := testRand(t, 42)
	m := model{}
	for range 20 {
		m = m.mustUpdate(t, db, r, 20)
	}
	mustClose(t, db)
	good := readMeta(t, path, 0)
	spoil := []struct {
		name   string
		change func(m *meta)
	}{
		{"too long", func(m *meta) { m.chainPages++ }},
		{"endless", func(m *meta) { m.chainPages = uint32(m.hwm) - 8 }},
		{"other page", func(m *meta) { m.chain.ID++ }},
		{"other stamp", func(m *meta) { m.chain.Stamp++ }},
		{"behind the end", func(m *meta) { m.chain.ID = m.hwm + 5 }},
		{"in the metas", func(m *meta) { m.chain.ID = 2 }},
	}
	for _, s := range spoil {
		bad := *good
		s.change(&bad)
		f := &memFile{}
		disk, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f.b = disk
		_, err = loadChain(f, &bad)
		var damage *CorruptError
		if !errors.As(err, &damage) {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}
