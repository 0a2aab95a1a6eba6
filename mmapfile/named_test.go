package mmapfile_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// freshName returns a name that no other run of the tests uses.
func freshName() string { return fmt.Sprintf("mmapfile-test-%016x", rand.Uint64()) }

func TestAnonymous(t *testing.T) {
	m, err := mmapfile.Anonymous(100_000)
	noErr(t, "anonymous", err)
	closeLater(t, m)
	if m.Size() < 100_000 || m.Existed() {
		t.Errorf("size %d, existed %v", m.Size(), m.Existed())
	}
	a := viewT(t, m, mmapfile.Write, 70_000, 100)
	b := viewT(t, m, mmapfile.Read, 0, 0)
	noErr(t, "close mapping", m.Close())
	copy(a.Bytes(), "shared")
	if got := string(b.Bytes()[70_000:70_007]); got != "shared\x00" {
		t.Errorf("the other view sees %q", got)
	}
	noErr(t, "flush", a.Flush(0, 0))
	for _, size := range []int64{0, -1} {
		_, err := mmapfile.Anonymous(size)
		wantErr(t, "no memory", err, mmapfile.ErrRange)
	}
	_, err = mmapfile.MapMemory(mmapfile.MapOptions{Protection: 99, Size: 1})
	wantErr(t, "unknown protection", err, mmapfile.ErrInvalid)
	wantErr(t, "grow memory", b.Grow(1<<20))
}

func TestReservedMemory(t *testing.T) {
	m, err := mmapfile.MapMemory(mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite, Size: 1 << 28, Reserve: true,
	})
	noErr(t, "map memory", err)
	closeLater(t, m)
	v := viewT(t, m, mmapfile.Write, 0, 0)
	noErr(t, "commit", v.Commit(1<<27, 100_000))
	if _, err := v.WriteAt([]byte("x"), 1<<27+99_999); err != nil {
		t.Errorf("write to committed memory: %v", err)
	}
	wantErr(t, "commit out of range", v.Commit(1<<28, 1), mmapfile.ErrRange)
}

func TestNamesAreChecked(t *testing.T) {
	for _, name := range []string{`a\b`, `Local\`, `Global\`, "a\x00b", strings.Repeat("n", 300)} {
		_, err := mmapfile.OpenNamed(name, mmapfile.Read)
		wantErr(t, "open", err, mmapfile.ErrInvalid)
		_, err = mmapfile.MapMemory(mmapfile.MapOptions{Name: name, Size: 1})
		wantErr(t, "memory", err, mmapfile.ErrInvalid)
		f, _ := create(t, 1)
		_, err = f.Map(mmapfile.MapOptions{Name: name})
		wantErr(t, "map", err, mmapfile.ErrInvalid)
	}
	_, err := mmapfile.OpenNamed("", mmapfile.Read)
	wantErr(t, "open", err, mmapfile.ErrInvalid)
	_, err = mmapfile.OpenNamed(freshName(), mmapfile.Read)
	wantErr(t, "open", err, fs.ErrNotExist)
	_, err = mmapfile.OpenNamed(freshName(), 1<<7)
	wantErr(t, "open", err, mmapfile.ErrInvalid)
}

func TestNamedMemory(t *testing.T) {
	for _, prefix := range []string{"", `Local\`, `Global\`} {
		name := prefix + freshName()
		o := mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: 5000, Name: name}
		a, err := mmapfile.MapMemory(o)
		noErr(t, "first", err)
		closeLater(t, a)
		o.Size = 1
		b, err := mmapfile.MapMemory(o)
		noErr(t, "second", err)
		closeLater(t, b)
		c, err := mmapfile.OpenNamed(name, mmapfile.Read)
		noErr(t, "third", err)
		closeLater(t, c)
		if a.Existed() || !b.Existed() || !c.Existed() || b.Size() < 5000 || c.Size() < 5000 {
			t.Errorf("existed %v, %v, %v, sizes %d, %d", a.Existed(), b.Existed(), c.Existed(),
				b.Size(), c.Size())
		}
		copy(viewT(t, a, mmapfile.Write, 4000, 0).Bytes(), "to all")
		for _, m := range []*mmapfile.Mapping{b, c} {
			if got := string(viewT(t, m, mmapfile.Read, 4000, 6).Bytes()); got != "to all" {
				t.Errorf("sees %q", got)
			}
		}
		_, err = c.View(mmapfile.Write, 0, 0)
		wantErr(t, "write through what was opened for reading", err, mmapfile.ErrAccess)
		wantErr(t, "grow", a.Grow(1<<20), mmapfile.ErrUnsupported)
		noErr(t, "close", a.Close())
		noErr(t, "close", b.Close())
		d, err := mmapfile.OpenNamed(name, mmapfile.ReadWrite)
		noErr(t, "open while one is left", err)
		noErr(t, "close", d.Close())
		noErr(t, "close", c.Close())
		_, err = mmapfile.OpenNamed(name, mmapfile.Read)
		wantErr(t, "open when nobody is left", err, fs.ErrNotExist)
	}
}

// What is wrong with the options is wrong for a name that exists, too.
func TestNamedFileRefusals(t *testing.T) {
	f, path := create(t, 3000)
	name := freshName()
	mapT(t, f, mmapfile.MapOptions{Name: name})
	for _, c := range []struct {
		what string
		o    mmapfile.MapOptions
		want error
	}{
		{"unknown protection", mmapfile.MapOptions{Protection: 77}, mmapfile.ErrInvalid},
		{"negative size", mmapfile.MapOptions{Size: -1}, mmapfile.ErrRange},
	} {
		for _, c.o.Name = range []string{name, freshName()} {
			_, err := f.Map(c.o)
			wantErr(t, c.what, err, c.want)
		}
	}
	w := openT(t, path, mmapfile.Options{Access: mmapfile.Write})
	_, err := w.Map(mmapfile.MapOptions{Name: freshName()})
	wantErr(t, "a file open for writing", err, mmapfile.ErrAccess)
}

func TestNamedFile(t *testing.T) {
	f, path := create(t, 3000)
	name := freshName()
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Name: name})
	other, _ := create(t, 10)
	n := mapT(t, other, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Name: name})
	if !n.Existed() || n.Size() != 3000 {
		t.Fatalf("existed %v, size %d", n.Existed(), n.Size())
	}
	noErr(t, "close", f.Close())
	copy(viewT(t, n, mmapfile.Write, 0, 0).Bytes(), "by name")
	noErr(t, "flush", viewT(t, m, mmapfile.Write, 0, 0).Flush(0, 0))
	holds(t, path, "by name"+strings.Repeat("\x00", 2993))
	noErr(t, "close", m.Close())
	noErr(t, "close", n.Close())
	_, err := mmapfile.OpenNamed(name, mmapfile.Read)
	wantErr(t, "open", err, fs.ErrNotExist)
}

func init() {
	// join NAME: opens the name, says what it reads and waits for the signal.
	children["join"] = func(c *childIO, args []string) error {
		m, err := mmapfile.OpenNamed(args[0], mmapfile.ReadWrite)
		if err != nil {
			return err
		}
		v, err := m.View(mmapfile.ReadWrite, 0, 0)
		if err != nil {
			return err
		}
		c.say(string(v.Bytes()[8:13]))
		e, err := v.Event(0)
		if err != nil {
			return err
		}
		if _, err := e.Wait(context.Background(), 0); err != nil {
			return err
		}
		c.say(string(v.Bytes()[8:13]))
		c.hear()
		return nil
	}
	// keep NAME: makes the name and keeps it until it is killed.
	children["keep"] = func(c *childIO, args []string) error {
		_, err := mmapfile.MapMemory(mmapfile.MapOptions{
			Protection: mmapfile.ProtReadWrite, Size: 1000, Name: args[0],
		})
		if err != nil {
			return err
		}
		c.say("ready")
		c.hear()
		return nil
	}
}

func TestNamedBetweenProcesses(t *testing.T) {
	name := freshName()
	m, err := mmapfile.MapMemory(mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite, Size: 1000, Name: name,
	})
	noErr(t, "map", err)
	closeLater(t, m)
	v := viewT(t, m, mmapfile.Write, 0, 0)
	copy(v.Bytes()[8:], "hello")
	c := startChild(t, "join", name)
	c.expect("hello")
	copy(v.Bytes()[8:], "world")
	e, err := v.Event(0)
	noErr(t, "event", err)
	noErr(t, "signal", e.Signal())
	c.expect("world")
	noErr(t, "close", m.Close())
	again, err := mmapfile.OpenNamed(name, mmapfile.Read)
	noErr(t, "the child keeps the name", err)
	noErr(t, "close", again.Close())
	c.kill()
	eventually(t, "the name goes with its last user", func() bool {
		m, err := mmapfile.OpenNamed(name, mmapfile.Read)
		if err == nil {
			noErr(t, "close", m.Close())
		}
		return err != nil
	})
}

// A crash leaves nothing that the next use of the name could see.
func TestNameAfterCrash(t *testing.T) {
	name := freshName()
	c := startChild(t, "keep", name)
	c.expect("ready")
	c.kill()
	eventually(t, "the name is free again", func() bool {
		m, err := mmapfile.MapMemory(mmapfile.MapOptions{
			Protection: mmapfile.ProtReadWrite, Size: 77, Name: name,
		})
		noErr(t, "map", err)
		defer m.Close()
		return !m.Existed()
	})
}
