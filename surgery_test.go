package mapleaf

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// An operation makes a copy at another state.
type surgeryFunc func(context.Context, string, string, *SurgeryOptions) (*SurgeryReport, error)

// operated makes a copy of a file by surgery. It returns what the copy holds, after it has
// been written to and checked, too.
func operated(t *testing.T, do surgeryFunc, file []byte) (contents, *SurgeryReport, error) {
	t.Helper()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "file.db"), filepath.Join(dir, "copy.db")
	if err := os.WriteFile(src, file, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := do(context.Background(), dst, src, nil)
	if after, readErr := os.ReadFile(src); readErr != nil || !bytes.Equal(after, file) {
		t.Fatalf("surgery has changed the file: %v", readErr)
	}
	if err != nil {
		if _, err := os.Stat(dst); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("a failed surgery leaves a copy: %v", err)
		}
		return contents{}, nil, err
	}
	if len(r.Problems) > 0 {
		return contents{}, r, nil
	}
	c := contentsAt(t, dst)
	db := mustOpen(t, dst, nil)
	model{}.mustUpdate(t, db, testRand(t, 1), 50)
	mustCheck(t, db)
	mustClose(t, db)
	return c, r, nil
}

// DropLog opens at the checkpoint, RevertMeta at the state before: both are sound, and the
// pages of log and manifest are free in them.
func TestSurgeryStates(t *testing.T) {
	for i, sp := range specimens(t, 8000) {
		if sp.name[:6] == "closed" {
			_, _, err := operated(t, RevertMeta, sp.file)
			if err == nil {
				t.Errorf("%s: there is an older state", sp.name)
			}
		}
		c, r, err := operated(t, DropLog, sp.file)
		if err != nil || len(r.Problems) > 0 || !maps.Equal(c.records, sp.pages.records) {
			t.Fatalf("%s: DropLog: %v, %+v", sp.name, err, r)
		}
		if r.TxID != int(sp.meta.txid) || (r.LastTxID > r.TxID) != (i >= 4) {
			t.Errorf("%s: DropLog says %+v", sp.name, r)
		}
		if i < 2 {
			continue
		}
		c, r, err = operated(t, RevertMeta, sp.file)
		if err == nil && len(r.Problems) > 0 && sp.name[:4] == "torn" {
			continue // the checkpoint takes pages that only the older state needs
		}
		if err != nil || len(r.Problems) > 0 || r.TxID >= int(sp.meta.txid) ||
			maps.Equal(c.records, sp.pages.records) {
			t.Fatalf("%s: RevertMeta: %v, %+v", sp.name, err, r)
		}
		for name, value := range c.records {
			if !sp.ever[name][value] {
				t.Fatalf("%s: %.80s never had the value %.20q", sp.name, name, value)
			}
		}
	}
}

// ReadMetas says what Open takes, whatever is damaged.
func TestReadMetas(t *testing.T) {
	sp := newSpecimen(t, "logged", 4096, 8100)
	path := tempPath(t)
	newest := 0
	m1, err := decodeMeta(sp.file[metaSlotGap:][:metaSlotSize])
	if err == nil && m1.txid == sp.meta.txid {
		newest = 1
	}
	read := func(damage func(file []byte)) *Metas {
		t.Helper()
		file := bytes.Clone(sp.file)
		damage(file)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := ReadMetas(context.Background(), path, 0)
		if err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, 0o600, &Options{ReadOnly: true})
		if (err == nil) != (m.Taken >= 0) {
			t.Errorf("Open returns %v, and %d is taken: %v", err, m.Taken, m.Err)
		}
		if err == nil {
			mustClose(t, db)
		}
		return m
	}
	m := read(func([]byte) {})
	s := m.Slots[newest]
	if m.Taken != newest || s.TxID != int(sp.meta.txid) || s.LogTxID <= s.TxID || s.LogPages == 0 ||
		s.Whole != nil || s.FileID != sp.meta.fileID || s.Root != int(sp.meta.root.Root.ID) {
		t.Errorf("the newest meta is %+v", s)
	}
	m = read(func(file []byte) { clear(file[slotOffset(newest):][:metaSlotSize]) })
	if m.Slots[newest].Err == nil || m.Slots[1-newest].Err != nil {
		t.Errorf("without meta %d: %+v", newest, m)
	}
	m = read(func(file []byte) { clear(file[:metaRegion]) })
	if m.Taken != -1 || !errors.Is(m.Err, ErrInvalid) {
		t.Errorf("without metas: %+v", m)
	}
}

// Where there is no state to go back to, surgery says why and leaves nothing behind.
func TestSurgeryErrors(t *testing.T) {
	sp := newSpecimen(t, "logged", 4096, 8200)
	noMetas := bytes.Clone(sp.file)
	clear(noMetas[:metaRegion])
	for name, do := range map[string]surgeryFunc{"RevertMeta": RevertMeta, "DropLog": DropLog} {
		if _, _, err := operated(t, do, noMetas); err == nil {
			t.Errorf("%s works without metas", name)
		}
		if _, _, err := operated(t, do, sp.file[:30_000]); err == nil {
			t.Errorf("%s works with a file that is cut off", name)
		}
	}
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "file.db"), filepath.Join(dir, "copy.db")
	for _, path := range []string{src, dst} {
		if err := os.WriteFile(path, sp.file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := DropLog(ctx, dst, src, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("DropLog over a file returns %v", err)
	}
	if _, err := DropLog(ctx, dst, src, &SurgeryOptions{Overwrite: true}); err != nil {
		t.Errorf("DropLog over a file that may be replaced returns %v", err)
	}
	if _, err := DropLog(ctx, src, src, &SurgeryOptions{Overwrite: true}); err == nil {
		t.Error("DropLog of a file into itself works")
	}
	cancel()
	if _, err := RevertMeta(ctx, dst+"2", src, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled RevertMeta returns %v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("the folder holds %v, %v", names, err)
	}
}
