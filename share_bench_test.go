package mapleaf

import (
	"testing"
)

// How a database is open: with Exclusive, as the only one, or beside another.
func eachSharing(b *testing.B, o Options, fn func(b *testing.B, db *DB)) {
	for _, name := range []string{"exclusive", "alone", "shared"} {
		b.Run(name, func(b *testing.B) {
			path := b.TempDir() + "/bench.db"
			o.Exclusive = name == "exclusive"
			db, err := Open(path, 0o600, &o)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if _, err := count(db); err != nil {
				b.Fatal(err)
			}
			if name == "shared" {
				other, err := Open(path, 0o600, &o)
				if err != nil {
					b.Fatal(err)
				}
				defer other.Close()
			}
			b.ReportAllocs()
			fn(b, db)
		})
	}
}

func BenchmarkShareView(b *testing.B) {
	eachSharing(b, Options{}, func(b *testing.B, db *DB) {
		fn := func(t *Tx) error { t.Bucket(testBucket).Get(counterKey); return nil }
		for b.Loop() {
			if err := db.View(fn); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkShareUpdate(b *testing.B) {
	eachSharing(b, Options{NoSync: true}, func(b *testing.B, db *DB) {
		for b.Loop() {
			if _, err := count(db); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkShareUpdateSync(b *testing.B) {
	eachSharing(b, Options{}, func(b *testing.B, db *DB) {
		for b.Loop() {
			if _, err := count(db); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkShareHandover measures two databases that take turns at every commit.
func BenchmarkShareHandover(b *testing.B) {
	path := b.TempDir() + "/bench.db"
	var dbs [2]*DB
	for i := range dbs {
		db, err := Open(path, 0o600, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		dbs[i] = db
	}
	for i := 0; b.Loop(); i++ {
		if _, err := count(dbs[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}
