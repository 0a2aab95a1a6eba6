package mmapfile

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// The registry knows the memory of every live view, so that a fault can be told
// from any other. Looking up takes no lock: a fault may happen anywhere.
//
// Invariants:
//
//	T1 A node that can be reached from root is never changed: a change copies
//	   the path to it and stores a new root.
//	T2 Nodes are ordered by base, and no two views overlap; on every path
//	   priorities do not rise. They are random, so that the depth is
//	   logarithmic in the number of views.
var registry struct {
	mu   sync.Mutex // held by those who store root
	root atomic.Pointer[treapNode]
}

type treapNode struct {
	base, end   uintptr
	view        *View
	priority    uint32
	left, right *treapNode
}

// register is called once for a view.
func register(v *View) {
	n := &v.known
	n.base, n.end, n.view, n.priority = v.base, v.base+v.length, v, rand.Uint32()
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.root.Store(insertNode(registry.root.Load(), n))
}

func unregister(v *View) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.root.Store(removeNode(registry.root.Load(), v.base))
}

// reregister takes in that the memory of v has become longer, in one step.
func reregister(v *View, length uintptr) {
	n := &treapNode{base: v.base, end: v.base + length, view: v, priority: rand.Uint32()}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.root.Store(insertNode(removeNode(registry.root.Load(), v.base), n))
}

// findView returns the live view in whose memory addr lies, or nil.
func findView(addr uintptr) *View {
	n := registry.root.Load()
	for n != nil {
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

// insertNode returns t with n in it. n is fresh and may be changed.
func insertNode(t, n *treapNode) *treapNode {
	if t == nil || n.priority > t.priority {
		n.left, n.right = splitNodes(t, n.base)
		return n
	}
	c := *t
	if n.base < t.base {
		c.left = insertNode(t.left, n)
	} else {
		c.right = insertNode(t.right, n)
	}
	return &c
}

// splitNodes returns the nodes of t below base, and the others.
func splitNodes(t *treapNode, base uintptr) (low, high *treapNode) {
	if t == nil {
		return nil, nil
	}
	c := *t
	if t.base < base {
		c.right, high = splitNodes(t.right, base)
		return &c, high
	}
	low, c.left = splitNodes(t.left, base)
	return low, &c
}

// removeNode returns t without the node at base.
func removeNode(t *treapNode, base uintptr) *treapNode {
	switch {
	case t == nil:
		return nil
	case t.base == base:
		return mergeNodes(t.left, t.right)
	}
	c := *t
	if base < t.base {
		c.left = removeNode(t.left, base)
	} else {
		c.right = removeNode(t.right, base)
	}
	return &c
}

// mergeNodes joins two trees of which the first lies below the second.
func mergeNodes(low, high *treapNode) *treapNode {
	switch {
	case low == nil:
		return high
	case high == nil:
		return low
	case low.priority > high.priority:
		c := *low
		c.right = mergeNodes(low.right, high)
		return &c
	}
	c := *high
	c.left = mergeNodes(low, high.left)
	return &c
}
