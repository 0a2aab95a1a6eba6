//go:build invariants

package mapleaf

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mapleafdb/mapleaf/internal/inject"
)

// Whatever gives a file its name has made the content durable before, and makes the name
// durable before it returns: else a loss of power leaves a name without content, or takes
// away the whole database that was acknowledged.
func TestNamesAreDurable(t *testing.T) {
	killed := tempPath(t) // it has a log, and an older meta
	db, err := Open(killed, 0o600, &Options{logAtOnce: true, LogSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	r, m := testRand(t, 660), model{}
	for range 20 {
		m = m.mustUpdate(t, db, r, 10)
	}
	if err := abandon(db); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(killed)
	if err != nil {
		t.Fatal(err)
	}
	for name, create := range map[string]func(path, source string) error{
		"Open": func(path, _ string) error {
			db, err := Open(path, 0o600, nil)
			if err != nil {
				return err
			}
			return db.Close()
		},
		"CopyFile": func(path, source string) error {
			db, err := Open(source, 0o600, nil)
			if err != nil {
				return err
			}
			return errors.Join(db.View(func(t *Tx) error { return t.CopyFile(path, 0o600) }), db.Close())
		},
		"Salvage": func(path, source string) error {
			_, err := Salvage(t.Context(), path, source, nil)
			return err
		},
		"RevertMeta": func(path, source string) error {
			_, err := RevertMeta(t.Context(), path, source, nil)
			return err
		},
		"DropLog": func(path, source string) error {
			_, err := DropLog(t.Context(), path, source, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, source := tempPath(t), tempPath(t)
			if err := os.WriteFile(source, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var calls []string
			inject.Set(func(op, path string) error {
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, op+" "+path)
				return nil
			})
			defer inject.Set(nil)
			if err := create(path, source); err != nil {
				t.Fatal(err)
			}
			if err := durableName(calls, path); err != nil {
				t.Errorf("%v: %q", err, calls)
			}
		})
	}
}

// durableName returns what is wrong with the calls that gave a file the name path: the
// rename comes after a sync of the file, and a sync of the folder after that.
func durableName(calls []string, path string) error {
	dir := filepath.Dir(path)
	named := slices.IndexFunc(calls, func(c string) bool {
		return strings.HasPrefix(c, "rename "+dir)
	})
	if named < 0 {
		return errors.New("there is no rename")
	}
	temp := strings.TrimPrefix(calls[named], "rename ")
	if !slices.Contains(calls[:named], "sync "+temp) {
		return errors.New("the file gets its name before it is synced")
	}
	if !slices.Contains(calls[named:], "sync "+dir) {
		return errors.New("the folder is not synced after the rename")
	}
	return nil
}
