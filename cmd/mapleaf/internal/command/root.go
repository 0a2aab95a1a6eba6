package command

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const rootText = `Mapleaf keeps keys and values in one file. This program looks into such files,
fills them, checks them, and shows what the store can do.

A bucket is named by its path, "debian/packages"; in a name, "\/" stands for a
slash, "\\" for a backslash, and "\x41" for any byte. Keys and values are text;
"hex:00ff" or --hex gives bytes, and "text:hex:" the text "hex:" itself.

Exit codes: 0 fine; 1 a problem was found, or the work could not be done;
2 the command line is wrong.`

// waitDefault is how long a command waits for another process by default.
const waitDefault = 5 * time.Second

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "mapleaf",
		Short:         "Look into Mapleaf files, fill them, check them",
		Long:          rootText,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.timeout < 0 {
				return usagef("--timeout %v is negative", a.timeout)
			}
			return nil
		},
	}
	root.PersistentFlags().DurationVar(&a.timeout, "timeout", waitDefault,
		"how long to wait while another process has the file (0 = for ever)")
	root.AddCommand(
		newDemo(a), newImport(a), newGet(a), newPut(a), newDel(a), newScan(a),
		newBuckets(a), newStats(a), newReaders(a), newCheck(a), newRecover(a), newSurgery(a),
		newVersion(a),
	)
	root.SetHelpCommand(newHelp(a))
	markFailures(root)
	return root
}

// exactly accepts one argument for each name, and says by name what is amiss.
func exactly(names ...string) cobra.PositionalArgs {
	return between(len(names), names...)
}

// between accepts at least least arguments, and no more than there are names;
// a last name that ends in "..." stands for any number.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least {
			return usagef("%s is missing", strings.TrimSuffix(names[len(args)], "..."))
		}
		endless := len(names) > 0 && strings.HasSuffix(names[len(names)-1], "...")
		if len(args) > len(names) && !endless {
			return usagef("one argument too many: %q", args[len(names)])
		}
		return nil
	}
}
