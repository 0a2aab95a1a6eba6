// Package dbtest opens databases for tests.
//
// Every database that it opens lies in a folder of its own, and is checked and
// closed when its test ends. If the test failed, a copy of the file is kept and
// its path printed, beside the seed of the random numbers.
//
// Invariants:
//
//	D1 A test that ends with an open database has passed a full Check of it.
//	D2 Nothing random is in a test but through Rand: the printed seed repeats it.
package dbtest

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	mapleaf "github.com/mapleafdb/mapleaf"
)

// seedFlag repeats a random test: go test -run NAME . -args -seed N
var seedFlag = flag.Uint64("seed", 1, "seed of random tests")

// failedCloseMax is how long Close may take after a test has failed.
const failedCloseMax = 3 * time.Second

// An Option changes the options that Open starts with.
type Option func(*mapleaf.Options)

// DB is an open database together with where it lies and how it was opened.
type DB struct {
	*mapleaf.DB

	tb   testing.TB
	file string
	opts mapleaf.Options
	open bool
}

// Open opens a new database in a temporary folder of the test. The test's
// cleanup checks and closes it.
func Open(tb testing.TB, opts ...Option) *DB {
	tb.Helper()
	return OpenAt(tb, filepath.Join(tb.TempDir(), "test.db"), opts...)
}

// OpenAt opens the database at path, which is created if it does not exist. The
// test's cleanup checks and closes it.
func OpenAt(tb testing.TB, path string, opts ...Option) *DB {
	tb.Helper()
	d := &DB{tb: tb, file: path}
	for _, set := range opts {
		set(&d.opts)
	}
	d.start()
	tb.Cleanup(d.finish)
	return d
}

// start opens the file with a copy of the options.
func (d *DB) start() {
	d.tb.Helper()
	opts := d.opts
	db, err := mapleaf.Open(d.file, 0o600, &opts)
	if err != nil {
		d.tb.Fatalf("open %s: %v", d.file, err)
	}
	d.DB, d.open = db, true
}

// finish is the test's cleanup. A failed test may have left transactions open,
// for which Close would wait without end.
func (d *DB) finish() {
	if d.open && !d.tb.Failed() {
		d.Check()
		d.Shut()
	} else if d.open {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := d.DB.Close(); err != nil {
				fmt.Fprintf(os.Stderr, "close %s: %v\n", d.file, err)
			}
		}()
		select {
		case <-done:
		case <-time.After(failedCloseMax):
			d.tb.Logf("%s stays open: the test left transactions behind", d.file)
		}
	}
	if d.tb.Failed() {
		d.keep()
	}
}

// Path returns the path of the file, also while the database is closed.
func (d *DB) Path() string { return d.file }

// Shut closes the database; Reopen opens it again.
func (d *DB) Shut() {
	d.tb.Helper()
	d.open = false
	if err := d.DB.Close(); err != nil {
		d.tb.Errorf("close %s: %v", d.file, err)
	}
}

// Reopen closes the database, if it is open, and opens it again, with its
// options changed by opts.
func (d *DB) Reopen(opts ...Option) {
	d.tb.Helper()
	if d.open {
		d.Shut()
	}
	for _, set := range opts {
		set(&d.opts)
	}
	d.start()
}

// Check reports every problem that Tx.Check finds as an error of the test.
func (d *DB) Check() {
	d.tb.Helper()
	Check(d.tb, d.DB)
}

// MustView runs fn in a read transaction and fails the test at an error.
func (d *DB) MustView(fn func(*mapleaf.Tx) error) {
	d.tb.Helper()
	if err := d.DB.View(fn); err != nil {
		d.tb.Fatalf("view: %v", err)
	}
}

// MustUpdate runs fn in a write transaction and fails the test at an error.
func (d *DB) MustUpdate(fn func(*mapleaf.Tx) error) {
	d.tb.Helper()
	if err := d.DB.Update(fn); err != nil {
		d.tb.Fatalf("update: %v", err)
	}
}

// keep copies the file out of the folder that the test is about to remove.
func (d *DB) keep() {
	src, err := os.Open(d.file)
	if err != nil {
		return
	}
	defer src.Close()
	dst, err := os.CreateTemp("", "mapleaf-failed-*.db")
	if err != nil {
		d.tb.Logf("keep %s: %v", d.file, err)
		return
	}
	if _, err := io.Copy(dst, src); err != nil {
		d.tb.Logf("keep %s: %v", d.file, err)
	}
	if err := dst.Close(); err != nil {
		d.tb.Logf("keep %s: %v", d.file, err)
	}
	d.tb.Logf("the file of the failed test is kept at %s", dst.Name())
}

// Check reports every problem that Tx.Check finds in db as an error of the test.
func Check(tb testing.TB, db *mapleaf.DB) {
	tb.Helper()
	err := db.View(func(t *mapleaf.Tx) error {
		for problem := range t.Check() {
			tb.Errorf("check: %v", problem)
		}
		return nil
	})
	if err != nil {
		tb.Errorf("check: %v", err)
	}
}

// Seed returns the seed of the random tests, as the flag -seed sets it.
func Seed() uint64 { return *seedFlag }

// Rand returns a source of random numbers for one test. Its seed is the flag's
// together with stream, which tells the sources of one test apart. It is printed
// when the test fails.
func Rand(tb testing.TB, stream uint64) *rand.Rand {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("repeat with -args -seed %d (stream %d)", *seedFlag, stream)
		}
	})
	return rand.New(rand.NewPCG(*seedFlag, stream))
}
