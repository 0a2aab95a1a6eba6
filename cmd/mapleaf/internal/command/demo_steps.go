package command

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/unicodedata"
)

// loadBatch is how many characters, of three records each, go into a
// transaction.
const loadBatch = 5000

// load stores every character three times: by code point, by name, and by code
// point in the bucket of its category.
func (d *demo) load() error {
	transactions := uint64(0)
	took, err := d.timed(func() error {
		for some := range slices.Chunk(d.characters, loadBatch) {
			transactions++
			err := d.db.Update(func(tx *mapleaf.Tx) error { return store(tx, some) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	count := uint64(3 * len(d.characters))
	d.rated(fmt.Sprintf("%s in %s, each durable", plural(count, "record"),
		plural(transactions, "transaction")), float64(count), "records", took)
	return err
}

func store(tx *mapleaf.Tx, characters []unicodedata.Character) error {
	byCode, err := tx.CreateBucketIfNotExists(bucketCode)
	if err != nil {
		return err
	}
	byName, err := tx.CreateBucketIfNotExists(bucketNames)
	if err != nil {
		return err
	}
	categories, err := tx.CreateBucketIfNotExists(bucketCategory)
	if err != nil {
		return err
	}
	for _, c := range characters {
		key, name := codeKey(c.Code), []byte(c.Name)
		if err := byCode.Put(key, name); err != nil {
			return err
		}
		if err := byName.Put(name, key); err != nil {
			return err
		}
		category, err := categories.CreateBucketIfNotExists([]byte(c.Category))
		if err != nil {
			return err
		}
		if err := category.Put(key, name); err != nil {
			return err
		}
	}
	return nil
}

// getRounds is how often all names are looked up, so that the time is long
// enough to be measured.
const getRounds = 5

func (d *demo) get() error {
	err := d.db.View(func(tx *mapleaf.Tx) error {
		name := "MAPLE LEAF"
		key := tx.Bucket(bucketNames).Get([]byte(name))
		code, err := strconv.ParseInt(string(key), 16, 32)
		if err != nil || rune(code) != d.byName[name] {
			return wrong("the code point of %s is %q", name, key)
		}
		d.printf("  name %q  ->  %s\n", name, shown(rune(code), name))
		return nil
	})
	if err != nil {
		return err
	}
	order := rand.New(rand.NewPCG(1, 1)).Perm(len(d.characters))
	names := make([][]byte, len(order))
	for i, at := range order {
		names[i] = []byte(d.characters[at].Name)
	}
	took, err := d.timed(func() error {
		return d.db.View(func(tx *mapleaf.Tx) error {
			b := tx.Bucket(bucketNames)
			for range getRounds {
				for _, name := range names {
					if b.Get(name) == nil {
						return wrong("there is no %s", name)
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	count := float64(len(names))
	d.rated(fmt.Sprintf("all names at random, %d times, one transaction", getRounds),
		getRounds*count, "gets", took)
	took, err = d.timed(func() error {
		for _, name := range names {
			err := d.db.View(func(tx *mapleaf.Tx) error {
				if tx.Bucket(bucketNames).Get(name) == nil {
					return wrong("there is no %s", name)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	d.rated("all names at random, a transaction each", count, "gets", took)
	return err
}

// scanRounds is how often everything is scanned.
const scanRounds = 5

func (d *demo) scanAll() error {
	return d.db.View(func(tx *mapleaf.Tx) error {
		b := tx.Bucket(bucketNames)
		for _, way := range []struct {
			name string
			all  iter.Seq2[[]byte, []byte]
		}{
			{"all names in order", b.All()},
			{"all names backwards", b.Backward()},
		} {
			var count uint64
			took, err := d.timed(func() error {
				for range scanRounds {
					for range way.all {
						count++
					}
				}
				return tx.Err()
			})
			if err != nil {
				return err
			}
			if count != uint64(scanRounds*len(d.characters)) {
				return wrong("%s: %d in %d rounds", way.name, count, scanRounds)
			}
			d.rated(fmt.Sprintf("%s, %d times", way.name, scanRounds), float64(count),
				"records", took)
		}
		return nil
	})
}

func (d *demo) ranges() error {
	const prefix = "GREEK SMALL LETTER "
	want := 0
	for _, c := range d.characters {
		if len(c.Name) >= len(prefix) && c.Name[:len(prefix)] == prefix {
			want++
		}
	}
	return d.db.View(func(tx *mapleaf.Tx) error {
		var names [][]byte
		took, err := d.timed(func() error {
			for name := range tx.Bucket(bucketNames).Prefix([]byte(prefix)) {
				names = append(names, name)
			}
			return tx.Err()
		})
		if err != nil {
			return err
		}
		if len(names) != want {
			return wrong("%d names begin with %q, not %d", len(names), prefix, want)
		}
		d.printf("  %d names begin with %q: %s ... %s  (%s)\n", len(names), prefix,
			bytes.TrimPrefix(names[0], []byte(prefix)),
			bytes.TrimPrefix(names[len(names)-1], []byte(prefix)), timeText(took))
		d.printf("  code points in [U+1F33F, U+1F345):\n")
		for key, name := range tx.Bucket(bucketCode).Range(codeKey(0x1F33F), codeKey(0x1F345)) {
			code, err := strconv.ParseInt(string(key), 16, 32)
			if err != nil || d.byName[string(name)] != rune(code) {
				return wrong("%s is %s", key, name)
			}
			d.printf("    %s\n", shown(rune(code), string(name)))
		}
		return tx.Err()
	})
}

func (d *demo) counts() error {
	want := make(map[string]uint64)
	for _, c := range d.characters {
		want[c.Category]++
	}
	type size struct {
		name  string
		count uint64
	}
	var sizes []size
	var took time.Duration
	err := d.db.View(func(tx *mapleaf.Tx) error {
		categories := tx.Bucket(bucketCategory)
		start := d.Now()
		err := categories.ForEachBucket(func(name []byte) error {
			sizes = append(sizes, size{string(name), categories.Bucket(name).Count()})
			return nil
		})
		took = d.Now().Sub(start)
		return err
	})
	if err != nil {
		return err
	}
	if len(sizes) != len(want) {
		return wrong("%d categories instead of %d", len(sizes), len(want))
	}
	for _, s := range sizes {
		if s.count != want[s.name] {
			return wrong("category %s has %d records, not %d", s.name, s.count, want[s.name])
		}
	}
	slices.SortFunc(sizes, func(a, b size) int { return int(b.count) - int(a.count) })
	for _, s := range sizes[:4] {
		d.printf("  category/%-4s %9s\n", s.name, commas(s.count))
	}
	d.printf("  ... and %d more, all counted in %s: a bucket knows its number of records\n",
		len(sizes)-4, timeText(took))
	return nil
}

// wrong is a result that differs from the source.
func wrong(format string, args ...any) error {
	return fmt.Errorf("wrong result: "+format, args...)
}
