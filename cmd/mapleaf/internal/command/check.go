package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf"
)

const checkText = `Check reads the whole file and verifies it: every page's checksum and place, the
order of all keys, and that each page is used exactly once or free. It prints
each problem, and ends with exit code 1 if there is any.`

func newCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Verify a file and print each problem",
		Long:  checkText,
		Args:  exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.check(args[0])
		},
	}
}

func (a *app) check(file string) error {
	problems := uint64(0)
	var size int64
	err := a.view(file, func(tx *mapleaf.Tx) error {
		size = tx.Size()
		for err := range tx.Check() {
			problems++
			a.printf("problem: %s\n", strings.TrimPrefix(err.Error(), "mapleaf: "))
		}
		return tx.Err()
	})
	if problems > 0 {
		a.printf("%s: %s\n", file, plural(problems, "problem"))
		return errShown
	}
	if err != nil {
		return err
	}
	a.printf("%s: no problems in %s\n", file, bytesText(size))
	return nil
}
