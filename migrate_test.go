package mapleaf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	bolt "github.com/mapleafdb/mapleaf"
	berrors "github.com/mapleafdb/mapleaf/errors"
)

// The programs below are written as they are for bbolt; only their imports name
// Mapleaf.

// userStore keeps records under numbers that the bucket gives out.
type userStore struct{ db *bolt.DB }

type user struct {
	ID    uint64
	Name  string
	Since time.Time
}

func itob(v uint64) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint64(b, v)
	return b
}

func (s *userStore) create(u *user) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("users"))
		if err != nil {
			return fmt.Errorf("create bucket: %w", err)
		}
		u.ID, err = b.NextSequence()
		if err != nil {
			return err
		}
		buf, err := json.Marshal(u)
		if err != nil {
			return err
		}
		return b.Put(itob(u.ID), buf)
	})
}

func (s *userStore) get(id uint64) (u user, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("users"))
		if b == nil {
			return berrors.ErrBucketNotFound
		}
		v := b.Get(itob(id))
		if v == nil {
			return fmt.Errorf("no user %d", id)
		}
		return json.Unmarshal(v, &u)
	})
	return u, err
}

func TestMigrateUsers(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "users.db"), 0o600,
		&bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	must(t, err)
	defer db.Close()
	s := userStore{db}
	if _, err := s.get(1); !errors.Is(err, bolt.ErrBucketNotFound) {
		t.Fatalf("get before create: %v", err)
	}
	for i := range 300 {
		u := user{Name: fmt.Sprint("user ", i), Since: time.Unix(int64(i), 0).UTC()}
		must(t, s.create(&u))
		got, err := s.get(u.ID)
		must(t, err)
		if got != u || got.ID != uint64(i+1) {
			t.Fatalf("got %+v, want %+v", got, u)
		}
	}
}

// TestMigrateEvents scans prefixes and ranges of time, and deletes what is old.
func TestMigrateEvents(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "events.db"), 0o600, bolt.DefaultOptions)
	must(t, err)
	defer db.Close()
	start := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, db.Batch(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("Events"))
		if err != nil {
			return err
		}
		b.FillPercent = 0.9
		for day := range 3650 {
			key := start.AddDate(0, 0, day).Format(time.RFC3339)
			if err := b.Put([]byte(key), itob(uint64(day))); err != nil {
				return err
			}
		}
		return nil
	}))
	count := func(scan func(c *bolt.Cursor, add func())) (n int) {
		must(t, db.View(func(tx *bolt.Tx) error {
			scan(tx.Bucket([]byte("Events")).Cursor(), func() { n++ })
			return nil
		}))
		return n
	}
	prefix := func(c *bolt.Cursor, add func()) {
		p := []byte("1992-02")
		for k, _ := c.Seek(p); k != nil && bytes.HasPrefix(k, p); k, _ = c.Next() {
			add()
		}
	}
	between := func(c *bolt.Cursor, add func()) {
		lo, hi := []byte("1991-01-01T00:00:00Z"), []byte("1992-01-01T00:00:00Z")
		for k, _ := c.Seek(lo); k != nil && bytes.Compare(k, hi) <= 0; k, _ = c.Next() {
			add()
		}
	}
	if got := count(prefix); got != 29 {
		t.Fatalf("February 1992 has %d days", got)
	}
	if got := count(between); got != 366 {
		t.Fatalf("1991 and New Year have %d days", got)
	}
	must(t, db.Update(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte("Events")).Cursor()
		limit := []byte("1995")
		for k, _ := c.First(); k != nil && bytes.Compare(k, limit) < 0; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	}))
	if got := count(prefix); got != 0 {
		t.Fatalf("%d days of February 1992 are left", got)
	}
}

// TestMigrateIndex keeps an index in nested buckets, by a transaction by hand.
func TestMigrateIndex(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "index.db"), 0o600, nil)
	must(t, err)
	defer db.Close()
	words := []string{"maple", "leaf", "page", "tree", "leaf", "node", "page", "leaf"}
	tx, err := db.Begin(true)
	must(t, err)
	defer tx.Rollback()
	root, err := tx.CreateBucketIfNotExists([]byte("index"))
	must(t, err)
	for i, word := range words {
		posting, err := root.CreateBucketIfNotExists([]byte(word))
		must(t, err)
		must(t, posting.Put(itob(uint64(i)), nil))
	}
	committed := false
	tx.OnCommit(func() { committed = true })
	must(t, tx.Commit())
	if !committed {
		t.Fatal("OnCommit did not run")
	}
	must(t, db.View(func(tx *bolt.Tx) error {
		var got []string
		err := tx.Bucket([]byte("index")).ForEachBucket(func(k []byte) error {
			n := tx.Bucket([]byte("index")).Bucket(k).Stats().KeyN
			got = append(got, fmt.Sprintf("%s:%d", k, n))
			return nil
		})
		if want := "[leaf:3 maple:1 node:1 page:2 tree:1]"; fmt.Sprint(got) != want {
			t.Fatalf("the index is %v, want %s", got, want)
		}
		return err
	}))
	stats := db.Stats()
	if diff := stats.Sub(&bolt.Stats{}); diff.TxStats.GetPageCount() == 0 {
		t.Fatalf("statistics are %+v", diff)
	}
}
