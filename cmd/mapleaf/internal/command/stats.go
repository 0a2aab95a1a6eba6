package command

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const statsText = `Stats prints how large a file is and what its pages hold. With --bucket it
counts that bucket alone, with the buckets in it.`

// fileStats is what stats prints, in JSON with these names.
type fileStats struct {
	File           string `json:"file"`
	FileBytes      int64  `json:"file_bytes"`
	PageBytes      int    `json:"page_bytes"`
	Transaction    int    `json:"transaction"`
	DatabaseBytes  int64  `json:"database_bytes"`
	FreePages      int    `json:"free_pages"`
	Bucket         string `json:"bucket,omitempty"`
	Buckets        int    `json:"buckets"`
	SmallBuckets   int    `json:"small_buckets"`
	Records        int    `json:"records"`
	Depth          int    `json:"depth"`
	BranchPages    int    `json:"branch_pages"`
	BranchBytes    int    `json:"branch_bytes"`
	BranchUsed     int    `json:"branch_used_bytes"`
	LeafPages      int    `json:"leaf_pages"`
	LeafBytes      int    `json:"leaf_bytes"`
	LeafUsed       int    `json:"leaf_used_bytes"`
	OverflowPages  int    `json:"overflow_pages"`
	bucketWasGiven bool
}

func newStats(a *app) *cobra.Command {
	var bucket bucketPath
	format := newChoice(formatText, formatJSON)
	cmd := &cobra.Command{
		Use:   "stats FILE",
		Short: "Print sizes, and what the pages hold",
		Long:  statsText,
		Args:  exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := a.stats(args[0], bucket)
			if err != nil {
				return err
			}
			if format.value == formatJSON {
				return json.NewEncoder(a.out).Encode(s)
			}
			a.printStats(s)
			return nil
		},
	}
	addBucketFlag(cmd, &bucket)
	addChoiceFlag(cmd, &format, "format", "f", "how to print")
	return cmd
}

func (a *app) stats(file string, path bucketPath) (*fileStats, error) {
	s := &fileStats{File: file, bucketWasGiven: len(path) > 0, Bucket: path.String()}
	err := a.viewDB(file, func(db *mapleaf.DB) error {
		return db.View(func(tx *mapleaf.Tx) error {
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			b := tx.Cursor().Bucket()
			if s.bucketWasGiven {
				if b, err = bucketAt(tx, path); err != nil {
					return err
				}
			}
			s.FileBytes, s.PageBytes = info.Size(), db.Info().PageSize
			s.Transaction, s.DatabaseBytes = tx.ID(), tx.Size()
			s.FreePages = db.Stats().FreePageN + db.Stats().PendingPageN
			s.add(b.Stats())
			return tx.Err()
		})
	})
	return s, err
}

func (s *fileStats) add(b mapleaf.BucketStats) {
	s.Buckets = b.BucketN
	if !s.bucketWasGiven {
		s.Buckets-- // the root, which has no name, counts itself
	}
	s.SmallBuckets = b.InlineBucketN
	// Every bucket but the first is a record of its parent, too.
	s.Records = b.KeyN - (b.BucketN - 1)
	s.Depth = b.Depth
	s.BranchPages, s.BranchBytes, s.BranchUsed = b.BranchPageN, b.BranchAlloc, b.BranchInuse
	s.LeafPages, s.LeafBytes, s.LeafUsed = b.LeafPageN, b.LeafAlloc, b.LeafInuse
	s.OverflowPages = b.BranchOverflowN + b.LeafOverflowN
}

func (a *app) printStats(s *fileStats) {
	row := func(name, value string) { a.printf("%-18s %s\n", name, value) }
	row("file", s.File)
	row("file size", bytesText(s.FileBytes)+exactBytes(s.FileBytes))
	row("page size", bytesText(int64(s.PageBytes)))
	row("last transaction", commas(uint64(s.Transaction)))
	row("pages", commas(uint64(s.DatabaseBytes/int64(s.PageBytes))))
	row("free pages", commas(uint64(s.FreePages)))
	if s.bucketWasGiven {
		row("bucket", s.Bucket)
	}
	row("buckets", commas(uint64(s.Buckets))+smallNote(s.SmallBuckets))
	row("records", commas(uint64(s.Records)))
	row("depth", commas(uint64(s.Depth)))
	row("branch pages", commas(uint64(s.BranchPages))+filled(s.BranchUsed, s.BranchBytes))
	row("leaf pages", commas(uint64(s.LeafPages))+filled(s.LeafUsed, s.LeafBytes))
	row("overflow pages", commas(uint64(s.OverflowPages)))
}

func exactBytes(n int64) string {
	if n < 1024 {
		return ""
	}
	return " (" + commas(uint64(n)) + " bytes)"
}

func smallNote(count int) string {
	if count == 0 {
		return ""
	}
	return ", " + commas(uint64(count)) + " of them without a page of their own"
}

func filled(used, room int) string {
	if room == 0 {
		return ""
	}
	return ", " + significant(100*float64(used)/float64(room)) + " % filled"
}
