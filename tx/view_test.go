package tx

import (
	"fmt"
	"slices"
	"testing"
)

// A view gives back what a node was built of, in each of its layouts.
func TestViewLeaves(t *testing.T) {
	for name, records := range map[string][]string{
		"prefix": {"user/alice=1", "user/bobby=22", "user/carol="},
		"fixed":  {"\x00\x00\x01\x01=aa", "\x00\x00\x02\x01=bb"},
		"short":  {"a=x", "ab=y", "b=z"},
	} {
		v, err := ViewNode(testLeaf(512, records...))
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for i := range v.Len() {
			key, place := v.AppendKey(nil, i)
			r := v.Value(i)
			if place != (Place{}) || r.Nested || r.Long || r.Bytes == nil {
				t.Errorf("%s: record %d is %+v at %+v", name, i, r, place)
			}
			got = append(got, fmt.Sprintf("%s=%s", key, r.Bytes))
		}
		if !slices.Equal(got, records) || v.Branch() || v.Total() != uint64(len(records)) {
			t.Errorf("%s: got %q", name, got)
		}
		v.Nodes(func(ref Ref) { t.Errorf("%s: leads to %v", name, ref) })
	}
}

func TestViewBranch(t *testing.T) {
	v, err := ViewNode(testBranch(512, "k", "melon"))
	if err != nil {
		t.Fatal(err)
	}
	if !v.Branch() || v.Len() != 3 || v.Total() != 13 {
		t.Fatalf("%d children, %d records", v.Len(), v.Total())
	}
	for i, want := range []string{"k", "melon"} {
		if key, place := v.AppendSeparator(nil, i); string(key) != want || place != (Place{}) {
			t.Errorf("separator %d is %q at %+v", i, key, place)
		}
	}
	var refs []Ref
	v.Nodes(func(ref Ref) { refs = append(refs, ref) })
	if ref, n := v.Child(2); ref != (Ref{9, 1}) || n != 5 || !slices.Contains(refs, ref) ||
		len(refs) != 3 {
		t.Errorf("child 2 is %v with %d records, all are %v", ref, n, refs)
	}
}

// Buckets, long keys and long values are told with where they lie.
func TestViewPlaces(t *testing.T) {
	long := longRef{Ref{30, 4}, 5000}
	inline := make(node, 60)
	inline.buildLeaf([]item{{key: []byte("in"), value: []byte("v")}})
	h := BucketHeader{Sequence: 3, Count: 1}
	outer := BucketHeader{Root: Ref{40, 6}, Count: 70}
	n := make(node, 1024)
	n.buildLeaf([]item{
		{key: []byte("a"), kind: valueBucket, value: append(h.Append(nil), inline...)},
		{key: []byte("b"), kind: valueBucket, value: outer.Append(nil)},
		{key: []byte("c"), kind: valueExtent, value: long.append(nil)},
		{key: []byte("d, the first bytes"), long: long.append(nil), value: []byte("v")},
	})
	v, err := ViewNode(n)
	if err != nil {
		t.Fatal(err)
	}
	if r := v.Value(0); !r.Nested || r.Bucket != h || r.Inline.Len() != 1 ||
		string(r.Inline.Value(0).Bytes) != "v" {
		t.Errorf("the inline bucket is %+v", r)
	}
	if r := v.Value(1); !r.Nested || r.Bucket != outer || r.Inline.Len() != 0 ||
		r.Inline.Total() != 0 || r.Inline.Branch() {
		t.Errorf("the bucket is %+v", r)
	}
	want := Place{Ref{30, 4}, 5000}
	if r := v.Value(2); !r.Long || r.Place != want || want.Pages(12) != 2 {
		t.Errorf("the long value is %+v", r)
	}
	if key, place := v.AppendKey(nil, 3); place != want || string(key) != "d, the first bytes" {
		t.Errorf("the long key is %q at %+v", key, place)
	}
	v.Nodes(func(ref Ref) {
		if ref != outer.Root {
			t.Errorf("leads to %v", ref)
		}
	})
	var places []Place
	v.Extents(func(p Place) { places = append(places, p) })
	if !slices.Equal(places, []Place{want, want}) {
		t.Errorf("the extents are %v", places)
	}
	if _, err := ViewNode(make([]byte, 64)); err == nil {
		t.Error("a leaf without records is accepted")
	}
}
