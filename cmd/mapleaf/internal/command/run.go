// Package command holds the commands of the mapleaf program: one file each.
//
// Invariants:
//
//	K1 A command touches the injected streams only, never os.Stdout and the like.
//	K2 A command that only reads opens its file read-only: it changes no byte
//	   of it, and never creates it.
//	K3 What goes wrong is one line on the error stream that begins with
//	   "mapleaf: ", and the exit code tells its kind. Never a stack trace.
package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes of the program.
const (
	ExitFine    = 0 // all went well
	ExitProblem = 1 // a problem was found, or the command could not do its work
	ExitUsage   = 2 // the command line is wrong; nothing was touched
)

// Streams is what a command sees of the world besides files.
type Streams struct {
	In          io.Reader
	Out         io.Writer // results
	Err         io.Writer // errors and progress
	OutTerminal bool      // Out is a terminal: colours may be used
	ErrTerminal bool      // Err is a terminal: progress is shown
	Now         func() time.Time
}

// Standard returns the streams of this process.
func Standard() Streams {
	return Streams{
		In:          os.Stdin,
		Out:         os.Stdout,
		Err:         os.Stderr,
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Now:         time.Now,
	}
}

// app is one run of the program.
type app struct {
	Streams
	out     *bufio.Writer // over Out; Run flushes it
	timeout time.Duration // for another process's lock
}

func newApp(s Streams) *app {
	return &app{Streams: s, out: bufio.NewWriterSize(s.Out, 1<<16), timeout: waitDefault}
}

// errShown ends a command with ExitProblem when all was said already.
var errShown = errors.New("problems were found")

// usageError is a mistake in the command line that only the command itself
// could see. What cobra finds is one too, without the type.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// failure marks what went wrong while a command did its work.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

// Run executes the command line args, which do not contain the program's
// name, and returns the exit code.
func Run(args []string, s Streams) (code int) {
	a := newApp(s)
	defer func() {
		if p := recover(); p != nil {
			a.out.Flush()
			fmt.Fprintf(s.Err, "mapleaf: internal error: %v\n", p)
			code = ExitProblem
		}
	}()
	root := newRoot(a)
	root.SetArgs(append([]string{}, args...))
	root.SetIn(s.In)
	root.SetOut(a.out)
	root.SetErr(s.Err)
	cmd, err := root.ExecuteC()
	if flushed := a.out.Flush(); err == nil && flushed != nil {
		err = &failure{fmt.Errorf("write the output: %w", flushed)}
	}
	return a.finish(cmd, err)
}

// finish reports err and chooses the exit code.
func (a *app) finish(cmd *cobra.Command, err error) int {
	if err == nil {
		return ExitFine
	}
	if errors.Is(err, errShown) {
		return ExitProblem
	}
	text := strings.TrimPrefix(err.Error(), "mapleaf: ")
	var failed *failure
	if errors.As(err, &failed) {
		// Joined errors have a line each.
		fmt.Fprintf(a.Err, "mapleaf: %s\n", strings.ReplaceAll(text, "\n", "; "))
		return ExitProblem
	}
	// cobra's hints at similar commands have lines of their own.
	fmt.Fprintf(a.Err, "mapleaf: %s\n", strings.Join(strings.Fields(text), " "))
	fmt.Fprintf(a.Err, "Run '%s --help' for usage.\n", cmd.CommandPath())
	return ExitUsage
}

// markFailures wraps the commands below c, so that errors of their work can be
// told from those of the command line.
func markFailures(c *cobra.Command) {
	for _, sub := range c.Commands() {
		markFailures(sub)
	}
	run := c.RunE
	if run == nil {
		return
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		var usage *usageError
		if err == nil || errors.As(err, &usage) {
			return err
		}
		return &failure{err}
	}
}
