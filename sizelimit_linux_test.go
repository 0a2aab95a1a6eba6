package mapleaf

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The limit that the system sets on the size of files, RLIMIT_FSIZE: writes are cut
// short by it, and then fail. A child sets it for itself, from 4 KiB on, creates a
// database and fills it; then the limit goes, and the same handle, or a reopened one,
// writes again.

const sizeLimitEnv = "MAPLEAF_SIZE_LIMIT_TEST_FILE"

func init() { testChildren[sizeLimitEnv] = sizeLimitChild }

func setSizeLimit(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(n, limit.Max)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
}

// sizeLimitModes are the ways to commit below a limit. A lazy commit may be synced by the
// timer, too; in the last one each transaction writes pages before it ends.
var sizeLimitModes = []Options{
	{LogSize: -1},
	{logAtOnce: true, LogSize: 256 << 10},
	{Lazy: true, LogSize: 256 << 10, SyncBytes: 64 << 10, SyncInterval: time.Millisecond},
	{NoSync: true, LogSize: -1},
	{NoSync: true, logAtOnce: true, LogSize: 256 << 10, CheckpointBytes: 1 << 20},
	{CheckpointBytes: 64 << 10, logAtOnce: true, LogSize: 256 << 10},
}

// sizeLimitChild tries one limit after the other, and never returns nil, as the others.
func sizeLimitChild(path string) error {
	refused, filled := 0, 0
	for i, limit := range []uint64{
		4 << 10, 8 << 10, 12 << 10, 20 << 10, 32 << 10, 33 << 10, 36 << 10, 100 << 10, 512 << 10,
		1 << 20, 1<<20 + 1000, 2 << 20, 5 << 20,
	} {
		for j, o := range sizeLimitModes {
			file := path + strconv.Itoa(len(sizeLimitModes)*i+j)
			created, err := trySizeLimit(file, limit, o)
			if err != nil {
				return fmt.Errorf("limit %d, options %d: %w", limit, j, err)
			}
			if created {
				filled++
			} else {
				refused++
			}
		}
	}
	if least := 3 * len(sizeLimitModes); refused < least || filled < least {
		return fmt.Errorf("%d creations failed, %d databases were filled", refused, filled)
	}
	fmt.Println("fine")
	return nil
}

// trySizeLimit reports whether the database could be created below the limit.
func trySizeLimit(path string, limit uint64, o Options) (created bool, err error) {
	if err := setSizeLimit(limit); err != nil {
		return false, err
	}
	m, next, records := model{}, model{}, 20
	if o.CheckpointBytes == 64<<10 {
		records = 200
	}
	db, err := Open(path, 0o600, &o)
	if created = err == nil; created {
		for i := 0; err == nil; i++ {
			m = next
			next, err = m.grow(db, i, records)
		}
		if wrong := m.compare(db); wrong != nil {
			return created, fmt.Errorf("reading on after %v: %w", err, wrong)
		}
	}
	if !errors.Is(err, unix.EFBIG) {
		return created, fmt.Errorf("no error of the limit: %w", err)
	}
	if left, _ := filepath.Glob(path + ".*"); !created && len(left) > 0 {
		return created, fmt.Errorf("a failed creation has left %v", left)
	}
	if err := setSizeLimit(unix.RLIM_INFINITY); err != nil {
		return created, err
	}
	if created && db.store.failed() != nil {
		err = db.Close()
		created = created && err == nil
		db = nil
	}
	if db == nil || !created {
		if db, err = Open(path, 0o600, &o); err != nil {
			return created, fmt.Errorf("open without the limit: %w", err)
		}
	}
	defer db.Close()
	if err := m.compare(db); err != nil {
		if next.compare(db) != nil { // or what was under way came to be
			return created, fmt.Errorf("without the limit: %w", err)
		}
		m = next
	}
	if m, err = m.grow(db, 9999, records); err == nil {
		err = m.compare(db)
	}
	if err != nil {
		return created, fmt.Errorf("without the limit: %w", err)
	}
	return created, errors.Join(checkErrors(db), db.Close())
}

func TestFileSizeLimit(t *testing.T) {
	child, err := childCommand(sizeLimitEnv + "=" + filepath.Join(t.TempDir(), "limit.db"))
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = nil
	said, err := child.CombinedOutput()
	var exit interface{ ExitCode() int }
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(string(said), "fine\n") {
		t.Fatalf("%v: %s", err, said)
	}
}

// grow puts records that were not there before.
func (m model) grow(db *DB, round, records int) (model, error) {
	next := maps.Clone(m)
	err := db.Update(func(t *Tx) error {
		b, err := t.CreateBucketIfNotExists(testBucket)
		if err != nil {
			return err
		}
		for i := range records {
			key, value := fmt.Sprintf("grow%04d-%02d", round, i), strings.Repeat("v", 500*(i%5))
			next[key] = value
			if err := b.Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}
