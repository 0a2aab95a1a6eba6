package tx

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func testLeaf(size int, records ...string) node {
	n := make(node, size)
	var items []item
	for _, r := range records {
		k, v, _ := strings.Cut(r, "=")
		items = append(items, item{key: []byte(k), value: []byte(v)})
	}
	n.buildLeaf(items)
	return n
}

func testBranch(size int, separators ...string) node {
	n := make(node, size)
	links := []link{{child: Ref{7, 1}, below: 3}}
	for i, s := range separators {
		links = append(links, link{
			sep: item{key: []byte(s)}, child: Ref{PageID(i + 8), 1}, below: 5,
		})
	}
	n.buildBranch(links)
	return n
}

// The bytes of nodes are part of the file format.
func TestNodeGolden(t *testing.T) {
	tests := []struct {
		name string
		n    node
		want string
	}{
		{"leaf", testLeaf(80, "user/alice=1", "user/bobby=22"), "" +
			"0000 0200 0500 0000 4300 0000" + // leaf, 2 records, prefix of 5, cells from 67
			"757365722f 000000" + // user/
			"63696c61 62626f62" + // heads, little-endian
			"4300 4900" + // offsets
			strings.Repeat("00", 67-32) +
			"0500 0100 65 31 " + // suffix of 5, value of 1: e, 1
			"0500 0200 79 3232"},
		{"whole", testLeaf(180, "ak="+strings.Repeat("v", 70), "b="+strings.Repeat("w", 70)), "" +
			"0400 0200 0000 0000 1d00 0000" + // whole keys, 2 records, cells from 29
			"00006b61 00000062" +
			"1d00 6900" + strings.Repeat("00", 29-24) +
			"0200 4600 616b" + strings.Repeat("76", 70) +
			"0100 4600 62" + strings.Repeat("77", 70)},
		{"fixed", testLeaf(36, "\x00\x00\x01\x01=aa", "\x00\x00\x02\x01=bb"), "" +
			"0202 0200 0200 0200 2400 0000" +
			"0000 0000 00000101 00000102 6161 6262" + strings.Repeat("00", 8)},
		{"branch", testBranch(80, "k", "melon"), "" +
			"0100 0200 0000 0000 4d00 0000" +
			"0000006b 6f6c656d" +
			"0700000001000000 0800000001000000 0900000001000000" +
			"0300000000000000 0500000000000000 0500000000000000" +
			"0100 4d00 0000000000" +
			"0500 6e"},
	}
	for _, tt := range tests {
		if err := tt.n.check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		want := strings.ReplaceAll(tt.want, " ", "")
		if got := hex.EncodeToString(tt.n); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, want)
		}
	}
}

func TestFindLeaf(t *testing.T) {
	var s Snapshot
	n := testLeaf(512, "aab=", "aac=", "aaca=", "aacaa=", "aaca\x00\x00=", "aad=1")
	m := testLeaf(512, "aab=", "aac=", "aaca=", "aaca\x00\x00=", "aacaa=", "aad=1")
	if n.check() == nil {
		t.Error("keys out of order pass the check of heads")
	}
	tests := []struct {
		key   string
		i     int
		found bool
	}{
		{"", 0, false}, {"a", 0, false}, {"aa", 0, false}, {"aaa", 0, false},
		{"aab", 0, true}, {"aab\x00", 1, false}, {"aac", 1, true},
		{"aac\x00", 2, false}, {"aaca", 2, true}, {"aaca\x00", 3, false},
		{"aaca\x00\x00", 3, true}, {"aaca\x00\x00\x00", 4, false}, {"aacaa", 4, true},
		{"aad", 5, true}, {"aae", 6, false}, {"b", 6, false},
	}
	for _, tt := range tests {
		i, found, err := s.findLeaf(m, []byte(tt.key))
		if i != tt.i || found != tt.found || err != nil {
			t.Errorf("find %q: %d, %v, %v; want %d, %v", tt.key, i, found, err, tt.i, tt.found)
		}
	}
}

func TestFindBranch(t *testing.T) {
	var s Snapshot
	n := testBranch(512, "ab", "abcd", "abcde", "abcdef", "abd", "b")
	tests := []struct {
		key string
		i   int
	}{
		{"", 0}, {"a", 0}, {"ab", 1}, {"ab\x00", 1}, {"abc", 1}, {"abcd", 2}, {"abcd\x00", 2},
		{"abcde", 3}, {"abcdef", 4}, {"abcdefg", 4}, {"abd", 5}, {"azzz", 5}, {"b", 6}, {"c", 6},
	}
	for _, tt := range tests {
		if i, err := s.findBranch(n, []byte(tt.key)); i != tt.i || err != nil {
			t.Errorf("find %q: %d, %v; want %d", tt.key, i, err, tt.i)
		}
	}
}

// Editing in place and building anew lead to the same records.
func TestNodeEdit(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := make(node, 1024)
		model := map[string]string{}
		for range 300 {
			k := fmt.Sprintf("key%0*d", 1+r.IntN(6), r.IntN(90))
			v := strings.Repeat("v", r.IntN(20))
			editNode(t, n, model, k, v, r.IntN(3) == 0)
			if len(model) > 0 {
				if err := n.check(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
	}
}

func editNode(t *testing.T, n node, model map[string]string, k, v string, del bool) {
	var s Snapshot
	it := item{key: []byte(k), value: []byte(v)}
	if len(model) == 0 {
		n.buildLeaf([]item{it})
		model[k] = v
		return
	}
	i, found, err := s.findLeaf(n, it.key)
	if _, ok := model[k]; ok != found || err != nil {
		t.Fatalf("find %q: %v, %v; want %v", k, found, err, ok)
	}
	tidy := n.tidy()
	switch {
	case found && del:
		n.removeLeaf(i, tidy)
		delete(model, k)
	case found && n.replaceLeaf(i, &it, false), !found && n.insertLeaf(i, &it, tidy):
		model[k] = v
	}
	if tidy && !n.tidy() && n.dead() == 0 && n.count() > 0 {
		t.Fatal("a tidy leaf became untidy")
	}
	if n.count() != len(model) {
		t.Fatalf("%d records, want %d", n.count(), len(model))
	}
	for i := range n.count() {
		key := n.appendKey(nil, i)
		e := n.entry(i)
		again := make([]byte, len(n.prefix())+e.suffix)
		n.putKey(again, &e)
		_, value := n.value(i)
		if model[string(key)] != string(value) || !bytes.Equal(key, again) {
			t.Fatalf("record %d: %q %q = %q", i, key, again, value)
		}
	}
	if len(model) > 0 && !n.fixed() {
		ordered := make(node, len(n))
		n.tidyInto(ordered)
		if !ordered.tidy() || ordered.check() != nil || ordered.used() != n.used() {
			t.Fatalf("tidied node: %v", ordered.check())
		}
	}
}

// FuzzNode proves N2: whatever passes the check can be read and edited.
// A leaf behind one of whole keys begins like it, if its keys have the prefix, too, and do not
// seem to have so much in common that keys without it take less.
func TestBeginLeaf(t *testing.T) {
	v := strings.Repeat("v", 100)
	whole := testLeaf(4064, "key00/a="+v, "key09/b="+v+"w")
	if whole[0] != flagWhole || u16(whole[4:]) != 4 {
		t.Fatalf("layout %d, prefix of %d", whole[0], u16(whole[4:]))
	}
	for _, c := range []struct {
		name       string
		left       node
		last, next string
		value      string
		like       bool // it begins like the one before
	}{
		{"alike", whole, "key09", "key0a", v, true},
		{"more in common", whole, "key09/b", "key09/c", v, false},
		{"short value", whole, "key09", "key0a", "v", false},
		{"another prefix", whole, "key09", "key1", v, false},
		{"suffixes", testLeaf(4064, "key00/a=", "key09/b="), "key09", "key0a", v, false},
	} {
		n := make(node, 4064)
		it := item{key: []byte(c.next), value: []byte(c.value)}
		n.beginLeaf(&it, c.left, &item{key: []byte(c.last)})
		if err := n.check(); err != nil || n.count() != 1 || string(n.appendKey(nil, 0)) != c.next {
			t.Errorf("%s: %d records, %v", c.name, n.count(), err)
		}
		if like := n[0] == flagWhole && u16(n[4:]) == 4; like != c.like {
			t.Errorf("%s: layout %d, prefix of %d", c.name, n[0], u16(n[4:]))
		}
	}
}

func FuzzNode(f *testing.F) {
	f.Add([]byte(testLeaf(200, "user/alice=1", "user/bobby=22", "user/c=")), []byte("user/b"))
	f.Add([]byte(testLeaf(64, "\x00\x01=aa", "\x00\x02=bb")), []byte("\x00\x02"))
	f.Add([]byte(testBranch(200, "k", "melon", "melons")), []byte("melon"))
	f.Fuzz(func(t *testing.T, data, key []byte) {
		n := node(bytes.Clone(data))
		if len(n) > 1<<16-HeaderSize || len(n) < nodeHeader || n.check() != nil {
			return
		}
		s := &Snapshot{Shift: 12, Source: newMemStore(t, 12)}
		tx := newMemStore(t, 12).begin()
		if n.branch() {
			_, _ = s.findBranch(n, key)
			tx.gatherBranch(n, nil)
			_ = n.total()
			for n.count() > 0 {
				n.removeSep(n.count()-1, n.count())
			}
			return
		}
		fuzzLeaf(n, s, tx, key)
	})
}

func fuzzLeaf(n node, s *Snapshot, tx *Tx, key []byte) {
	for j := range n.count() {
		e := n.entry(j)
		n.putKey(make([]byte, len(n.prefix())+e.suffix), &e)
		_ = n.record(j)
		_, _ = n.longKey(j)
	}
	if !n.fixed() {
		n.tidyInto(make(node, len(n)))
	}
	tx.gatherLeaf(n)
	it := item{key: key, value: []byte("value")}
	for j := range byte(3) {
		more := item{key: append(bytes.Clone(key), j), value: key}
		if k, found, err := s.findLeaf(n, more.key); !found && err == nil {
			n.insertLeaf(k, &more, n.tidy())
		}
	}
	if i, found, _ := s.findLeaf(n, key); found {
		n.replaceLeaf(i, &it, false)
	} else if len(key) > 0 {
		n.insertLeaf(i, &it, n.tidy())
	}
	for n.count() > 0 {
		n.removeLeaf(n.count()-1, n.tidy())
	}
}
