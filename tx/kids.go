package tx

import (
	"iter"
	"maps"
	"slices"
)

// kids are the buckets that were opened below one, by their names. Most have one, which
// takes no map.
type kids struct {
	one  *Bucket
	rest map[string]*Bucket
}

func (k *kids) get(name []byte) *Bucket {
	if k.one != nil && string(k.one.edit.name) == string(name) {
		return k.one
	}
	return k.rest[string(name)]
}

// add adds a bucket whose name has none so far.
func (k *kids) add(kid *Bucket) {
	if k.one == nil {
		k.one = kid
		return
	}
	if k.rest == nil {
		k.rest = make(map[string]*Bucket)
	}
	k.rest[string(kid.edit.name)] = kid
}

func (k *kids) remove(kid *Bucket) {
	if k.one == kid {
		k.one = nil
		return
	}
	delete(k.rest, string(kid.edit.name))
}

func (k *kids) empty() bool { return k.one == nil && len(k.rest) == 0 }

// all goes over the buckets in no order.
func (k *kids) all() iter.Seq[*Bucket] {
	return func(yield func(*Bucket) bool) {
		if k.one != nil && !yield(k.one) {
			return
		}
		for _, kid := range k.rest {
			if !yield(kid) {
				return
			}
		}
	}
}

// sorted goes over the buckets in the order of their names. None may come or go meanwhile.
func (k *kids) sorted() iter.Seq[*Bucket] {
	return func(yield func(*Bucket) bool) {
		one := k.one
		if len(k.rest) == 0 {
			_ = one == nil || yield(one)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(k.rest)) {
			if one != nil && string(one.edit.name) < name {
				if !yield(one) {
					return
				}
				one = nil
			}
			if !yield(k.rest[name]) {
				return
			}
		}
		_ = one == nil || yield(one)
	}
}
