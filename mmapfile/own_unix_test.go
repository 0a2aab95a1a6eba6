//go:build unix

package mmapfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Somebody else puts things where the files of names belong, or this user's other
// programs write there: every call that takes the name is an error, and no file that was
// there before is changed, followed, waited for or made longer.

// A hostilePlace is a fresh name, with a file beside it that must stay as it is.
type hostilePlace struct {
	t      *testing.T
	name   string
	at     nameplace
	victim string
	node   Identity // of victim
}

const victimText = "precious"

func newHostilePlace(t *testing.T) *hostilePlace {
	t.Helper()
	h := &hostilePlace{t: t, name: fmt.Sprintf("mmapfile-test-%016x", rand.Uint64())}
	var err error
	h.at, err = placeOf(h.name)
	h.must(err)
	h.victim = h.at.name + "-victim"
	t.Cleanup(func() {
		for _, path := range []string{h.at.name, h.at.data, h.victim, h.victim + "2"} {
			h.must(os.RemoveAll(path))
		}
	})
	h.must(os.WriteFile(h.victim, []byte(victimText), 0o600))
	h.node, err = PathIdentity(h.victim)
	h.must(err)
	return h
}

func (h *hostilePlace) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// refused makes every call that takes a name, each of which must fail with want, soon.
func (h *hostilePlace) refused(want error) {
	h.t.Helper()
	f, err := Open(h.victim, Options{Access: ReadWrite})
	h.must(err)
	defer f.Close()
	watchdog := time.AfterFunc(20*time.Second, func() { panic(h.t.Name() + " hangs") })
	defer watchdog.Stop()
	o := MapOptions{Protection: ProtReadWrite, Size: 100, Name: h.name}
	read := func() (*Mapping, error) { return OpenNamed(h.name, Read) }
	for call, fn := range map[string]func() (*Mapping, error){
		"open": read,
		"open to write": func() (*Mapping, error) {
			return OpenNamed(h.name, ReadWrite)
		},
		"memory": func() (*Mapping, error) { return MapMemory(o) },
		"map":    func() (*Mapping, error) { return f.Map(o) },
	} {
		m, err := fn()
		var typed *Error
		if err == nil {
			h.t.Errorf("%s: a mapping of %d bytes", call, m.Size())
			h.must(m.Close())
		} else if !errors.As(err, &typed) || want != nil && !errors.Is(err, want) {
			h.t.Errorf("%s: got %v, want %v", call, err, want)
		}
	}
	content, err := os.ReadFile(h.victim)
	h.must(err)
	if string(content) != victimText {
		h.t.Errorf("a file that was there holds %.50q, %d bytes", content, len(content))
	}
	if _, err := os.Lstat(h.victim + "2"); err == nil {
		h.t.Error("a link was followed to make a file")
	}
}

// usable wants the name to work once nothing is in its way.
func (h *hostilePlace) usable() {
	h.t.Helper()
	m, err := MapMemory(MapOptions{Protection: ProtReadWrite, Size: 100, Name: h.name})
	h.must(err)
	if m.Existed() {
		h.t.Error("the name existed")
	}
	h.must(m.Close())
	if _, err := os.Lstat(h.at.name); err == nil {
		h.t.Error("the file of the name stays behind")
	}
}

// plants are things that lie where a file should.
func plants() map[string]func(h *hostilePlace, at string) error {
	all := map[string]func(h *hostilePlace, at string) error{
		"link": func(h *hostilePlace, at string) error { return os.Symlink(h.victim, at) },
		"dangling link": func(h *hostilePlace, at string) error {
			return os.Symlink(h.victim+"2", at)
		},
		"hard link": func(h *hostilePlace, at string) error { return os.Link(h.victim, at) },
		"folder":    func(_ *hostilePlace, at string) error { return os.Mkdir(at, 0o700) },
		"pipe":      func(_ *hostilePlace, at string) error { return unix.Mkfifo(at, 0o600) },
		"wide mode": func(_ *hostilePlace, at string) error {
			return errors.Join(os.WriteFile(at, nil, 0o600), os.Chmod(at, 0o622))
		},
		"readable by others": func(_ *hostilePlace, at string) error {
			return errors.Join(os.WriteFile(at, nil, 0o600), os.Chmod(at, 0o640))
		},
	}
	if os.Geteuid() == 0 {
		all["foreign file"] = func(_ *hostilePlace, at string) error {
			return errors.Join(os.WriteFile(at, nil, 0o600), os.Chown(at, 1, 1))
		}
	}
	return all
}

// plant makes a thing under the gate, as what is half made may be a leftover: other
// programs of this user, such as this test on another processor, sweep those away.
func (h *hostilePlace) plant(thing func(h *hostilePlace, at string) error, at string) {
	h.t.Helper()
	gate, err := h.at.enterGate()
	h.must(err)
	h.must(errors.Join(thing(h, at), gate.Close()))
}

func TestHostileName(t *testing.T) {
	for name, thing := range plants() {
		t.Run(name, func(t *testing.T) {
			h := newHostilePlace(t)
			h.plant(thing, h.at.name)
			h.refused(ErrAccess)
			h.must(os.RemoveAll(h.at.name))
			h.usable()
		})
		t.Run(name+" as gate", func(t *testing.T) { // which all names of a user share
			h := newHostilePlace(t)
			h.plant(thing, h.at.name)
			h.at.gate = h.at.name
			if gate, err := h.at.enterGate(); !errors.Is(err, ErrAccess) {
				t.Errorf("the gate is %v, %v", gate, err)
			}
		})
		t.Run(name+" as data", func(t *testing.T) {
			h := newHostilePlace(t)
			h.plant(thing, h.at.data)
			for _, create := range []bool{false, true} {
				if f, err := openOwn(h.at.data, create); !errors.Is(err, ErrAccess) {
					t.Errorf("openOwn returns %v, %v", f, err)
				}
			}
			h.usable() // it is a leftover, and makes room
		})
	}
	t.Run("full folder as data", func(t *testing.T) {
		h := newHostilePlace(t)
		h.must(os.MkdirAll(filepath.Join(h.at.data, "x"), 0o700))
		_, err := MapMemory(MapOptions{Protection: ProtReadWrite, Size: 1, Name: h.name})
		if typed := new(*Error); !errors.As(err, typed) {
			t.Errorf("memory: %v", err)
		}
		h.must(os.RemoveAll(h.at.data))
		h.usable() // nothing was left locked
	})
}

// hold writes a record and keeps it alive, as another user of the name would.
func (h *hostilePlace) hold(content []byte) (release func()) {
	h.t.Helper()
	gate, err := h.at.enterGate() // or it is a leftover, for a moment
	h.must(err)
	defer gate.Close()
	h.must(os.WriteFile(h.at.name, content, 0o600))
	f, err := Open(h.at.name, Options{Access: ReadWrite})
	h.must(err)
	ok, err := f.TryLock(0, 1, false)
	if err != nil || !ok {
		h.t.Fatal("lock: ", ok, err)
	}
	return func() { h.must(f.Close()) }
}

// data makes the file of the memory, of so many bytes, and lets the record tell of it.
func (h *hostilePlace) data(r *record, size int) {
	h.t.Helper()
	h.must(os.WriteFile(h.at.data, make([]byte, size), 0o600))
	var err error
	r.ID, err = PathIdentity(h.at.data)
	h.must(err)
	r.Memory, r.Path, r.Size = true, h.at.data, int64(size)
}

// hostileRecords change the record of a mapping of the victim, which is a good one.
var hostileRecords = []struct {
	name   string
	change func(h *hostilePlace, r *record)
	want   error
}{
	{"negative size", func(_ *hostilePlace, r *record) { r.Size = -1 }, ErrInvalid},
	{"least size", func(_ *hostilePlace, r *record) { r.Size = math.MinInt64 }, ErrInvalid},
	{"negative memory", func(h *hostilePlace, r *record) {
		h.data(r, 100)
		r.Size = -4096
	}, ErrInvalid},
	{"longer than the file", func(_ *hostilePlace, r *record) { r.Size++ }, ErrRange},
	{"huge", func(_ *hostilePlace, r *record) { r.Size = 1 << 50 }, ErrRange},
	{"greatest size", func(_ *hostilePlace, r *record) { r.Size = math.MaxInt64 }, ErrRange},
	{"longer than the memory", func(h *hostilePlace, r *record) {
		h.data(r, 100)
		r.Size = 101
	}, ErrRange},
	{"unknown protection", func(_ *hostilePlace, r *record) { r.Protection = 99 }, ErrInvalid},
	{"another name", func(_ *hostilePlace, r *record) { r.Name = "other" }, ErrInvalid},
	{"no name", func(_ *hostilePlace, r *record) { r.Name = "" }, ErrInvalid},
	{"no path", func(_ *hostilePlace, r *record) { r.Path = "" }, ErrInvalid},
	{"relative path", func(_ *hostilePlace, r *record) { r.Path = "own_unix_test.go" }, ErrInvalid},
	{"path with a zero", func(_ *hostilePlace, r *record) { r.Path += "\x00" }, nil},
	{"memory elsewhere", func(_ *hostilePlace, r *record) { r.Memory = true }, ErrInvalid},
	{"another file", func(_ *hostilePlace, r *record) { r.ID.Index++ }, fs.ErrNotExist},
	{"no file", func(h *hostilePlace, r *record) { r.Path = h.victim + "2" }, fs.ErrNotExist},
	{"folder", func(h *hostilePlace, r *record) { r.Path = filepath.Dir(h.victim) }, nil},
	{"device", func(_ *hostilePlace, r *record) { r.Path = "/dev/null" }, ErrAccess},
	{"pipe", func(h *hostilePlace, r *record) {
		r.Path = filepath.Join(h.t.TempDir(), "pipe")
		h.must(unix.Mkfifo(r.Path, 0o600))
	}, ErrAccess},
	{"no data", func(h *hostilePlace, r *record) {
		h.data(r, 100)
		h.must(os.Remove(h.at.data))
	}, fs.ErrNotExist},
	{"linked data", func(h *hostilePlace, r *record) {
		h.data(r, 100)
		h.must(os.Remove(h.at.data))
		h.must(os.Symlink(h.victim, h.at.data))
		r.ID = h.node
	}, ErrAccess},
	{"hard link as data", func(h *hostilePlace, r *record) {
		h.data(r, 100)
		h.must(os.Remove(h.at.data))
		h.must(os.Link(h.victim, h.at.data))
		r.ID, r.Size = h.node, 8
	}, ErrAccess},
	{"wide data", func(h *hostilePlace, r *record) {
		h.data(r, 100)
		h.must(os.Chmod(h.at.data, 0o666))
	}, ErrAccess},
}

// record returns the record of a mapping of the victim.
func (h *hostilePlace) record() *record {
	return &record{Name: h.name, Path: h.victim, ID: h.node, Size: int64(len(victimText)),
		Protection: ProtReadWrite}
}

func TestHostileRecord(t *testing.T) {
	for _, c := range hostileRecords {
		t.Run(c.name, func(t *testing.T) {
			h := newHostilePlace(t)
			r := h.record()
			c.change(h, r)
			b, err := json.Marshal(r)
			h.must(err)
			release := h.hold(b)
			before := descriptors()
			h.refused(c.want)
			if after := descriptors(); after != before {
				t.Errorf("%d descriptors are open, before it were %d", after, before)
			}
			release()
			h.usable()
		})
	}
	good, err := json.Marshal(&record{Name: "n", Path: "/p", Protection: ProtReadWrite})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": nil, "zeros": make([]byte, 4096), "list": []byte("[]"), "null": []byte("null"),
		"garbage": []byte("\xff\xfe{}"), "half": good[:len(good)/2], "twice": append(good, good...),
		"deep":           bytes.Repeat([]byte(`{"Name":`), 8000),
		"too long":       append(bytes.Repeat([]byte(" "), recordMax), good...),
		"very long":      append([]byte(`{"Name":"`), bytes.Repeat([]byte("x"), 1<<20)...),
		"number too big": []byte(`{"Size": 99999999999999999999}`),
		"fraction":       []byte(`{"Size": 1.5}`),
		"protection -1":  []byte(`{"Protection": -1}`),
		"protection 300": []byte(`{"Protection": 300}`),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostilePlace(t)
			release := h.hold(content)
			h.refused(ErrInvalid)
			release()
			h.usable()
		})
	}
}

// The record that the others are made of is a good one.
func TestGoodRecord(t *testing.T) {
	h := newHostilePlace(t)
	b, err := json.Marshal(h.record())
	h.must(err)
	defer h.hold(b)()
	m, err := OpenNamed(h.name, ReadWrite)
	h.must(err)
	v, err := m.View(Read, 0, 0)
	h.must(err)
	if string(v.Bytes()) != victimText {
		t.Errorf("it holds %q", v.Bytes())
	}
	h.must(errors.Join(v.Close(), m.Close()))
}

// Who joins a mapping that reaches behind its file does not make the file longer.
func TestReservedName(t *testing.T) {
	h := newHostilePlace(t)
	f, err := Open(h.victim, Options{Access: ReadWrite})
	h.must(err)
	defer f.Close()
	o := MapOptions{Protection: ProtReadWrite, Size: 1 << 20, Name: h.name, Reserve: true}
	m, err := f.Map(o)
	h.must(err)
	defer m.Close()
	n, err := OpenNamed(h.name, ReadWrite)
	h.must(err)
	defer n.Close()
	if size, err := f.Size(); err != nil || size != int64(len(victimText)) || n.Size() != 1<<20 {
		t.Errorf("the file has %d bytes, %v, the mapping %d", size, err, n.Size())
	}
}

// A folder for temporary files may have any name.
func TestNamesInOddFolder(t *testing.T) {
	h := newHostilePlace(t)
	dir := filepath.Join(t.TempDir(), "[a-")
	h.must(os.Mkdir(dir, 0o700))
	at := nameplace{stem: filepath.Join(dir, "mapleaf-1")}
	at.name, at.data = at.stem+"-1.name", at.stem+"-1.data"
	for _, path := range []string{"-1.data", "-2.name", "-2.data", "x-3.name", "-4.other"} {
		h.must(os.WriteFile(at.stem+path, nil, 0o600))
	}
	h.must(at.sweep())
	var left []string
	entries, err := os.ReadDir(dir)
	h.must(err)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got := strings.Join(left, " "); got != "mapleaf-1-4.other mapleaf-1x-3.name" {
		t.Errorf("it holds %s", got)
	}
}

// descriptors counts what this process has open, where the system tells.
func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
