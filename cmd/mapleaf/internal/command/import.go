package command

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/record"
)

const importText = `Import stores the records of a text in a bucket. FILE, and the buckets on the
path, are created if missing. INPUT is a file, or "-" (or nothing) for standard
input; gzip is recognised and unzipped. Formats, told by the name of INPUT if
--format is not given:

  tsv     columns between tabs, no quoting
  csv     columns between commas (--delimiter), quotes as in RFC 4180
  ndjson  one JSON object a line
  deb822  stanzas of "Field: value", as Debian's package index has them

The first line of a table names its columns, unless there are --columns or
--no-header. Columns are given by name; those of a table by number, too.

The key is the text of the column --key: the first one of a table, or Package of
deb822, by default. Several --key are joined by "@" (--joint). The value is json
(an object of all columns but the key), raw (the record as it stands in the
input), or one column ("column:raw" if it is named like that).

If a key is there already, from this input or from before, then the new record
replaces it (--duplicates last), or is left out (first), or ends the import
(error), or is stored under "key@version", where the version is its column
--append (append).

Records are stored in transactions of --batch records, each durable before the
next. What was stored before an error stays; the message says how much. With
--skip-bad the exit code tells whether there were bad records.`

// importing is what one import command was asked for.
type importing struct {
	file, input string
	bucket      bucketPath
	format      choice
	keys        []string
	joint       string
	value       string
	duplicates  choice
	appending   string
	batch       int
	skipBad     bool
	delimiter   string
	options     record.Options
}

// What to do with a key that is there already.
const (
	duplicatesLast   = "last"
	duplicatesFirst  = "first"
	duplicatesError  = "error"
	duplicatesAppend = "append"
)

const formatAuto = "auto"

func newImport(a *app) *cobra.Command {
	i := &importing{
		format: newChoice(append([]string{formatAuto}, record.Formats()...)...),
		duplicates: newChoice(
			duplicatesLast, duplicatesFirst, duplicatesError, duplicatesAppend),
	}
	cmd := &cobra.Command{
		Use:   "import FILE [INPUT] --bucket PATH",
		Short: "Store the records of a table, JSON lines or a package index",
		Long:  importText,
		Example: "  mapleaf import cities.db cities.csv.gz --bucket cities --key id\n" +
			"  apt-cache dumpavail |\n" +
			"    mapleaf import packages.db --bucket debian/packages --format deb822",
		Args: between(1, "FILE", "INPUT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			i.file, i.input = args[0], "-"
			if len(args) == 2 {
				i.input = args[1]
			}
			if err := i.complete(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return a.importInto(ctx, i)
		},
	}
	i.addFlags(cmd)
	return cmd
}

func (i *importing) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	addBucketFlag(cmd, &i.bucket)
	addChoiceFlag(cmd, &i.format, "format", "f", "format of INPUT")
	flags.StringArrayVarP(&i.keys, "key", "k", nil, "`COLUMN` that is the key; may be repeated")
	flags.StringVar(&i.joint, "joint", "@", "`TEXT` between the parts of a key")
	flags.StringVarP(&i.value, "value", "v", valueJSON, "json, raw or a `COLUMN`")
	addChoiceFlag(cmd, &i.duplicates, "duplicates", "", "what to do if a key is there already")
	flags.StringVar(&i.appending, "append", "Version", "`COLUMN` for --duplicates append")
	flags.IntVar(&i.batch, "batch", 10_000, "records in a transaction")
	flags.BoolVar(&i.skipBad, "skip-bad", false, "report bad records and go on without them")
	flags.StringVar(&i.delimiter, "delimiter", ",", "`CHARACTER` between the columns of csv")
	flags.StringSliceVar(&i.options.Columns, "columns", nil,
		"`NAMES` of a table's columns, with commas between, if its first line has none")
	flags.BoolVar(&i.options.NoHeader, "no-header", false,
		"the first line of a table is a record; its columns are 1, 2, ...")
}

// complete checks the flags and fills in what was left out.
func (i *importing) complete() error {
	if len(i.bucket) == 0 {
		return usagef("say which bucket: --bucket PATH is missing")
	}
	if i.batch < 1 {
		return usagef("--batch %d: there is at least one record in a transaction", i.batch)
	}
	if i.format.value == formatAuto {
		i.format.value = string(record.Guess(filepath.Base(i.input)))
		if i.format.value == "" {
			return usagef("the name %q does not tell the format: say --format %s",
				i.input, strings.Join(record.Formats(), "|"))
		}
	}
	if len(i.keys) == 0 {
		switch record.Format(i.format.value) {
		case record.NDJSON:
			return usagef("say which member of the objects is the key: --key NAME is missing")
		case record.Deb822:
			i.keys = []string{"Package"}
		default:
			i.keys = []string{"1"}
		}
	}
	return i.completeDelimiter()
}

func (i *importing) completeDelimiter() error {
	if i.delimiter == `\t` {
		i.delimiter = "\t"
	}
	r, size := utf8.DecodeRuneInString(i.delimiter)
	if size == 0 || size < len(i.delimiter) || r == utf8.RuneError ||
		strings.ContainsRune("\r\n\"", r) {
		return usagef("--delimiter %q is not one character that could be it", i.delimiter)
	}
	i.options.Delimiter = r
	return nil
}

// maker returns what makes entries as the flags say.
func (i *importing) maker() *maker {
	m := &maker{keys: i.keys, joint: i.joint, value: i.value}
	if i.duplicates.value == duplicatesAppend {
		m.append = i.appending
	}
	return m
}
