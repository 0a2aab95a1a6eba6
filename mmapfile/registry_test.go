package mmapfile

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The registry answers like a sorted list, whatever comes and goes.
func TestRegistryAgainstModel(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, 0))
	var root *treapNode
	var model []*View
	find := func(addr uintptr) *View {
		for n := root; n != nil; {
			switch {
			case addr < n.base:
				n = n.left
			case addr >= n.end:
				n = n.right
			default:
				return n.view
			}
		}
		return nil
	}
	for step := range 20_000 {
		at := uintptr(r.IntN(1000)) * 100
		i := slices.IndexFunc(model, func(v *View) bool { return v.base == at })
		if i < 0 {
			v := &View{base: at, length: uintptr(1 + r.IntN(100))}
			model = append(model, v)
			root = insertNode(root, &treapNode{
				base: at, end: at + v.length, view: v, priority: r.Uint32(),
			})
		} else {
			model = slices.Delete(model, i, i+1)
			root = removeNode(root, at)
		}
		addr := uintptr(r.IntN(100_100))
		var want *View
		for _, v := range model {
			if v.base <= addr && addr < v.base+v.length {
				want = v
			}
		}
		if got := find(addr); got != want {
			t.Fatalf("seed %d, step %d: address %d is in %v, want %v", seed, step, addr, got, want)
		}
	}
	if depth := depthOf(root); depth > 60 {
		t.Errorf("seed %d: depth %d with %d views", seed, depth, len(model))
	}
}

func depthOf(n *treapNode) int {
	if n == nil {
		return 0
	}
	return 1 + max(depthOf(n.left), depthOf(n.right))
}
