package mmapfile

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The operations of futex(2). Without the private flag they reach other processes.
const (
	futexWait = 0
	futexWake = 1
)

// wordsWake: who waits on a word is woken.
const wordsWake = true

// waitWord sleeps while the word holds seen, until it is woken or the time is
// over. It may return early.
func waitWord(word *atomic.Uint32, seen uint32, d time.Duration) {
	limit := unix.NsecToTimespec(int64(d))
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(seen),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
}

// wakeWord wakes all who wait on the word.
func wakeWord(word *atomic.Uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32, 0, 0, 0)
}
