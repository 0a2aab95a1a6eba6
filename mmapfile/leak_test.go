//go:build linux || windows

package mmapfile_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// useEverything opens, maps, views, locks and closes, in an order of its own.
func useEverything(t *testing.T, path, order string) {
	t.Helper()
	f, err := mmapfile.Open(path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.OpenAlways,
	})
	noErr(t, "open", err)
	m, err := f.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: 200_000})
	noErr(t, "map", err)
	noErr(t, "grow", m.Grow(300_000))
	v, err := m.View(mmapfile.Write, 100, 0)
	noErr(t, "view", err)
	w, err := m.View(mmapfile.Copy, 100_000, 5)
	noErr(t, "view", err)
	w.Bytes()[0] = 1
	w.Grow(100_000) // whether there is room or not
	_, err = f.TryLock(0, 10, true)
	noErr(t, "lock", err)
	for _, c := range order {
		closer := map[rune]interface{ Close() error }{'f': f, 'm': m, 'v': v, 'w': w}[c]
		noErr(t, "close "+string(c), closer.Close())
	}
	mutex, err := mmapfile.OpenMutex(path+"-mutex", 0)
	noErr(t, "open mutex", err)
	noErr(t, "lock", mutex.Lock(context.Background()))
	noErr(t, "unlock", mutex.Unlock())
	noErr(t, "close", mutex.Close())
	named, err := mmapfile.MapMemory(mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite, Size: 1000, Name: freshName(),
	})
	noErr(t, "map memory", err)
	noErr(t, "close", named.Close())
}

// Whatever the order of closing, nothing is left open or mapped.
func TestNoLeaks(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	orders := []string{"fmvw", "wvmf", "vmfw", "mfwv", "wfvm"}
	for _, order := range orders {
		useEverything(t, path, order)
	}
	before := resources(t, dir)
	for range 20 {
		for _, order := range orders {
			useEverything(t, path, order)
		}
	}
	if after := resources(t, dir); after > before+5 {
		t.Errorf("%d handles and mappings before, %d after 100 rounds", before, after)
	}
}

// Who waits, for an event or for a lock, leaves the processor alone.
func TestWaitingDoesNotSpin(t *testing.T) {
	const waiting = 300 * time.Millisecond
	f, path := create(t, 8)
	v := viewT(t, mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite}),
		mmapfile.Write, 0, 0)
	e, err := v.Event(0)
	noErr(t, "event", err)
	var mutexes [2]*mmapfile.Mutex
	for i := range mutexes {
		mutexes[i], err = mmapfile.OpenMutex(path+"-mutex", 0)
		noErr(t, "open mutex", err)
		closeLater(t, mutexes[i])
	}
	noErr(t, "lock", mutexes[0].Lock(t.Context()))
	tryT(t, f, 0, 1, true, true)
	g := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	for what, wait := range map[string]func(ctx context.Context) error{
		"event": func(ctx context.Context) error { _, err := e.Wait(ctx, 0); return err },
		"mutex": mutexes[1].Lock,
		"lock":  func(ctx context.Context) error { return g.Lock(ctx, 0, 1, true) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), waiting)
		before := cpuTime(t)
		wantErr(t, what, wait(ctx), context.DeadlineExceeded)
		if used := cpuTime(t) - before; used > waiting/3 {
			t.Errorf("%s: waiting for %v took %v of a processor", what, waiting, used)
		}
		cancel()
	}
}
