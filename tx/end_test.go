package tx

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"
)

// What our own objects keep of a mapping when the transaction has ended would lie in a
// range that the runtime may have taken for its heap since: the collector ends the
// process when it finds such a pointer (R27).
func TestEndLetsGoOfMapping(t *testing.T) {
	s := nestedStore(t)
	for _, writable := range []bool{false, true} {
		tx := s.read()
		if writable {
			tx = s.begin()
		}
		kept := []any{tx}
		use := func(b *Bucket) {
			c := b.Cursor()
			n := 0
			for k, _ := c.First(); k != nil && n < 250; k, _ = c.Next() {
				n++
			}
			c.Seek([]byte("key000300"))
			c.Prev()
			b.Get([]byte("key000123"))
			kept = append(kept, b, c)
		}
		b := tx.Bucket([]byte("bucket"))
		use(b)
		use(b.Bucket([]byte("nested")))
		use(b.Bucket([]byte("small")))
		if writable {
			if err := b.Put([]byte("key000200"), []byte("new")); err != nil {
				t.Fatal(err)
			}
			if err := b.Delete([]byte("key000100")); err != nil {
				t.Fatal(err)
			}
		}
		mapped := s.state.Data
		if len(mappedIn(s, mapped, kept)) == 0 {
			t.Error("nothing is found in the mapping while the transaction is open")
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		for _, path := range mappedIn(s, mapped, kept) {
			t.Errorf("writable %v: %s points into the mapping", writable, path)
		}
	}
}

// nestedStore returns a store with a bucket of 400 records, one like it inside, and one
// without pages of its own.
func nestedStore(t *testing.T) *memStore {
	s := newMemStore(t, 9)
	fill := func(b *Bucket) error {
		for i := range 400 {
			if err := b.Put(fmt.Appendf(nil, "key%06d", i), make([]byte, i%600)); err != nil {
				return err
			}
		}
		return nil
	}
	s.update(func(tx *Tx) error {
		b, err := tx.CreateBucket([]byte("bucket"))
		if err != nil {
			return err
		}
		nested, err := b.CreateBucket([]byte("nested"))
		if err != nil {
			return err
		}
		small, err := b.CreateBucket([]byte("small"))
		if err != nil {
			return err
		}
		if err := small.Put([]byte("k"), []byte("v")); err != nil {
			return err
		}
		if err := fill(nested); err != nil {
			return err
		}
		return fill(b)
	})
	return s
}

// mappedIn returns what in objects points into mapped; the store itself is left out.
func mappedIn(s *memStore, mapped []byte, objects []any) []string {
	f := finder{from: uintptr(unsafe.Pointer(&mapped[0])), size: uintptr(len(mapped)),
		seen: map[uintptr]bool{reflect.ValueOf(s).Pointer(): true}}
	for _, object := range objects {
		f.find(reflect.ValueOf(object), fmt.Sprintf("%T", object))
	}
	return f.found
}

// A finder looks for pointers into a range, in all that an object leads to.
type finder struct {
	from, size uintptr
	seen       map[uintptr]bool
	found      []string
}

func (f *finder) find(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			f.find(v.Elem(), path)
		}
	case reflect.Pointer:
		if f.visit(v.Pointer(), path) {
			f.find(v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.find(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		if v.Cap() == 0 || !f.visit(v.Pointer(), path) || v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			f.find(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Array:
		for i := range v.Len() {
			f.find(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			f.find(it.Key(), path+" key")
			f.find(it.Value(), path+" value")
		}
	}
}

// visit notes a pointer, and reports whether it is a new one.
func (f *finder) visit(p uintptr, path string) bool {
	if p >= f.from && p-f.from < f.size {
		f.found = append(f.found, path)
	}
	if p == 0 || f.seen[p] {
		return false
	}
	f.seen[p] = true
	return true
}
