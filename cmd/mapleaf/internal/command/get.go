package command

import (
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const getText = `Get prints the value of a key.

Formats: text prints the value and a line end, and on a terminal writes what is
not printable as \xHH; raw prints the bytes of the value and nothing else; hex
prints them in hexadecimal; json prints key and value as one object.`

func newGet(a *app) *cobra.Command {
	var bucket bucketPath
	var allHex bool
	format := newChoice(formatText, formatRaw, formatHex, formatJSON)
	cmd := &cobra.Command{
		Use:     "get FILE KEY --bucket PATH",
		Short:   "Print the value of a key",
		Long:    getText,
		Example: "  mapleaf get packages.db bash --bucket debian/packages",
		Args:    exactly("FILE", "KEY"),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := parseBytes("KEY", args[1], allHex)
			if err != nil {
				return err
			}
			return a.view(args[0], func(tx *mapleaf.Tx) error {
				b, err := bucketAt(tx, bucket)
				if err != nil {
					return err
				}
				value := b.Get(key)
				if value == nil {
					return missing(tx, b, key)
				}
				return a.printValue(format.value, key, value)
			})
		},
	}
	addBucketFlag(cmd, &bucket)
	cmd.Flags().BoolVar(&allHex, "hex", false, "KEY is hexadecimal")
	addChoiceFlag(cmd, &format, "format", "f", "how to print the value")
	return cmd
}

func addBucketFlag(cmd *cobra.Command, bucket *bucketPath) {
	cmd.Flags().VarP(bucket, "bucket", "b", "the bucket, as in debian/packages")
}

// missing says why a key has no value.
func missing(tx *mapleaf.Tx, b *mapleaf.Bucket, key []byte) error {
	if err := tx.Err(); err != nil {
		return err
	}
	if len(key) > 0 && b.Bucket(key) != nil {
		return isBucket(key)
	}
	return fmt.Errorf("there is no key %s", appendText(nil, key, textName))
}

func (a *app) printValue(format string, key, value []byte) error {
	var out []byte
	switch {
	case format == formatHex:
		out = append(hex.AppendEncode(nil, value), '\n')
	case format == formatJSON:
		p := printer{out: a.out, format: format}
		return p.record(key, value)
	case format == formatRaw:
		out = value
	case a.OutTerminal:
		out = append(appendText(nil, value, textLines), '\n')
	default:
		if _, err := a.out.Write(value); err != nil {
			return err
		}
		out = []byte{'\n'}
	}
	_, err := a.out.Write(out)
	return err
}
