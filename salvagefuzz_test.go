package mapleaf_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/hostile"
)

// FuzzSalvage changes a database file as FuzzOpen does, and salvages it: whatever its bytes
// are, there is a sound new database, or an error that says why not. With the seventh flag,
// only what is certain is taken.
func FuzzSalvage(f *testing.F) {
	bases := [][]byte{smallFile(f, 1), smallFile(f, 2), loggedFile(f)}
	f.Add([]byte{0})
	f.Add([]byte{2, 'M', 'a', 'p', 'l', 'e', 'a', 'f', 0, 1})
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 80 {
		input := []byte{byte(i)&0x5d | byte(i%5)>>2<<5}
		for range 1 + i%5 {
			offset := rng.IntN(4096)
			if i%3 > 0 {
				offset %= 160
			}
			input = append(input, byte(rng.IntN(32)), byte(offset), byte(offset>>8))
			input = append(input, byte(rng.Uint32()>>(i%25)), byte(rng.Uint32()>>(i%32)))
		}
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 {
			return
		}
		file, flags := input[1:], input[0]
		if flags&2 == 0 {
			base := bases[int(flags>>4&3)%len(bases)]
			file = patched(bytes.Clone(base), input[1:], flags&4 != 0)
			if flags&1 != 0 {
				hostile.Reseal(file)
			}
		}
		salvageFile(t, file, flags&64 != 0)
	})
}

// salvageFile salvages a file of arbitrary content.
func salvageFile(t *testing.T, content []byte, certain bool) {
	t.Helper()
	defer watch("a file")()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "db"), filepath.Join(dir, "saved")
	must(t, os.WriteFile(src, content, 0o600))
	o := &mapleaf.SalvageOptions{CertainOnly: certain}
	r, err := mapleaf.Salvage(context.Background(), dst, src, o)
	left, readErr := os.ReadFile(src)
	must(t, readErr)
	if !bytes.Equal(left, content) {
		t.Fatal("salvage has changed the damaged file")
	}
	switch {
	case err == nil:
		salvagedFile(t, dst, r)
	case !errors.Is(err, mapleaf.ErrInvalid) && !errors.Is(err, mapleaf.ErrVersionMismatch),
		!strings.HasPrefix(err.Error(), "mapleaf: "):
		t.Fatalf("Salvage returns %v", err)
	}
	for _, surgery := range []func(context.Context, string, string, *mapleaf.SurgeryOptions) (
		*mapleaf.SurgeryReport, error){mapleaf.RevertMeta, mapleaf.DropLog} {
		_, err := surgery(context.Background(), dst, src, &mapleaf.SurgeryOptions{Overwrite: true})
		if err != nil && !strings.HasPrefix(err.Error(), "mapleaf: ") {
			t.Fatalf("surgery returns %v", err)
		}
	}
	if _, err := mapleaf.ReadMetas(context.Background(), src, 0); err != nil {
		wantTyped(t, "ReadMetas", err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > fuzzAllocMax {
		t.Fatalf("a file of %d bytes makes the process allocate %d", len(content), got)
	}
}

// salvagedFile opens what was salvaged, and compares it with the report.
func salvagedFile(t *testing.T, path string, r *mapleaf.SalvageReport) {
	t.Helper()
	db, err := mapleaf.Open(path, 0o600, &mapleaf.Options{Exclusive: true})
	must(t, err)
	must(t, db.View(func(tx *mapleaf.Tx) error {
		s := tx.Cursor().Bucket().Stats()
		if uint64(s.BucketN-1) != r.Buckets || uint64(s.KeyN-s.BucketN+1) != r.Records {
			t.Fatalf("the report counts %d records in %d buckets, there are %d in %d",
				r.Records, r.Buckets, s.KeyN-s.BucketN+1, s.BucketN-1)
		}
		return nil
	}))
	must(t, db.Close())
}
