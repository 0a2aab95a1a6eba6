package command

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const scanText = `Scan prints the records of a bucket in the order of their keys: all of them,
those with a prefix, or those of a range (--from is in it, --to is not). Buckets
within the bucket are shown by their name and a slash.

Formats: text prints key, tab, value, for people to read: tabs and line ends in
them as \t and \n, what is not printable as \xHH; hex prints both in
hexadecimal; json prints one object a line, in which bytes that are not UTF-8
stand as {"hex":"00ff"}. In hex and json every byte is told apart.`

// scanning is what one scan command was asked for.
type scanning struct {
	bucket  bucketPath
	keys    keyRange
	limit   uint64
	reverse bool
	only    bool
	count   bool
	format  choice
}

func newScan(a *app) *cobra.Command {
	s := scanning{format: newChoice(formatText, formatHex, formatJSON)}
	cmd := &cobra.Command{
		Use:   "scan FILE --bucket PATH",
		Short: "Print records in the order of their keys",
		Long:  scanText,
		Example: "  mapleaf scan packages.db --bucket debian/packages --prefix libc\n" +
			"  mapleaf scan packages.db --bucket debian/packages --from a --to b --count",
		Args: exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			lo, hi, err := s.keys.bounds()
			if err != nil {
				return err
			}
			return a.view(args[0], func(tx *mapleaf.Tx) error {
				b, err := bucketAt(tx, s.bucket)
				if err != nil {
					return err
				}
				return a.scan(&s, tx, records(b, lo, hi, s.reverse))
			})
		},
	}
	flags := cmd.Flags()
	addBucketFlag(cmd, &s.bucket)
	s.keys.addFlags(cmd)
	flags.Uint64VarP(&s.limit, "limit", "n", 0, "stop after so many records (0 = no limit)")
	flags.BoolVarP(&s.reverse, "reverse", "r", false, "from the last key to the first")
	flags.BoolVarP(&s.only, "keys-only", "k", false, "leave the values out")
	flags.BoolVarP(&s.count, "count", "c", false, "print how many there are, and nothing else")
	addChoiceFlag(cmd, &s.format, "format", "f", "how to print the records")
	return cmd
}

func (a *app) scan(s *scanning, tx *mapleaf.Tx, all iter.Seq2[[]byte, []byte]) error {
	p := printer{out: a.out, format: s.format.value, keysOnly: s.only}
	var count uint64
	for key, value := range all {
		count++
		if !s.count {
			if err := p.record(key, value); err != nil {
				return err
			}
		}
		if count == s.limit {
			break
		}
	}
	// Damage ends the iteration early: what was counted so far is not the count.
	if err := tx.Err(); err != nil {
		return err
	}
	if s.count {
		fmt.Fprintln(a.out, count)
	}
	return nil
}

// records yields the records of b with keys in [lo, hi), forwards or backwards.
// The bytes are valid until the transaction ends.
func records(b *mapleaf.Bucket, lo, hi []byte, reverse bool) iter.Seq2[[]byte, []byte] {
	if !reverse {
		return b.Range(lo, hi)
	}
	return func(yield func(key, value []byte) bool) {
		c := b.Cursor()
		var key, value []byte
		if hi == nil {
			key, value = c.Last()
		} else if key, _ = c.Seek(hi); key != nil {
			key, value = c.Prev()
		} else {
			key, value = c.Last()
		}
		for ; key != nil && bytes.Compare(key, lo) >= 0; key, value = c.Prev() {
			if !yield(key, value) {
				return
			}
		}
	}
}
