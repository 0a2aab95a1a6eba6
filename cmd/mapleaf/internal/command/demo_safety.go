package command

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mapleafdb/mapleaf"
)

const (
	commitsAlone    = 100 // durable commits of one goroutine
	commitsTogether = 100 // of each of several at once
	committers      = 16
)

// commits measures durable commits of one record each: by one goroutine, and
// by several at once, which may share a sync.
func (d *demo) commits() error {
	var next atomic.Uint64
	commit := func() error {
		key := binary.BigEndian.AppendUint64(nil, next.Add(1))
		return d.db.Update(func(tx *mapleaf.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucketCommits)
			if err != nil {
				return err
			}
			return b.Put(key, []byte("one record"))
		})
	}
	for _, run := range []struct {
		goroutines int
		each       int
		what       string
	}{
		{1, commitsAlone, "one goroutine, one record a commit"},
		{committers, commitsTogether,
			fmt.Sprintf("%d goroutines, one record a commit", committers)},
	} {
		took, err := d.timed(func() error { return together(run.goroutines, run.each, commit) })
		if err != nil {
			return err
		}
		d.rated(run.what, float64(run.goroutines*run.each), "commits", took)
	}
	return d.db.Update(func(tx *mapleaf.Tx) error {
		const want = commitsAlone + committers*commitsTogether
		if got := tx.Bucket(bucketCommits).Count(); got != want {
			return wrong("%d commits are there, not %d", got, want)
		}
		return tx.DeleteBucket(bucketCommits)
	})
}

// together runs fn count times in each of several goroutines.
func together(goroutines, count int, fn func() error) error {
	errs := make([]error, goroutines)
	var running sync.WaitGroup
	for g := range goroutines {
		running.Go(func() {
			for i := 0; i < count && errs[g] == nil; i++ {
				errs[g] = fn()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// backup copies the database while another goroutine goes on committing, and
// shows that the copy is the state at which it began.
func (d *demo) backup() error {
	path := filepath.Join(d.folder, "backup.db")
	var size int64
	var commits uint64
	var took time.Duration
	err := d.whileWriting(&commits, func() error {
		return d.db.View(func(tx *mapleaf.Tx) error {
			size = tx.Size()
			var err error
			took, err = d.timed(func() error { return tx.CopyFile(path, fileMode) })
			return err
		})
	})
	if err != nil {
		return err
	}
	d.rated(fmt.Sprintf("%s copied, %s meanwhile", bytesText(size), plural(commits, "commit")),
		mebibytes(size), "MiB", took)
	return d.viewDB(path, func(db *mapleaf.DB) error {
		if err := d.verify(db); err != nil {
			return fmt.Errorf("the backup: %w", err)
		}
		d.printf("  the backup opens as a file of its own and holds all %s records\n",
			commas(uint64(3*len(d.characters))))
		return nil
	})
}

// whileWriting runs fn while a goroutine commits to a bucket of its own, and
// tells how many commits there were.
func (d *demo) whileWriting(commits *uint64, fn func() error) error {
	var stop atomic.Bool
	var failed error
	var writer sync.WaitGroup
	writer.Go(func() {
		for again := true; again; again = !stop.Load() && failed == nil { // once at least
			failed = d.db.Update(func(tx *mapleaf.Tx) error {
				b, err := tx.CreateBucketIfNotExists(bucketCommits)
				if err != nil {
					return err
				}
				return b.Put([]byte("latest"), binary.BigEndian.AppendUint64(nil, *commits))
			})
			*commits++
		}
	})
	err := fn()
	stop.Store(true)
	writer.Wait()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return d.db.Update(func(tx *mapleaf.Tx) error { return tx.DeleteBucket(bucketCommits) })
}

// reopen checks the file, closes it, opens it again, and compares every record
// with the source.
func (d *demo) reopen() error {
	var size int64
	took, err := d.timed(func() error {
		return d.db.View(func(tx *mapleaf.Tx) error {
			size = tx.Size()
			var found error
			for err := range tx.Check() {
				found = errors.Join(found, err)
			}
			return found
		})
	})
	if err != nil {
		return err
	}
	d.rated(fmt.Sprintf("%s checked: no problems", bytesText(size)), mebibytes(size), "MiB", took)
	took, err = d.timed(func() error {
		if err := d.db.Close(); err != nil {
			return err
		}
		return d.open()
	})
	if err != nil {
		return err
	}
	d.printf("  closed and opened again in %s\n", timeText(took))
	took, err = d.timed(func() error { return d.verify(d.db) })
	if err != nil {
		return err
	}
	count := uint64(3 * len(d.characters))
	d.rated(fmt.Sprintf("all %s records compared with the source", commas(count)), float64(count),
		"records", took)
	info, err := os.Stat(d.file)
	if err != nil {
		return err
	}
	d.printf("  the file has %s\n", bytesText(info.Size()))
	return nil
}

// verify compares every record of a database with the source.
func (d *demo) verify(db *mapleaf.DB) error {
	return db.View(func(tx *mapleaf.Tx) error {
		byCode, byName := tx.Bucket(bucketCode), tx.Bucket(bucketNames)
		categories := tx.Bucket(bucketCategory)
		if byCode == nil || byName == nil || categories == nil {
			return wrong("a bucket is missing")
		}
		i := 0
		for key, name := range byCode.All() {
			if i == len(d.characters) {
				return wrong("there are more characters than in the source")
			}
			c := d.characters[i]
			i++
			want := string(codeKey(c.Code))
			category := categories.Bucket([]byte(c.Category))
			if string(key) != want || string(name) != c.Name || category == nil ||
				string(byName.Get(name)) != want || string(category.Get(key)) != c.Name {
				return wrong("%s %s in the place of %s %s", key, name, want, c.Name)
			}
		}
		if err := tx.Err(); err != nil {
			return err
		}
		if count := byName.Count(); i != len(d.characters) || count != uint64(i) {
			return wrong("%d code points and %d names, not %d", i, count, len(d.characters))
		}
		return nil
	})
}
