package mapleaf_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	mapleaf "github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/internal/dbtest"
)

const (
	bankAccounts = 300
	bankBalance  = 1000 // of each account, in the beginning
	bankWriters  = 6
	bankReaders  = 3
	bankRounds   = 60
)

// TestBank moves money between accounts in many goroutines, some of which roll
// back, fail or panic in the middle. Every snapshot has the same sum, and the last
// one is what the committed transfers add up to.
func TestBank(t *testing.T) {
	db := openDB(t, noSync)
	account := func(i int) []byte { return fmt.Appendf(nil, "account-%05d", i) }
	db.MustUpdate(func(tx *mapleaf.Tx) error {
		b := mustBucket(t, tx, "bank")
		for i := range bankAccounts {
			must(t, b.Put(account(i), binary.BigEndian.AppendUint64(nil, bankBalance)))
		}
		return nil
	})
	var committed, journal atomic.Int64
	var done atomic.Bool
	var writers, readers sync.WaitGroup
	for w := range bankWriters {
		rng := dbtest.Rand(t, uint64(w))
		writers.Go(func() {
			for round := range bankRounds {
				from, to, amount := rng.IntN(bankAccounts), rng.IntN(bankAccounts), rng.IntN(50)
				fn := func(tx *mapleaf.Tx) error {
					return transfer(tx, account(from), account(to), uint64(amount), round%5)
				}
				run := db.Update
				if w%2 == 0 {
					run = db.Batch
				}
				if err := survive(run, fn); err == nil {
					committed.Add(1)
					journal.Add(int64(amount))
				} else if !errors.Is(err, errBank) {
					t.Error(err)
				}
			}
		})
	}
	for range bankReaders {
		readers.Go(func() {
			for !done.Load() {
				if err := db.View(audit); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	db.Reopen()
	db.MustView(func(tx *mapleaf.Tx) error {
		b := tx.Bucket([]byte("bank"))
		if got := b.Sequence(); got != uint64(committed.Load()) {
			t.Errorf("%d transfers were committed, and %d are there", committed.Load(), got)
		}
		if got := tx.Bucket([]byte("bank")).Get([]byte("moved")); len(got) != 8 ||
			binary.BigEndian.Uint64(got) != uint64(journal.Load()) {
			t.Errorf("the journal says %x, want %d", got, journal.Load())
		}
		return audit(tx)
	})
}

var errBank = errors.New("the transfer is called off")

// transfer moves an amount, and then commits, fails or panics, as how says.
func transfer(tx *mapleaf.Tx, from, to []byte, amount uint64, how int) error {
	b := tx.Bucket([]byte("bank"))
	add := func(key []byte, n uint64) error {
		var old uint64
		if v := b.Get(key); v != nil {
			old = binary.BigEndian.Uint64(v)
		}
		return b.Put(key, binary.BigEndian.AppendUint64(nil, old+n))
	}
	if err := add(from, -amount); err != nil {
		return err
	}
	if how == 3 {
		return errBank
	}
	if err := errors.Join(add(to, amount), add([]byte("moved"), amount)); err != nil {
		return err
	}
	if how == 4 {
		panic(errBank)
	}
	_, err := b.NextSequence()
	return err
}

// survive runs a transaction, and turns its own panic into its error.
func survive(run func(func(*mapleaf.Tx) error) error, fn func(*mapleaf.Tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = r.(error)
		}
	}()
	return run(fn)
}

// audit adds up all accounts of a snapshot.
func audit(tx *mapleaf.Tx) error {
	var sum uint64
	n := 0
	for _, v := range tx.Bucket([]byte("bank")).Prefix([]byte("account-")) {
		sum += binary.BigEndian.Uint64(v)
		n++
	}
	if n != bankAccounts || sum != bankAccounts*bankBalance {
		return fmt.Errorf("%d accounts hold %d, want %d", n, sum, bankAccounts*bankBalance)
	}
	return nil
}
