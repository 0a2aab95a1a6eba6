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
// too many. Whatever bucket of dst was at hand belongs to the last one then.
func (c *compactor) room(n int64) error {
	if c.t != nil && c.takes(n) {
		return nil
	}
	if c.t != nil {
		t := c.t
		c.t = nil
		if err := t.Commit(); err != nil {
			return err
		}
	}
	var err error
	c.t, err = c.dst.Begin(true)
	c.size = n
	return err
}

// takes counts n more bytes, if the transaction takes them.
func (c *compactor) takes(n int64) bool {
	if c.sizeMax != 0 && c.size+n > c.sizeMax {
		return false
	}
	c.size += n
	return true
}

// bucket copies one bucket, which lies below the buckets of path.
func (c *compactor) bucket(path [][]byte, name []byte, from *Bucket) error {
	if root := uint64(from.Root()); root != 0 {
		if _, ok := c.seen[root]; ok {
			return tx.Corrupt(tx.PageID(root), "is the root of two buckets")
		}
		c.seen[root] = struct{}{}
	}
	if err := c.room(int64(len(name))); err != nil {
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
	at := from.Cursor()
	for k, v := at.First(); k != nil; {
		if v != nil {
			if k, v, err = c.records(path, at, k, v); err != nil {
				return err
			}
			continue
		}
		kid := from.Bucket(k)
		if kid == nil { // it is damaged
			break
		}
		if err := c.bucket(path, k, kid); err != nil {
			return err
		}
		k, v = at.Next()
	}
	return from.Tx().Err()
}

// records copies the record k, v, at which the cursor stands, and those behind it up to
// the next bucket, or until the transaction takes no more. It returns what comes then.
func (c *compactor) records(path [][]byte, at *Cursor, k, v []byte) (
	nextKey, nextValue []byte, err error) {
	if err := c.room(int64(len(k) + len(v))); err != nil {
		return nil, nil, err
	}
	to, err := c.find(path)
	if err != nil {
		return nil, nil, err
	}
	err = to.Load(func(yield func(key, value []byte) bool) {
		for yield(k, v) {
			k, v = at.Next()
			if v == nil || !c.takes(int64(len(k)+len(v))) {
				return
			}
		}
	})
	return k, v, err
}

func (c *compactor) create(path [][]byte, name []byte) (*Bucket, error) {
	if len(path) == 0 {
		return c.t.CreateBucket(name)
	}
	b, err := c.find(path)
	if err != nil {
		return nil, err
	}
	return b.CreateBucket(name)
}

// find returns a bucket of the running transaction that was created before. Between two
// transactions somebody else may have deleted it.
func (c *compactor) find(path [][]byte) (*Bucket, error) {
	b := c.t.Bucket(path[0])
	for _, name := range path[1:] {
		if b == nil {
			break
		}
		b = b.Bucket(name)
	}
	if b != nil {
		return b, nil
	}
	if err := c.t.Err(); err != nil {
		return nil, err
	}
	return nil, ErrBucketNotFound
}
