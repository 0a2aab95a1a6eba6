package mmapfile

import "sync/atomic"

// A pin counts the calls that are inside an object which Close may end at any
// moment, so that its memory or descriptor goes only when nobody uses it.
//
// Invariants:
//
//	P1 Nobody enters after close.
//	P2 Of all calls to close and leave, exactly one returns last == true: the
//	   one after which nobody is inside and nobody can enter. Its caller frees.
type pin struct{ state atomic.Int64 }

// closedBit marks a closed pin; the bits below it count.
const closedBit = int64(1) << 62

// enter reports whether the object is open and, if so, keeps it until leave.
func (p *pin) enter() bool {
	for {
		n := p.state.Load()
		if n&closedBit != 0 {
			return false
		}
		if p.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave ends what enter began.
func (p *pin) leave() (last bool) { return p.state.Add(-1) == closedBit }

// close shuts the pin. first is false if it was shut before.
func (p *pin) close() (first, last bool) {
	for {
		n := p.state.Load()
		if n&closedBit != 0 {
			return false, false
		}
		if p.state.CompareAndSwap(n, n|closedBit) {
			return true, n == 0
		}
	}
}

// open reports whether close has not been called yet.
func (p *pin) open() bool { return p.state.Load()&closedBit == 0 }
