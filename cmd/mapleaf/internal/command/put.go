package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const putText = `Put stores a value under a key, durably. What is missing is created: the file,
and the buckets on the path. Without VALUE, or with "-", the value is read from
standard input, byte by byte as it stands there.`

func newPut(a *app) *cobra.Command {
	var bucket bucketPath
	var allHex bool
	cmd := &cobra.Command{
		Use:   "put FILE KEY [VALUE] --bucket PATH",
		Short: "Store a value under a key",
		Long:  putText,
		Example: "  mapleaf put notes.db today 'water the maple' --bucket notes\n" +
			"  mapleaf put notes.db logo --bucket images < logo.png",
		Args: between(2, "FILE", "KEY", "VALUE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(bucket) == 0 {
				return usagef("say which bucket: --bucket PATH is missing")
			}
			key, err := parseBytes("KEY", args[1], allHex)
			if err != nil {
				return err
			}
			if len(key) == 0 {
				return usagef("KEY is empty")
			}
			value, err := a.valueOf(args[2:], allHex)
			if err != nil {
				return err
			}
			return a.create(args[0], func(db *mapleaf.DB) error {
				return db.Update(func(tx *mapleaf.Tx) error {
					b, err := makeBucket(tx, bucket)
					if err != nil {
						return err
					}
					return put(b, key, value)
				})
			})
		},
	}
	addBucketFlag(cmd, &bucket)
	cmd.Flags().BoolVar(&allHex, "hex", false, "KEY and VALUE are hexadecimal")
	return cmd
}

// valueOf returns the value that the rest of the arguments, at most one, gives.
func (a *app) valueOf(args []string, allHex bool) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		return parseBytes("VALUE", args[0], allHex)
	}
	// One byte beyond the limit tells a value that is too large from one that
	// just fits, without reading an endless input.
	value, err := io.ReadAll(io.LimitReader(a.In, mapleaf.MaxValueSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	return value, nil
}
