package command

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/jsontext"
)

const bucketsText = `Buckets prints all buckets as a tree, with the number of records in each. With
--bucket it prints what lies within that bucket.`

// depthMax bounds how deeply nested buckets are followed.
const depthMax = 1000

// bucketInfo is one bucket of the tree.
type bucketInfo struct {
	path    bucketPath
	last    bool // of its parent's buckets
	records uint64
	buckets uint64 // directly within it
}

func newBuckets(a *app) *cobra.Command {
	var under bucketPath
	format := newChoice(formatText, formatJSON)
	cmd := &cobra.Command{
		Use:   "buckets FILE",
		Short: "Print the tree of buckets with their numbers of records",
		Long:  bucketsText,
		Args:  exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			var all []bucketInfo
			err := a.view(args[0], func(tx *mapleaf.Tx) error {
				start := tx.Cursor().Bucket()
				if len(under) > 0 {
					var err error
					if start, err = bucketAt(tx, under); err != nil {
						return err
					}
				}
				_, err := walkBuckets(start, under, make(map[uint64]struct{}), &all)
				return err
			})
			if err != nil {
				return err
			}
			if format.value == formatJSON {
				return a.printBucketsJSON(all)
			}
			a.printTree(all, len(under))
			return nil
		},
	}
	addBucketFlag(cmd, &under)
	addChoiceFlag(cmd, &format, "format", "f", "how to print the tree")
	return cmd
}

// walkBuckets appends all buckets below b, which lies at path, to all: parents
// before their children. It returns how many lie directly in b. Seen has the roots so
// far: if two buckets could share one, there would be twice as many with each level.
func walkBuckets(b *mapleaf.Bucket, path bucketPath, seen map[uint64]struct{},
	all *[]bucketInfo) (uint64, error) {
	if len(path) > depthMax {
		return 0, fmt.Errorf("buckets are nested more than %d deep", depthMax)
	}
	if root := uint64(b.Root()); root != 0 {
		if _, ok := seen[root]; ok {
			return 0, fmt.Errorf("page %d is damaged: it is the root of two buckets", root)
		}
		seen[root] = struct{}{}
	}
	var count uint64
	last := -1
	err := b.ForEachBucket(func(name []byte) error {
		child := b.Bucket(name)
		if child == nil {
			return b.Tx().Err()
		}
		count++
		last = len(*all)
		at := append(append(bucketPath{}, path...), append([]byte{}, name...))
		*all = append(*all, bucketInfo{path: at})
		within, err := walkBuckets(child, at, seen, all)
		(*all)[last].buckets = within
		(*all)[last].records = child.Count() - within
		return err
	})
	if last >= 0 {
		(*all)[last].last = true
	}
	return count, err
}

// printTree draws the buckets, whose paths begin base names below the root.
func (a *app) printTree(all []bucketInfo, base int) {
	lines, counts := make([]string, len(all)), make([]string, len(all))
	nameWidth, countWidth := 0, 0
	var open []bool // by level: more siblings follow
	var records uint64
	for i := range all {
		b := &all[i]
		level := len(b.path) - base - 1
		open = append(open[:level], !b.last)
		lines[i] = branch(open) + bucketName(b.path[len(b.path)-1])
		counts[i] = commas(b.records)
		nameWidth = max(nameWidth, utf8.RuneCountInString(lines[i]))
		countWidth = max(countWidth, len(counts[i]))
		records += b.records
	}
	for i := range all {
		pad := strings.Repeat(" ", nameWidth-utf8.RuneCountInString(lines[i]))
		noun := strings.TrimPrefix(plural(all[i].records, "record"), counts[i])
		if all[i].buckets > 0 {
			noun += ", " + plural(all[i].buckets, "bucket")
		}
		a.printf("%s%s  %*s%s\n", lines[i], pad, countWidth, counts[i], noun)
	}
	a.printf("%s, %s\n", plural(uint64(len(all)), "bucket"), plural(records, "record"))
}

// branch draws what stands before a name; the first level stands at the margin.
func branch(open []bool) string {
	var b strings.Builder
	for i, more := range open[1:] {
		switch {
		case i < len(open)-2 && more:
			b.WriteString("│   ")
		case i < len(open)-2:
			b.WriteString("    ")
		case more:
			b.WriteString("├── ")
		default:
			b.WriteString("└── ")
		}
	}
	return b.String()
}

func (a *app) printBucketsJSON(all []bucketInfo) error {
	for i := range all {
		b := &all[i]
		line := jsontext.AppendString([]byte(`{"path":`), []byte(b.path.String()))
		line = fmt.Appendf(line, `,"records":%d,"buckets":%d}`+"\n", b.records, b.buckets)
		if _, err := a.out.Write(line); err != nil {
			return err
		}
	}
	return nil
}
