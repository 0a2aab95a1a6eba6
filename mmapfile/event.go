package mmapfile

import (
	"context"
	"sync/atomic"
	"time"
)

// An Event is a counter in shared memory on which goroutines of all processes
// can wait: for each other's messages, say. It is 4 bytes of a view, and starts
// at what they hold, so at 0 in a new file.
//
// On Linux a waiting goroutine sleeps in the kernel (futex) and wakes at once.
// Elsewhere, where no call works on a word that processes share, it looks again
// at intervals that grow from a quarter of a millisecond to 20 ms.
type Event struct {
	view *View
	word *atomic.Uint32
}

// waitSlice bounds one sleep in the kernel, so that a wait notices that its view
// was closed, and that a process ended between its change and its signal.
const waitSlice = 50 * time.Millisecond

// Event returns the event at the 4 bytes at off, which must be a multiple of 4
// in the mapping; ErrRange otherwise. The view must have Write access. The
// event can be used until the view is closed.
func (v *View) Event(off int) (*Event, error) {
	if v.access&Write == 0 {
		return nil, wrap("event", v.path, ErrAccess)
	}
	word := v.Uint32(off)
	if word == nil {
		if !v.pin.open() {
			return nil, wrap("event", v.path, ErrClosed)
		}
		return nil, wrap("event", v.path, ErrRange)
	}
	return &Event{v, word}, nil
}

// Value returns how often Signal was called, modulo 1<<32.
func (e *Event) Value() (n uint32, err error) {
	err = e.view.do("event", func([]byte) error {
		return Guard(func() error { n = e.word.Load(); return nil })
	})
	return n, err
}

// Signal adds one to the value and wakes everybody who waits. What was written
// before is seen by those who wake.
func (e *Event) Signal() error {
	return e.view.do("event", func([]byte) error {
		return Guard(func() error {
			e.word.Add(1)
			wakeWord(e.word)
			return nil
		})
	})
}

// Wait returns the value as soon as it is not seen; at once, if it is another
// already. So nothing is missed between a look at Value and the wait. It
// returns the context's error when ctx ends, and ErrClosed when the view is closed.
func (e *Event) Wait(ctx context.Context, seen uint32) (n uint32, err error) {
	err = e.view.do("event", func([]byte) error {
		return Guard(func() (err error) { n, err = e.wait(ctx, seen); return err })
	})
	return n, err
}

func (e *Event) wait(ctx context.Context, seen uint32) (uint32, error) {
	stop := e.wakeWhenDone(ctx)
	defer stop()
	for pause := pollMin; ; pause = min(pause*3/2, pollMax) {
		if n := e.word.Load(); n != seen {
			return n, nil
		}
		if ctx.Err() != nil {
			return seen, context.Cause(ctx)
		}
		if !e.view.pin.open() {
			return seen, ErrClosed
		}
		if wordsWake {
			pause = waitSlice
		}
		waitWord(e.word, seen, pause)
	}
}

// wakeWhenDone ends the sleep of this waiter when ctx ends. For the others it
// is a wake-up without cause: they look, and sleep again.
func (e *Event) wakeWhenDone(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() {
		e.view.do("event", func([]byte) error {
			return Guard(func() error { wakeWord(e.word); return nil })
		})
	})
}
