//go:build !linux

package mmapfile

import (
	"sync/atomic"
	"time"
)

// wordsWake: nobody is woken.
const wordsWake = false

// waitWord sleeps.
func waitWord(_ *atomic.Uint32, _ uint32, d time.Duration) { time.Sleep(d) }

// wakeWord has nobody to wake: who waits looks by himself.
func wakeWord(*atomic.Uint32) {}
