// Command bench is the yardstick of Mapleaf: the same work, done by Mapleaf and
// by its rivals, each measurement in a process of its own, with every value
// that is read checked.
//
//	bench [run] [flags]         measure; print tables, write JSON and charts
//	bench smoke [flags]         the same at a size for continuous integration
//	bench sizes [flags]         get, put and commit at 10,000 to 10,000,000 records
//	bench compare OLD NEW       tell what became slower between two results
//	bench report RESULT         print the tables of a result again
//	bench chart RESULT DIR      draw the charts of a result again
//	bench list                  name the workloads and the peers
//
// `bench run -h` tells the flags: -n for the number of records, 1,000,000 unless it says
// otherwise, -keys and -value for how they look, -contents for the paths of a Debian
// system as keys. run and sizes leave their results in the folder bench-results as JSON,
// and a chart of each group of workloads as SVG; smoke keeps nothing.
//
// What the figures mean:
//
//   - Written bytes and write calls are what the process gave to the system, from
//     /proc/self/io; peers that write through mappings have none. System calls, and those
//     that wait for the device, are counted by strace in a run of their own
//     (put-1-calls), without what schedulers do. Where a system has no such thing, the
//     report leaves the row out.
//   - Heap objects are those of Go: what LMDB allocates in C is not among them.
//   - Anonymous memory is what the process took beyond what it had before the database was
//     opened; the peak of all memory has the files in it that are mapped.
//   - A file size is the sum of the lengths of all files after closing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK      = 0
	exitProblem = 1 // a measurement failed, or something became slower
	exitUsage   = 2
)

// errUsage marks a mistake on the command line.
var errUsage = errors.New("wrong usage")

// errProblem says that problems were found and already reported.
var errProblem = errors.New("problems found")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(dispatch(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// dispatch runs one command and returns the exit code.
func dispatch(ctx context.Context, args []string, in io.Reader, out, diag io.Writer) int {
	command := "run"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "run":
		err = runCommand(ctx, "run", args, out, diag)
	case "smoke":
		err = runCommand(ctx, "smoke", args, out, diag)
	case "sizes":
		err = sizesCommand(ctx, args, out, diag)
	case "compare":
		err = compareCommand(args, out, diag)
	case "report":
		err = reportCommand(args, out)
	case "chart":
		err = chartCommand(args, out)
	case "list":
		err = listCommand(out)
	case childCommand:
		err = childMain(in, out)
	default:
		err = fmt.Errorf("%w: no command %q; see `go doc` of this package", errUsage, command)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errProblem):
		return exitProblem
	case errors.Is(err, errUsage):
		fmt.Fprintln(diag, "bench:", err)
		return exitUsage
	}
	fmt.Fprintln(diag, "bench:", err)
	return exitProblem
}

// listCommand names the workloads and the peers that this binary holds.
func listCommand(out io.Writer) error {
	fmt.Fprintln(out, "Workloads:")
	for _, w := range workloads {
		fmt.Fprintf(out, "  %-16s %s\n", w.name, w.about)
	}
	fmt.Fprintln(out, "\nPeers:")
	for _, p := range allPeers() {
		fmt.Fprintf(out, "  %-16s %s\n", p.name, p.about)
	}
	return nil
}
