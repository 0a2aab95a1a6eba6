package command

import (
	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const delText = `Del deletes keys, or all keys of a range, or a bucket with all that is in it. It
is one transaction: if a key is missing, nothing is deleted (--force deletes the
others). A range takes the buckets in it along. The number of records that went
is printed; records within deleted buckets are not counted.`

// deletion is what one del command was asked for.
type deletion struct {
	bucket bucketPath
	keys   keyRange
	whole  bool
	force  bool
}

func newDel(a *app) *cobra.Command {
	var d deletion
	cmd := &cobra.Command{
		Use:   "del FILE [KEY...] --bucket PATH",
		Short: "Delete keys, a range of keys, or a bucket",
		Long:  delText,
		Example: "  mapleaf del notes.db today tomorrow --bucket notes\n" +
			"  mapleaf del notes.db --bucket notes --prefix 2024-\n" +
			"  mapleaf del notes.db --bucket notes --whole-bucket",
		Args: between(1, "FILE", "KEY..."),
		RunE: func(_ *cobra.Command, args []string) error {
			deleted, err := a.delete(&d, args[0], args[1:])
			if err != nil {
				return err
			}
			a.printf("deleted %s\n", plural(deleted, "record"))
			return nil
		},
	}
	addBucketFlag(cmd, &d.bucket)
	d.keys.addFlags(cmd)
	cmd.Flags().BoolVar(&d.whole, "whole-bucket", false, "delete the bucket itself")
	cmd.Flags().BoolVar(&d.force, "force", false, "do not mind missing keys")
	return cmd
}

// delete does the work of the command and returns how many records went.
func (a *app) delete(d *deletion, file string, args []string) (deleted uint64, err error) {
	chosen := 0
	for _, is := range []bool{len(args) > 0, d.keys.given(), d.whole} {
		if is {
			chosen++
		}
	}
	if chosen != 1 {
		return 0, usagef("give keys, or a range, or --whole-bucket: one of them")
	}
	if len(d.bucket) == 0 {
		return 0, usagef("say which bucket: --bucket PATH is missing")
	}
	keys := make([][]byte, len(args))
	for i, arg := range args {
		if keys[i], err = parseBytes("KEY", arg, d.keys.hex); err != nil {
			return 0, err
		}
	}
	lo, hi, err := d.keys.bounds()
	if err != nil {
		return 0, err
	}
	err = a.update(file, func(tx *mapleaf.Tx) error {
		b, err := bucketAt(tx, d.bucket)
		switch {
		case err != nil:
			return err
		case d.whole:
			deleted = b.Count()
			return deleteBucket(tx, d.bucket)
		case d.keys.given():
			deleted, err = b.DeleteRange(lo, hi)
			return err
		}
		deleted, err = deleteKeys(tx, b, keys, d.force)
		return err
	})
	return deleted, err
}

func deleteKeys(tx *mapleaf.Tx, b *mapleaf.Bucket, keys [][]byte, force bool) (uint64, error) {
	var deleted uint64
	for _, key := range keys {
		if b.Get(key) == nil {
			if err := missing(tx, b, key); !force || tx.Err() != nil {
				return 0, err
			}
			continue
		}
		if err := b.Delete(key); err != nil {
			return 0, err
		}
		deleted++
	}
	return deleted, nil
}

func deleteBucket(tx *mapleaf.Tx, path bucketPath) error {
	last := len(path) - 1
	if last == 0 {
		return tx.DeleteBucket(path[0])
	}
	parent, err := bucketAt(tx, path[:last])
	if err != nil {
		return err
	}
	return parent.DeleteBucket(path[last])
}
