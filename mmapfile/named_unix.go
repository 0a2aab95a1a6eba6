//go:build unix

package mmapfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A name is a file beside others in one folder:
//
//	mapleaf-UID.gate        is locked while names are made, joined or given up
//	mapleaf-UID-HASH.name   holds a record; its users share a lock on it
//	mapleaf-UID-HASH.data   holds the memory of a name that stands for no file
//
// Invariants:
//
//	A1 A .name file is made, joined, given up and removed under the gate only.
//	A2 A .name file that nobody locks is a leftover, and so is its .data file.
//	A3 Only regular files of this user are ever trusted that nobody else may open and
//	   that have no other name.
//	A4 A record is believed as far as it agrees with its name and with the file that it
//	   tells of: that file does not grow for it.

// A record is what a .name file says, as JSON.
type record struct {
	Name       string
	Path       string
	Memory     bool
	ID         Identity
	Size       int64
	Reserve    bool
	Protection Protection
}

const (
	recordMax = 64 << 10
	gateWait  = time.Minute // far more than anybody holds the gate
)

// A nameHold is one user's part in a name.
type nameHold struct {
	place nameplace
	users *File // the .name file, locked shared
}

// A nameplace says where the files of a name are.
type nameplace struct{ gate, name, data, stem string }

func placeOf(name string) (nameplace, error) {
	global, rest, err := splitName(name)
	if err != nil {
		return nameplace{}, err
	}
	dir := os.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		dir = "/dev/shm"
	}
	stem := filepath.Join(dir, fmt.Sprintf("mapleaf-%d", os.Geteuid()))
	hash := sha256.Sum256(fmt.Appendf(nil, "%v %s", global, rest))
	base := stem + "-" + hex.EncodeToString(hash[:16])
	return nameplace{stem + ".gate", base + ".name", base + ".data", stem}, nil
}

// enterGate keeps everybody else from the names of this user until the gate is
// closed.
func (p *nameplace) enterGate() (*File, error) {
	gate, err := openOwn(p.gate, true)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), gateWait)
	defer cancel()
	if err := gate.Lock(ctx, 0, 1, true); err != nil {
		return nil, errors.Join(err, gate.Close())
	}
	return gate, nil
}

// join returns the record of the name and a part in it. Without users the name
// is fresh: there is no record, the hold is exclusive, and create decides
// whether that is an error. The gate is held.
func (p *nameplace) join(create bool) (h *nameHold, r *record, err error) {
	users, err := openOwn(p.name, create)
	if err != nil {
		return nil, nil, err
	}
	h = &nameHold{*p, users}
	fresh, err := users.TryLock(0, 1, true)
	if err == nil && fresh {
		if !create {
			return nil, nil, errors.Join(fs.ErrNotExist, h.remove())
		}
		if err := p.sweep(); err != nil {
			return nil, nil, errors.Join(err, os.Remove(p.name), users.Close())
		}
		return h, nil, nil
	}
	shared := false
	if err == nil {
		shared, err = users.TryLock(0, 1, false)
	}
	if err == nil && !shared {
		err = ErrLocked
	}
	if err == nil {
		r, err = p.readRecord(users)
	}
	if err != nil {
		return nil, nil, errors.Join(err, users.Close())
	}
	return h, r, nil
}

// readRecord reads what a .name file says, and refuses what this package would not have
// written there (A4).
func (p *nameplace) readRecord(f *File) (*record, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, recordMax))
	if err != nil {
		return nil, err
	}
	r := new(record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, &classified{ErrInvalid, err}
	}
	place, err := placeOf(r.Name)
	switch {
	case err != nil:
		return nil, err
	case place != *p, int(r.Protection) >= len(protections), r.Size < 0,
		r.Memory && r.Path != p.data, !filepath.IsAbs(r.Path):
		return nil, ErrInvalid
	}
	return r, nil
}

// publish writes the record of a fresh name and lets others join. The gate is held.
func (h *nameHold) publish(r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(b) > recordMax {
		return ErrTooLarge
	}
	if err := h.users.Truncate(0); err != nil {
		return err
	}
	if _, err := h.users.WriteAt(b, 0); err != nil {
		return err
	}
	ok, err := h.users.TryLock(0, 1, false)
	if err == nil && !ok {
		err = ErrLocked
	}
	return err
}

// remove takes the files of the name away. The gate is held, and the lock on
// the name is exclusive.
func (h *nameHold) remove() error {
	err := os.Remove(h.place.data)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(h.place.name), h.users.Close())
}

// drop ends a part in a name, and the name itself if it was the last.
func (h *nameHold) drop() error {
	if h == nil {
		return nil
	}
	gate, err := h.place.enterGate()
	if err != nil {
		return errors.Join(err, h.users.Close())
	}
	last, err := h.users.TryLock(0, 1, true)
	if err == nil && last {
		err = h.remove()
	} else {
		err = errors.Join(err, h.users.Close())
	}
	return errors.Join(err, gate.Close())
}

// sweep removes what crashes have left of all names of this user (A2). The gate
// is held. What cannot be removed is left for the next time.
func (p *nameplace) sweep() error {
	dir, stem := filepath.Split(p.stem)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := dir + e.Name()
		if !strings.HasPrefix(e.Name(), stem+"-") || filepath.Ext(path) != ".name" ||
			path == p.name {
			continue
		}
		users, err := openOwn(path, false)
		if err != nil {
			continue
		}
		h := &nameHold{nameplace{name: path, data: path[:len(path)-5] + ".data"}, users}
		if ok, err := users.TryLock(0, 1, true); ok && err == nil {
			h.remove()
		} else {
			users.Close()
		}
	}
	err = os.Remove(p.data)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// withName joins the name or, if it is fresh, calls create for what it shall
// stand for, all under the gate.
func withName(o *MapOptions, create func(*nameplace) (*Mapping, *record, error)) (
	m *Mapping, err error) {
	p, err := placeOf(o.Name)
	if err != nil {
		return nil, err
	}
	gate, err := p.enterGate()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	h, r, err := p.join(true)
	if err != nil {
		return nil, err
	}
	if r != nil {
		return r.open(h, o.Protection)
	}
	m, r, err = create(&p)
	if err != nil {
		return nil, errors.Join(err, h.remove())
	}
	r.Name, r.Size, r.Protection = o.Name, m.Size(), o.Protection
	if err := h.publish(r); err != nil {
		return nil, errors.Join(err, m.Close(), h.remove())
	}
	m.name, m.path, m.options.Name = h, o.Name, o.Name
	return m, nil
}

// mapNamed does the work of Map for an option with a name.
func (f *File) mapNamed(o *MapOptions) (*Mapping, error) {
	return withName(o, func(*nameplace) (*Mapping, *record, error) {
		full, err := filepath.Abs(f.name)
		if err != nil {
			return nil, nil, err
		}
		m, err := f.newMapping(o)
		return m, &record{Path: full, ID: f.node.id, Reserve: o.Reserve}, err
	})
}

func namedMemory(o *MapOptions) (*Mapping, error) {
	return withName(o, func(p *nameplace) (*Mapping, *record, error) {
		f, err := createOwn(p.data)
		if err != nil {
			return nil, nil, err
		}
		m, err := f.memory(o, 0)
		return m, &record{Path: p.data, Memory: true, ID: f.node.id}, err
	})
}

func openNamed(name string, a Access) (m *Mapping, err error) {
	p, err := placeOf(name)
	if err != nil {
		return nil, err
	}
	gate, err := p.enterGate()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	h, r, err := p.join(false)
	if err != nil {
		return nil, err
	}
	return r.open(h, protectionFor(a))
}

// open maps what the record stands for, for no more than p grants. The mapping
// takes over h.
func (r *record) open(h *nameHold, p Protection) (*Mapping, error) {
	m, err := r.openFile(p)
	if err != nil {
		return nil, errors.Join(err, h.users.Close())
	}
	m.name, m.path, m.existed = h, r.Name, true
	m.options.Name = r.Name
	return m, nil
}

func (r *record) openFile(p Protection) (*Mapping, error) {
	if protections[p]&^protections[r.Protection] != 0 {
		return nil, ErrAccess
	}
	f, err := r.reach(protections[p])
	if err != nil {
		return nil, err
	}
	if f.node.id != r.ID {
		return nil, errors.Join(fs.ErrNotExist, f.Close())
	}
	size, err := f.size()
	if err == nil && size < r.Size && !r.Reserve {
		err = ErrRange
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m, err := f.newMapping(&MapOptions{Protection: p, Size: r.Size, Reserve: r.Reserve})
	return m, errors.Join(err, f.Close())
}

// reach opens the file that the record tells of.
func (r *record) reach(a Access) (*File, error) {
	if r.Memory {
		f, err := openOwn(r.Path, false)
		if err == nil {
			f.access |= a
		}
		return f, err
	}
	flag := os.O_RDONLY
	if a&Write != 0 {
		flag = os.O_RDWR
	}
	osf, err := openAtOnce(r.Path, flag, 0)
	if err != nil {
		return nil, err
	}
	f, err := newFile(osf, a)
	if err != nil {
		return nil, err
	}
	if f.shared, err = takeShare(f, ShareAll); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// memory maps a new file as memory, whatever it is made of, and closes it. A
// page that is not 0 is the size of its large pages.
func (f *File) memory(o *MapOptions, page int64) (*Mapping, error) {
	f.access = ReadWrite | Execute
	size, err := o.Size, error(nil)
	if page != 0 {
		size = (size + page - 1) / page * page
	}
	if o.Sparse || o.Reserve {
		err = f.os.Truncate(size)
	} else {
		err = f.allocate(size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	plain := MapOptions{Protection: o.Protection, Size: size}
	m, err := f.newMapping(&plain)
	if err == nil {
		m.sec.page = page
	}
	return m, errors.Join(err, f.Close())
}
