package mapleaf_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mapleafdb/mapleaf"
)

// temporary returns a path in a new temporary folder, and what removes it.
func temporary() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "mapleaf-example-")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "my.db"), func() { _ = os.RemoveAll(dir) }
}

// open opens a new database for an example, and returns what closes and removes it.
func open() (db *mapleaf.DB, done func()) {
	path, remove := temporary()
	db, err := mapleaf.Open(path, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		remove()
	}
}

func Example() {
	path, remove := temporary()
	defer remove()

	db, err := mapleaf.Open(path, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("trees"))
		if err != nil {
			return err
		}
		return b.Put([]byte("maple"), []byte("Acer"))
	})

	if err != nil {
		log.Fatal(err)
	}

	err = db.View(func(tx *mapleaf.Tx) error {
		for k, v := range tx.Bucket([]byte("trees")).Prefix([]byte("m")) {
			fmt.Printf("%s is %s\n", k, v)
		}
		return nil
	})

	if err != nil {
		log.Fatal(err)
	}
	// Output: maple is Acer
}

func ExampleBucket_prefix() {
	db, done := open()
	defer done()
	err := db.Update(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucket([]byte("leaves"))
		if err != nil {
			return err
		}
		for _, name := range []string{"maple/red", "maple/silver", "oak/white", "maple/sugar"} {
			if err := b.Put([]byte(name), []byte{byte(len(name))}); err != nil {
				return err
			}
		}
		for k, v := range b.Prefix([]byte("maple/")) {
			fmt.Printf("%s %d\n", k, v[0])
		}
		fmt.Println(b.Count(), "records")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// maple/red 9
	// maple/silver 12
	// maple/sugar 11
	// 4 records
}

func ExampleDB_Begin() {
	db, done := open()
	defer done()
	tx, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback() // does nothing after Commit
	b, err := tx.CreateBucket([]byte("numbers"))
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		n, err := b.NextSequence()
		if err != nil {
			log.Fatal(err)
		}
		if err := b.Put(fmt.Appendf(nil, "%03d", n), nil); err != nil {
			log.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	_ = db.View(func(tx *mapleaf.Tx) error {
		for k := range tx.Bucket([]byte("numbers")).Backward() {
			fmt.Printf("%s\n", k)
		}
		return nil
	})
	// Output:
	// 003
	// 002
	// 001
}

func ExampleBucket_Load() {
	db, done := open()
	defer done()
	err := db.Update(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucket([]byte("squares"))
		if err != nil {
			return err
		}
		return b.Load(func(yield func(key, value []byte) bool) {
			var key, value []byte // Load copies them
			for n := range 1_000_000 {
				key = fmt.Appendf(key[:0], "%06d", n)
				value = fmt.Append(value[:0], n*n)
				if !yield(key, value) {
					return
				}
			}
		})
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = db.View(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("squares"))
		fmt.Printf("%d %s\n", b.Count(), b.Get([]byte("000012")))
		return nil
	})
	// Output: 1000000 144
}

func ExampleTx_copyFile() {
	db, done := open()
	defer done()
	backup, remove := temporary()
	defer remove()
	err := db.Update(func(tx *mapleaf.Tx) error {
		_, err := tx.CreateBucket([]byte("trees"))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// A hot backup: others may read and write meanwhile.
	err = db.View(func(tx *mapleaf.Tx) error { return tx.CopyFile(backup, 0o600) })
	if err != nil {
		log.Fatal(err)
	}
	copied, err := mapleaf.Open(backup, 0o600, &mapleaf.Options{ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer copied.Close()
	_ = copied.View(func(tx *mapleaf.Tx) error {
		fmt.Println(tx.Bucket([]byte("trees")) != nil)
		return nil
	})
	// Output: true
}

func ExampleSalvage() {
	damaged, remove := temporary()
	defer remove()
	db, err := mapleaf.Open(damaged, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *mapleaf.Tx) error {
		b, err := tx.CreateBucket([]byte("trees"))
		if err != nil {
			return err
		}
		if err := b.Put([]byte("maple"), []byte("Acer")); err != nil {
			return err
		}
		return b.Put([]byte("sequoia"), bytes.Repeat([]byte("redwood"), 1000)) // has pages of its own
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}

	// A drive that fails takes both metas, and a byte of the long value.
	content, err := os.ReadFile(damaged)
	if err != nil {
		log.Fatal(err)
	}
	clear(content[:32768])
	content[bytes.LastIndex(content, []byte("redwood"))] ^= 1
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		log.Fatal(err)
	}

	saved := damaged + ".saved"
	report, err := mapleaf.Salvage(context.Background(), saved, damaged, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Records, "record saved, complete:", report.Complete())
	for _, m := range report.Missing {
		fmt.Printf("%d missing from %q before %q of %q\n", m.Records, m.From, m.To, m.Bucket)
	}
	// Output:
	// 1 record saved, complete: false
	// 1 missing from "sequoia" before "sequoia\x00" of ["trees"]
}
