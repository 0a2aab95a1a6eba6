package mapleaf_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	mapleaf "github.com/mapleafdb/mapleaf"
)

var errReason = errors.New("the reason")

// canceled returns a context that has ended.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestContextDone(t *testing.T) {
	db := openDB(t)
	never := func(*mapleaf.Tx) error {
		t.Error("the function runs after the context has ended")
		return nil
	}
	wantErr(t, "UpdateContext", db.UpdateContext(canceled(), never), context.Canceled)
	wantErr(t, "ViewContext", db.ViewContext(canceled(), never), context.Canceled)
	for _, writable := range []bool{false, true} {
		_, err := db.BeginContext(canceled(), writable)
		wantErr(t, "BeginContext", err, context.Canceled)
	}
	_, err := mapleaf.OpenContext(canceled(), filepath.Join(t.TempDir(), "x"), 0o600, nil)
	wantErr(t, "OpenContext", err, context.Canceled)
}

func TestContextRuns(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path := filepath.Join(t.TempDir(), "db")
	db, err := mapleaf.OpenContext(ctx, path, 0o600, nil)
	must(t, err)
	defer db.Close()
	must(t, db.UpdateContext(ctx, func(tx *mapleaf.Tx) error {
		put(t, mustBucket(t, tx, "b"), "k", "v")
		return nil
	}))
	must(t, db.ViewContext(ctx, func(tx *mapleaf.Tx) error {
		wantGet(t, tx.Bucket([]byte("b")), "k", "v")
		return nil
	}))
	tx, err := db.BeginContext(ctx, true)
	must(t, err)
	put(t, tx.Bucket([]byte("b")), "k", "w")
	must(t, tx.Commit())
	wantErr(t, "UpdateContext", db.UpdateContext(ctx, func(*mapleaf.Tx) error { return errReason }),
		errReason)
	wantErr(t, "ViewContext", db.ViewContext(ctx, func(*mapleaf.Tx) error { return errReason }),
		errReason)
}

// TestContextWaits ends the wait for another write transaction.
func TestContextWaits(t *testing.T) {
	db := openDB(t)
	tx, err := db.Begin(true)
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = db.BeginContext(ctx, true)
	wantErr(t, "BeginContext", err, context.DeadlineExceeded)
	err = db.UpdateContext(ctx, func(*mapleaf.Tx) error { return nil })
	wantErr(t, "UpdateContext", err, context.DeadlineExceeded)
	// Who gave up has left nothing behind.
	must(t, tx.Rollback())
	db.MustUpdate(func(tx *mapleaf.Tx) error { mustBucket(t, tx, "b"); return nil })
}

// TestContextOpen ends the wait for the lock on the file.
func TestContextOpen(t *testing.T) {
	db := openDB(t, func(o *mapleaf.Options) { o.Exclusive = true })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := mapleaf.OpenContext(ctx, db.Path(), 0o600, nil)
	wantErr(t, "OpenContext", err, context.DeadlineExceeded)
	_, err = mapleaf.OpenContext(context.Background(), db.Path(), 0o600,
		&mapleaf.Options{Timeout: 50 * time.Millisecond})
	wantErr(t, "OpenContext", err, mapleaf.ErrTimeout)
}
