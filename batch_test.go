package mapleaf_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
)

func TestBatch(t *testing.T) {
	const goroutines, each = 20, 15
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range each {
				key := []byte(fmt.Sprintf("%d/%d", g, i))
				err := db.Batch(func(tx *mapleaf.Tx) error {
					return tx.Bucket([]byte("b")).Put(key, key)
				})
				if err != nil {
					t.Error(err)
				}
				err = db.View(func(tx *mapleaf.Tx) error {
					if tx.Bucket([]byte("b")).Get(key) == nil {
						return fmt.Errorf("batch returned, but %s is missing", key)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	db.MustView(func(tx *mapleaf.Tx) error {
		if got := len(pairs(t, tx.Bucket([]byte("b")))); got != goroutines*each {
			t.Fatalf("%d records, want %d", got, goroutines*each)
		}
		return nil
	})
}

// TestBatchErrors lets every third function fail, and every fifth panic; the
// others succeed, and each caller hears of its own function alone.
func TestBatchErrors(t *testing.T) {
	const n = 60
	db := openDB(t, noSync)
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
	var panics atomic.Int32
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			fail := errors.New("of " + key8(i))
			defer func() {
				if r := recover(); r != nil {
					panics.Add(1)
					if got := fmt.Sprint(r); got != "panic of "+key8(i) {
						t.Errorf("%d caught the panic %s", i, got)
					}
				}
			}()
			err := db.Batch(func(tx *mapleaf.Tx) error {
				if err := tx.Bucket([]byte("b")).Put([]byte(key8(i)), nil); err != nil {
					return err
				}
				switch {
				case i%5 == 0:
					panic("panic of " + key8(i))
				case i%3 == 0:
					return fail
				}
				return nil
			})
			if i%5 != 0 && i%3 == 0 && err != fail {
				t.Errorf("%d got error %v", i, err)
			}
			if i%5 != 0 && i%3 != 0 && err != nil {
				t.Errorf("%d failed: %v", i, err)
			}
		})
	}
	group.Wait()
	if got := panics.Load(); got != n/5 {
		t.Fatalf("%d callers saw their panic, want %d", got, n/5)
	}
	db.MustView(func(tx *mapleaf.Tx) error {
		c := tx.Bucket([]byte("b")).Cursor()
		for i := range n {
			k, _ := c.Seek([]byte(key8(i)))
			if got, want := string(k) == key8(i), i%5 != 0 && i%3 != 0; got != want {
				t.Fatalf("record %d is there: %t, want %t", i, got, want)
			}
		}
		return nil
	})
}

func TestBatchSettings(t *testing.T) {
	for _, size := range []int{0, 1, 3} {
		db := openDB(t, noSync)
		db.MaxBatchSize = size
		db.MaxBatchDelay = 0
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() {
				err := db.Batch(func(tx *mapleaf.Tx) error {
					_, err := tx.CreateBucketIfNotExists([]byte(fmt.Sprint(i)))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		db.MustView(func(tx *mapleaf.Tx) error {
			if got := len(tx.Inspect().Children); got != 10 {
				t.Fatalf("%d buckets, want 10", got)
			}
			return nil
		})
	}
}
