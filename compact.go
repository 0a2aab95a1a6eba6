package mapleaf

import (
	"github.com/mapleafdb/mapleaf/tx"
)

// Compact copies every bucket of src into dst, which has none of them yet, and
// packs the pages as densely as they go. A transaction of dst ends when it holds
// txMaxSize bytes of keys and values; zero means a single one. After an error
// dst holds what was committed until then.
func Compact(dst, src *DB, txMaxSize int64) error {
	c := &compactor{dst: dst, sizeMax: txMaxSize, seen: make(map[uint64]struct{})}
	dst.store.withoutLog(+1) // it would leave holes
	defer dst.store.withoutLog(-1)
	defer func() {
		if c.t != nil { // also after a panic, since nobody else knows of it
			rollback(c.t)
		}
	}()
	err := src.View(func(t *Tx) error {
		return t.ForEach(func(name []byte, b *Bucket) error {
			return c.bucket(nil, name, b)
		})
	})
	if c.t == nil || err != nil {
		return err
	}
	return c.t.Commit()
}

// A compactor holds the running transaction of the copy.
type compactor struct {
	dst     *DB
	t       *Tx
	size    int64
	sizeMax int64
	seen    map[uint64]struct{} // roots of the buckets that were copied
}

// room begins the first transaction, and the next one when n more bytes would be
// too many. It reports whether buckets of dst have to be looked up again.
func (c *compactor) room(n int64) (fresh bool, err error) {
	if c.t != nil && (c.sizeMax == 0 || c.size+n <= c.sizeMax) {
		c.size += n
		return false, nil
	}
	if c.t != nil {
		t := c.t
		c.t = nil
		if err := t.Commit(); err != nil {
			return false, err
		}
	}
	c.t, err = c.dst.Begin(true)
	c.size = n
	return true, err
}

// bucket copies one bucket, which lies below the buckets of path.
func (c *compactor) bucket(path [][]byte, name []byte, from *Bucket) error {
	if root := uint64(from.Root()); root != 0 {
		if _, ok := c.seen[root]; ok {
			return tx.Corrupt(tx.PageID(root), "is the root of two buckets")
		}
		c.seen[root] = struct{}{}
	}
	if _, err := c.room(int64(len(name))); err != nil {
		return err
	}
	to, err := c.create(path, name)
	if err != nil {
		return err
	}
	if err := to.SetSequence(from.Sequence()); err != nil {
		return err
	}
	path = append(path, name)
	to.FillPercent = 1
	return from.ForEach(func(k, v []byte) error {
		if v == nil {
			kid := from.Bucket(k)
			if kid == nil { // it is damaged
				return from.Tx().Err()
			}
			if err := c.bucket(path, k, kid); err != nil {
				return err
			}
			to = c.find(path)
			to.FillPercent = 1
			return nil
		}
		fresh, err := c.room(int64(len(k) + len(v)))
		if err != nil {
			return err
		}
		if fresh {
			to = c.find(path)
			to.FillPercent = 1
		}
		return to.Put(k, v)
	})
}

func (c *compactor) create(path [][]byte, name []byte) (*Bucket, error) {
	if len(path) == 0 {
		return c.t.CreateBucket(name)
	}
	return c.find(path).CreateBucket(name)
}

// find returns a bucket of the running transaction that was created before.
func (c *compactor) find(path [][]byte) *Bucket {
	b := c.t.Bucket(path[0])
	for _, name := range path[1:] {
		b = b.Bucket(name)
	}
	return b
}
