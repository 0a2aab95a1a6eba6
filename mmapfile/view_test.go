package mmapfile_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

func TestViewRanges(t *testing.T) {
	r := newRand(t, 5)
	const size = 300_001
	f, _ := create(t, size)
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	_, err := f.WriteAt(want, 0)
	noErr(t, "write", err)
	m := mapT(t, f, mmapfile.MapOptions{})
	for range 300 {
		off := r.Int64N(size + 1)
		n := r.IntN(size - int(off) + 1)
		v, err := m.View(mmapfile.Read, off, n)
		noErr(t, "view", err)
		end := int(off) + n
		if n == 0 {
			end = size
		}
		got := v.Bytes()
		if !bytes.Equal(got, want[off:end]) || v.Offset() != off || v.Len() != end-int(off) {
			t.Fatalf("view of [%d, +%d) differs", off, n)
		}
		if cap(got) != len(got) {
			t.Fatalf("capacity %d of a view with %d bytes", cap(got), len(got))
		}
		noErr(t, "close", v.Close())
	}
	for _, c := range []struct {
		off int64
		n   int
	}{{-1, 1}, {0, -1}, {0, size + 1}, {size, 1}, {size + 1, 0}, {1 << 62, 1 << 30}, {1, size}} {
		_, err := m.View(mmapfile.Read, c.off, c.n)
		wantErr(t, "bad range", err, mmapfile.ErrRange)
	}
	_, err = m.View(1<<6, 0, 1)
	wantErr(t, "unknown access", err, mmapfile.ErrInvalid)
}

func TestViewsAreCoherent(t *testing.T) {
	f, path := create(t, 100_000)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	a := viewT(t, m, mmapfile.Write, 70_000, 10)
	b := viewT(t, m, mmapfile.Write, 65_000, 20_000)
	other := mapT(t, openT(t, path, mmapfile.Options{}), mmapfile.MapOptions{})
	c := viewT(t, other, mmapfile.Read, 0, 0)
	copy(a.Bytes(), "by view a ")
	if got := string(b.Bytes()[5000:5010]); got != "by view a " {
		t.Errorf("view b sees %q", got)
	}
	if got := string(c.Bytes()[70_000:70_010]); got != "by view a " {
		t.Errorf("view c sees %q", got)
	}
	p := make([]byte, 10)
	_, err := f.ReadAt(p, 70_000)
	noErr(t, "read", err)
	if string(p) != "by view a " {
		t.Errorf("file holds %q", p)
	}
	_, err = f.WriteAt([]byte("by writing"), 70_000)
	noErr(t, "write", err)
	if got := string(a.Bytes()); got != "by writing" {
		t.Errorf("view a sees %q", got)
	}
}

func TestCopyView(t *testing.T) {
	f, _ := create(t, 0)
	_, err := f.WriteAt([]byte("original"), 0)
	noErr(t, "write", err)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtWriteCopy})
	a, b := viewT(t, m, mmapfile.Copy, 0, 0), viewT(t, m, mmapfile.Copy, 0, 0)
	copy(a.Bytes(), "changed!")
	noErr(t, "flush", a.Flush(0, 0))
	p := make([]byte, 8)
	_, err = f.ReadAt(p, 0)
	noErr(t, "read", err)
	if string(p) != "original" || string(b.Bytes()) != "original" {
		t.Errorf("the change shows: file %q, other view %q", p, b.Bytes())
	}
	noErr(t, "advise", a.Advise(mmapfile.DontNeed, 0, 0))
	if string(a.Bytes()) != "changed!" {
		t.Errorf("the change is lost: %q", a.Bytes())
	}
}

func TestViewReaderWriterAt(t *testing.T) {
	f, _ := create(t, 100)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 50, 0)
	n, err := v.WriteAt([]byte("abc"), 47)
	if n != 3 || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	p := make([]byte, 10)
	if n, err := v.ReadAt(p, 45); n != 5 || err != io.EOF || string(p[:n]) != "\x00\x00abc" {
		t.Errorf("read at the end: %d, %v, %q", n, err, p[:n])
	}
	if n, err := v.ReadAt(p, 50); n != 0 || err != io.EOF {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	if n, err := v.ReadAt(p, 0); n != 10 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
	_, err = v.ReadAt(p, -1)
	wantErr(t, "read at -1", err, mmapfile.ErrRange)
	for _, off := range []int64{-1, 48, 51, 1 << 40} {
		_, err = v.WriteAt([]byte("abc"), off)
		wantErr(t, "write out of range", err, mmapfile.ErrRange)
	}
	_, err = viewT(t, m, mmapfile.Read, 0, 0).WriteAt([]byte("abc"), 0)
	wantErr(t, "write to a view that reads", err, mmapfile.ErrAccess)
	if all, err := io.ReadAll(io.NewSectionReader(v, 0, 50)); err != nil || len(all) != 50 {
		t.Errorf("read all: %d bytes, %v", len(all), err)
	}
}

func TestResidency(t *testing.T) {
	f, _ := create(t, 100_000)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 100, 0)
	copy(v.Bytes()[5000:], "text")
	for what, fn := range map[string]func(off, n int) error{
		"flush": v.Flush, "flush async": v.FlushAsync, "prefetch": v.Prefetch,
		"lock": v.Lock, "unlock": v.Unlock,
		"normal":     func(off, n int) error { return v.Advise(mmapfile.Normal, off, n) },
		"will need":  func(off, n int) error { return v.Advise(mmapfile.WillNeed, off, n) },
		"random":     func(off, n int) error { return v.Advise(mmapfile.Random, off, n) },
		"sequential": func(off, n int) error { return v.Advise(mmapfile.Sequential, off, n) },
		"don't need": func(off, n int) error { return v.Advise(mmapfile.DontNeed, off, n) },
		"protect":    func(off, n int) error { return v.Protect(mmapfile.Write, off, n) },
	} {
		wantErr(t, what+" at -1", fn(-1, 1), mmapfile.ErrRange)
		wantErr(t, what+" behind the end", fn(99_900, 1), mmapfile.ErrRange)
		if what != "unlock" { // of what is not locked, an error on Windows
			noErr(t, what, fn(5000, 4))
		}
	}
	noErr(t, "lock", v.Lock(0, 10))
	noErr(t, "unlock", v.Unlock(0, 10))
	if string(v.Bytes()[5000:5004]) != "text" {
		t.Error("the text is gone")
	}
	wantErr(t, "unknown advice", v.Advise(99, 0, 0), mmapfile.ErrInvalid)
}

func TestProtectFault(t *testing.T) {
	f, _ := create(t, 1<<20)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 0, 0)
	noErr(t, "protect", v.Protect(mmapfile.Read, 1<<19, 0))
	if _, err := v.WriteAt([]byte("x"), 0); err != nil {
		t.Errorf("write below: %v", err)
	}
	_, err := v.WriteAt([]byte("x"), 1<<19)
	fault, ok := err.(*mmapfile.FaultError)
	if !ok || fault.Offset != 1<<19 || fault.Path != f.Name() {
		t.Errorf("write to protected pages: %v", err)
	}
	noErr(t, "protect", v.Protect(mmapfile.Write, 0, 0))
	if _, err := v.WriteAt([]byte("x"), 1<<19); err != nil {
		t.Errorf("write after protecting back: %v", err)
	}
	wantErr(t, "more than was granted", v.Protect(mmapfile.Execute, 0, 0), mmapfile.ErrAccess)
	r := viewT(t, m, mmapfile.Read, 0, 0)
	wantErr(t, "more than was granted", r.Protect(mmapfile.Write, 0, 0), mmapfile.ErrAccess)
}

func TestWords(t *testing.T) {
	f, _ := create(t, 4096)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v, w := viewT(t, m, mmapfile.Write, 4, 100), viewT(t, m, mmapfile.Read, 0, 0)
	v.Uint32(4).Store(0xfeed)
	if got := w.Uint32(8).Load(); got != 0xfeed {
		t.Errorf("word %x", got)
	}
	for _, off := range []int{-4, 1, 2, 98, 100, 1000} {
		if v.Uint32(off) != nil {
			t.Errorf("a word at %d", off)
		}
	}
	if v.Uint64(4) != nil { // where there are no such atomics, this holds too
		v.Uint64(4).Store(1<<40 - 1)
		v.Uint64(4).Add(5)
		if got := w.Uint64(8).Load(); got != 1<<40+4 {
			t.Errorf("long word %x", got)
		}
	}
	if v.Uint64(0) != nil || v.Uint64(96) != nil {
		t.Error("a long word out of line")
	}
	noErr(t, "close", v.Close())
	if v.Uint32(4) != nil {
		t.Error("a word after close")
	}
}

// Methods that run while the view is closed end well, or say that it is closed.
func TestCloseDuringUse(t *testing.T) {
	f, _ := create(t, 1<<16)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	for range 50 {
		v := viewT(t, m, mmapfile.Write, 100, 0)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				p := make([]byte, 5000)
				for {
					_, err := v.ReadAt(p, 10)
					if err == nil {
						_, err = v.WriteAt(p, 20)
					}
					if err == nil {
						err = v.Flush(0, 0)
					}
					if err != nil {
						wantErr(t, "use", err, mmapfile.ErrClosed)
						return
					}
				}
			})
		}
		noErr(t, "close", v.Close())
		wg.Wait()
	}
}

// The same for files and mappings: whoever is inside finishes.
func TestCloseFileAndMappingDuringUse(t *testing.T) {
	_, path := create(t, 1<<16)
	for range 50 {
		f := openT(t, path, mmapfile.Options{Access: mmapfile.ReadWrite})
		m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for {
					err := useOnce(f, m, i)
					if err != nil {
						wantErr(t, "use", err, mmapfile.ErrClosed)
						return
					}
				}
			})
		}
		noErr(t, "close", f.Close())
		noErr(t, "close", m.Close())
		wg.Wait()
	}
}

// useOnce makes a view, or a mapping and a view, writes to it, and closes.
func useOnce(f *mmapfile.File, m *mmapfile.Mapping, i int) (err error) {
	if i%2 == 0 {
		if m, err = f.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite}); err != nil {
			return err
		}
		defer m.Close()
	}
	v, err := m.View(mmapfile.Write, int64(i)*1000, 500)
	if err != nil {
		return err
	}
	if _, err := v.WriteAt([]byte("text"), 7); err != nil {
		return err
	}
	if err := v.Close(); err != nil {
		return err
	}
	if i%2 == 0 {
		_, err = f.WriteAt([]byte("text"), int64(i)*1000+20)
	}
	return err
}

func TestReserveFault(t *testing.T) {
	f, _ := create(t, 4096)
	m := mapT(t, f, mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite, Size: 1 << 20, Reserve: true,
	})
	if size, _ := f.Size(); size != 4096 {
		t.Fatalf("the file grew to %d", size)
	}
	v := viewT(t, m, mmapfile.Write, 0, 0)
	if m.Size() != int64(v.Len()) || m.Size() < 4096 {
		t.Fatalf("size %d, view of %d", m.Size(), v.Len())
	}
	if m.Size() == 4096 {
		return // this system cannot reserve, and said so by the size
	}
	_, err := v.ReadAt(make([]byte, 1), 1<<19)
	if _, ok := err.(*mmapfile.FaultError); !ok {
		t.Errorf("read behind the end: %v", err)
	}
	noErr(t, "allocate", f.Allocate(1<<20))
	if _, err := v.WriteAt([]byte("x"), 1<<20-1); err != nil {
		t.Errorf("write after growing: %v", err)
	}
	noErr(t, "truncate", f.Truncate(4096))
	if _, err := v.WriteAt([]byte("x"), 0); err != nil {
		t.Errorf("write after the cut: %v", err)
	}
}
