package mmapfile_test

import (
	"fmt"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// Locks of a set exclude each other by number, and end with their file.
func TestLockSet(t *testing.T) {
	a, path := create(t, 1)
	b := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
	name := func(i int) string { return fmt.Sprintf("%s-%d", path, i) }
	first := mmapfile.NewLockSet(a, 1<<61, 0o600, name)
	second := mmapfile.NewLockSet(b, 1<<61, 0o600, name)
	try := func(l *mmapfile.LockSet, i int, exclusive, want bool) {
		t.Helper()
		got, err := l.Try(i, exclusive)
		noErr(t, "try", err)
		if got != want {
			t.Fatalf("try lock %d, exclusive %v: %v", i, exclusive, got)
		}
	}
	for _, i := range []int{0, 1, -1, 7} {
		try(first, i, true, true)
		try(second, i, true, false)
		try(second, i, false, false)
	}
	noErr(t, "unlock", first.Unlock(-1))
	try(second, -1, true, true)
	try(first, 0, false, true)
	try(second, 0, false, true)
	try(second, 0, true, false)
	noErr(t, "close", first.Close())
	noErr(t, "close", a.Close())
	for _, i := range []int{0, 1, 7} {
		try(second, i, true, true)
	}
	noErr(t, "close", second.Close())
}
