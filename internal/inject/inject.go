// Package inject lets tests make calls of the system fail. Where the invariants are
// not compiled in, nothing is left of it.
package inject

import (
	"sync/atomic"

	"github.com/mapleafdb/mapleaf/internal/invariant"
)

var hook atomic.Pointer[func(op, path string) error]

// Set makes fn decide about every call from now on: what it returns becomes the
// outcome, and nil lets the call be made. Nil takes the decision back. Fn runs on any
// goroutine.
func Set(fn func(op, path string) error) {
	if fn == nil {
		hook.Store(nil)
		return
	}
	hook.Store(&fn)
}

// Fail returns how the call that is about to be made shall fail.
func Fail(op, path string) error {
	if !invariant.Enabled {
		return nil
	}
	if fn := hook.Load(); fn != nil {
		return (*fn)(op, path)
	}
	return nil
}
