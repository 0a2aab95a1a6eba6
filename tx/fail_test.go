package tx

import (
	"errors"
	"fmt"
	"testing"
)

// The i-th allocation fails, for all i: the error comes back, the transaction
// commits no more, and the state is as it was.
func TestAllocFails(t *testing.T) {
	s := newMemStore(t, 9)
	s.update(func(tx *Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := 0; i < 400 && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "key %04d", i), make([]byte, i))
		}
		return err
	})
	for s.allocMax = 1; ; s.allocMax++ {
		tx := s.begin()
		err := changeMuch(tx)
		if err == nil {
			if s.allocMax < 50 {
				t.Fatalf("only %d allocations", s.allocMax)
			}
			if err := tx.Commit(); err == nil {
				break
			} else if !errors.Is(err, errNoRoom) {
				t.Fatalf("allocation %d: commit: %v", s.allocMax, err)
			}
			s.check()
			continue
		}
		if !errors.Is(err, errNoRoom) || !errors.Is(tx.Err(), errNoRoom) {
			t.Fatalf("allocation %d: %v, then %v", s.allocMax, err, tx.Err())
		}
		if err := tx.Commit(); !errors.Is(err, errNoRoom) {
			t.Fatalf("allocation %d: commit: %v", s.allocMax, err)
		}
		s.check()
	}
	s.check()
}

func changeMuch(tx *Tx) error {
	b := tx.Bucket([]byte("b"))
	for i := 0; i < 400; i += 9 {
		if err := b.Put(fmt.Appendf(nil, "key %04d more", i), make([]byte, 80)); err != nil {
			return err
		}
		if err := b.Delete(fmt.Appendf(nil, "key %04d", i+1)); err != nil {
			return err
		}
	}
	if _, err := b.DeleteRange([]byte("key 0100"), []byte("key 0300")); err != nil {
		return err
	}
	kid, err := b.CreateBucket([]byte("kid"))
	if err != nil {
		return err
	}
	for i := range 100 {
		if err := kid.Put(fmt.Appendf(nil, "%0300d", i), nil); err != nil {
			return err
		}
	}
	if err := tx.MoveBucket([]byte("kid"), b, nil); err != nil {
		return err
	}
	return tx.Bucket([]byte("kid")).Delete(fmt.Appendf(nil, "%0300d", 5))
}

// A hostile file whose pages lead in circles is damage, not a hang.
func TestCircles(t *testing.T) {
	s := newMemStore(t, 9)
	s.update(func(tx *Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := 0; i < 4000 && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "key %04d", i), nil)
		}
		return err
	})
	root := DecodeBucketHeader(bucketRecord(t, s)).Root
	n, _, err := s.state.load(root)
	if err != nil {
		t.Fatal(err)
	}
	n.setChild(1, root)
	n.setChild(2, n.child(0))
	tx := s.read()
	defer tx.Rollback()
	b := tx.Bucket([]byte("b"))
	count := 0
	for range b.All() {
		count++
	}
	if !errors.Is(tx.Err(), ErrCorrupt) || count > 4000 {
		t.Errorf("scan of %d records: %v", count, tx.Err())
	}
	bad := 0
	for range tx.Check() {
		bad++
	}
	if bad == 0 {
		t.Error("check finds nothing")
	}
	b.Stats()
	s.hostile = true
	if w := s.begin(); w.DeleteBucket([]byte("b")) == nil {
		t.Error("a bucket that leads in circles was deleted")
	}
}

// bucketRecord returns the record of the bucket "b".
func bucketRecord(t *testing.T, s *memStore) []byte {
	tx := s.read()
	n, _, i, found, err := tx.root.find([]byte("b"))
	if err != nil || !found {
		t.Fatalf("find: %v, %v", found, err)
	}
	_, v := n.value(i)
	return v
}
