package mapleaf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/mapleafdb/mapleaf/tx"
)

// golden compares bytes with hexadecimal text, in which spaces are ignored.
func golden(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	w, err := hex.DecodeString(strings.Join(strings.Fields(want), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, w) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, w)
	}
}

func TestGoldenPageHeader(t *testing.T) {
	buf := make([]byte, 4096)
	copy(buf[headerSize:], "body")
	h := pageHeader{id: 0x01020304, count: 1, birth: 0x1112131415161718, kind: tx.KindNode,
		file: fileTag{1, 2, 3, 4, 5, 6, 7}}
	sum := h.seal(buf)
	golden(t, "page header", buf[:headerSize+4], `
		2ee4fbcb5cbe25cb 04030201 01000000 1817161514131211 01 01020304050607
		626f6479`)
	got := decodePageHeader(buf)
	h.checksum = sum
	if got != h {
		t.Errorf("decoded %+v, want %+v", got, h)
	}
	// The checksum is that of the rest, seeded with the id.
	var d xxhash.Digest
	d.ResetWithSeed(0x01020304)
	d.Write(buf[8:])
	if d.Sum64() != sum {
		t.Error("checksum is not xxhash64 seeded with the page id")
	}
}

func TestPageHeaderRefusals(t *testing.T) {
	buf := make([]byte, 8192)
	ref := tx.Ref{ID: 20, Stamp: 7}
	h := pageHeader{id: 20, count: 2, birth: 1<<32 | 7, kind: tx.KindExtent}
	h.seal(buf)
	if _, err := checkExtent(buf, ref, tx.KindExtent, 22); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		ref  tx.Ref
		kind tx.Kind
		hwm  tx.PageID
		spot int
	}{
		{"id", tx.Ref{ID: 21, Stamp: 7}, tx.KindExtent, 30, -1},
		{"stamp", tx.Ref{ID: 20, Stamp: 8}, tx.KindExtent, 30, -1},
		{"kind", ref, tx.KindNode, 30, -1},
		{"end", ref, tx.KindExtent, 21, -1},
		{"count", ref, tx.KindExtent, 30, headerCount},
		{"birth", ref, tx.KindExtent, 30, headerBirth + 5},
		{"file", ref, tx.KindExtent, 30, headerFile + 3},
		{"body", ref, tx.KindExtent, 30, 8000},
		{"checksum", ref, tx.KindExtent, 30, 3},
	}
	for _, test := range tests {
		b := slices.Clone(buf)
		if test.spot >= 0 {
			b[test.spot] ^= 0x10
		}
		_, err := checkExtent(b, test.ref, test.kind, test.hwm)
		var damage *CorruptError
		if !errors.As(err, &damage) || damage.Page != test.ref.ID {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestBirthOf(t *testing.T) {
	const high = tx.TxID(5) << 32
	tests := []struct {
		stamp uint32
		now   tx.TxID
		want  tx.TxID
	}{
		{7, 9, 7}, {9, 9, 9}, {10, 9, 1}, {7, high | 9, high | 7},
		{10, high | 9, high - 1<<32 | 10}, {0xffffffff, high | 1, high - 1},
	}
	for _, test := range tests {
		if got := birthOf(test.stamp, test.now); got != test.want {
			t.Errorf("birthOf(%x, %x) = %x, want %x", test.stamp, test.now, got, test.want)
		}
	}
}

// goldenMeta has another value in each field.
func goldenMeta() *meta {
	m := &meta{
		pageSize: 8192,
		txid:     0x0102030405060708,
		durable:  0x0102030405060701,
		closed:   true,
		hwm:      0x11121314,
		root: tx.BucketHeader{
			Root: tx.Ref{ID: 0x01222324, Stamp: 0x31323334}, Sequence: 5, Count: 6,
		},
		chain:      tx.Ref{ID: 0x41424344, Stamp: 0x51525354},
		chainPages: 0x01626364,
		entries:    []manifestEntry{{extent{9, 2}, 0x0a0b0c0d0e0f1011}},
		entryCount: 1,
		fileID:     [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	}
	m.entrySum = manifestSumOf(m.txid, appendManifest(nil, m.entries))
	return m
}

func TestGoldenMeta(t *testing.T) {
	m := goldenMeta()
	b := m.encode()
	if len(b) != metaSlotSize {
		t.Fatalf("slot has %d bytes", len(b))
	}
	golden(t, "meta", b[:metaEntries+manifestEntrySize], `
		4d61706c65616600 01000000 00200000 0807060504030201 0107060504030201
		01000000 14131211
		24232201 34333231 0500000000000000 0600000000000000
		44434241 54535251 64636201
		00000000 00000000 00000000 01000000 00000000 4d8e9a6599c786db
		00000000 00000000 0000000000000000 0000000000000000
		00000000 00000000 0000000000000000 0000000000000000
		0102030405060708090a0b0c0d0e0f10 893d19a34e76c7bb
		09000000 02000000 11100f0e0d0c0b0a`)
	got, err := decodeMeta(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.encode(), b) {
		t.Errorf("decoded %+v, want %+v", got, m)
	}
}

// resealed returns the slot of the golden meta with one change, under a checksum
// that matches.
func resealed(change func(b []byte)) []byte {
	b := goldenMeta().encode()
	change(b)
	binary.LittleEndian.PutUint64(b[metaChecksum:], xxhash.Sum64(b[:metaChecksum]))
	return b
}

func TestMetaRefusals(t *testing.T) {
	le := binary.LittleEndian
	u32 := func(off int, v uint32) func([]byte) {
		return func(b []byte) { le.PutUint32(b[off:], v) }
	}
	tests := []struct {
		name   string
		change func(b []byte)
		want   error
	}{
		{"magic", func(b []byte) { b[0]++ }, ErrInvalid},
		{"format", u32(metaFormat, 2), ErrVersionMismatch},
		{"page size 0", u32(metaPageSize, 0), ErrCorrupt},
		{"page size odd", u32(metaPageSize, 5000), ErrCorrupt},
		{"page size large", u32(metaPageSize, 1<<17), ErrCorrupt},
		{"txid", u32(metaTxID, 0), ErrCorrupt},
		{"durable", u32(metaDurable+4, 0x7fffffff), ErrCorrupt},
		{"high-water mark", u32(metaHWM, 3), ErrCorrupt},
		{"root low", u32(metaRoot, 2), ErrCorrupt},
		{"root high", u32(metaRoot, 0x11121314), ErrCorrupt},
		{"chain", u32(metaChainPages, 0xffffffff), ErrCorrupt},
		{"entries", u32(metaEntryCount, metaInline+1), ErrCorrupt},
		{"manifest pages", u32(metaManPages, 1), ErrCorrupt},
		{"manifest of no pages", u32(metaManifest, 9), ErrCorrupt},
		{"one log", u32(metaLog+metaLogSize, 1), ErrCorrupt},
	}
	for _, test := range tests {
		if _, err := decodeMeta(resealed(test.change)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	// Without a new checksum, each flipped bit of the record is noticed.
	for bit := range metaEntries * 8 {
		b := goldenMeta().encode()
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeMeta(b); err == nil {
			t.Errorf("flipped bit %d of byte %d was not noticed", bit%8, bit/8)
		}
	}
	if _, err := decodeMeta(goldenMeta().encode()[:100]); !errors.Is(err, ErrInvalid) {
		t.Errorf("short slot: %v", err)
	}
}

func TestGoldenManifest(t *testing.T) {
	entries := []manifestEntry{
		{extent{0x01020304, 0x11121314}, 0x2122232425262728},
		{extent{0x31323334, 1}, 2},
	}
	b := appendManifest(nil, entries)
	golden(t, "manifest", b, `
		04030201 14131211 2827262524232221
		34333231 01000000 0200000000000000`)
	if got := decodeManifest(b); !slices.Equal(got, entries) {
		t.Errorf("decoded %v", got)
	}
	if manifestPages(metaInline, 4096) != 0 || manifestPages(metaInline+1, 4096) != 1 ||
		manifestPages(254, 4096) != 1 || manifestPages(255, 4096) != 2 {
		t.Error("wrong number of manifest pages")
	}
}

func TestCheckManifest(t *testing.T) {
	m := &meta{pageSize: 4096, hwm: 100}
	entries := func(es ...extent) (all []manifestEntry) {
		for _, e := range es {
			all = append(all, manifestEntry{extent: e})
		}
		return all
	}
	if err := checkManifest(m, entries(extent{8, 2}, extent{10, 1}, extent{99, 1})); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]manifestEntry{
		entries(extent{7, 1}), entries(extent{8, 0}), entries(extent{99, 2}),
		entries(extent{9, 1}, extent{8, 1}), entries(extent{8, 2}, extent{9, 1}),
		entries(extent{8, 0xffffffff}),
	} {
		if err := checkManifest(m, bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestGoldenChain(t *testing.T) {
	body := make([]byte, 4096-headerSize)
	entries := []chainEntry{
		{extent{0x01020304, 0x11121314}, 0x2122232425262728, 0x3132333435363738},
		{extent{9, 1}, 0, 0},
	}
	before := tx.Ref{ID: 0x41424344, Stamp: 0x51525354}
	encodeChain(body, before, entries)
	golden(t, "chain", body[:chainHead+3*chainEntrySize], `
		44434241 54535251 02000000 00000000
		04030201 14131211 2827262524232221 3837363534333231
		09000000 01000000 0000000000000000 0000000000000000
		00000000 00000000 0000000000000000 0000000000000000`)
	prev, got, err := decodeChain(5, body, 8, 0x4000000000000000)
	if err != nil || !slices.Equal(got, entries) || prev != before {
		t.Errorf("decoded %v, %v, %v", prev, got, err)
	}
	if c := chainCapacity(4096); c != 168 {
		t.Errorf("a chain page holds %d entries", c)
	}
}

func TestChainRefusals(t *testing.T) {
	for _, bad := range []chainEntry{
		{extent{7, 1}, 1, 1},          // a meta
		{extent{8, 0}, 1, 1},          // empty
		{extent{0xfffffffe, 9}, 1, 1}, // beyond every page id
		{extent{8, 1}, 3, 2},          // freed before it was born
		{extent{8, 1}, 1, 101},        // freed in the future
		{extent{8, 1}, 1, 0},          // cleared, yet born
	} {
		body := make([]byte, 4096-headerSize)
		encodeChain(body, tx.Ref{}, []chainEntry{bad})
		if _, _, err := decodeChain(5, body, 8, 100); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	body := make([]byte, 4096-headerSize)
	binary.LittleEndian.PutUint32(body[chainCount:], 169)
	if _, _, err := decodeChain(5, body, 8, 100); !errors.Is(err, ErrCorrupt) {
		t.Errorf("169 entries: %v", err)
	}
}
