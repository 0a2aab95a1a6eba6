package mapleaf

import "sync"

// A watch wakes those who wait for a newer state of this process.
type watch struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next publication; nil if nobody waits
}

// tell wakes everybody who waits.
func (w *watch) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}
