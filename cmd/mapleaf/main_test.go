package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asProgram makes the test binary be the program, in a child process.
const asProgram = "MAPLEAF_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program returns the program with its arguments, as a child process.
func program(args ...string) *exec.Cmd {
	args = append([]string{os.Args[0]}, args...)
	// A foreign architecture's binary starts through its emulator only.
	if emulator := os.Getenv("MAPLEAF_TEST_EXEC"); emulator != "" {
		args = append([]string{emulator}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// The process has the exit codes and the streams that its commands say.
func TestProgram(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.db")
	for _, c := range []struct {
		args     []string
		stdin    string
		code     int
		out, err string
	}{
		{[]string{"import", file, "--format", "tsv", "--no-header", "--bucket", "a/b"},
			"k\tv\n", 0, "imported 1 record into a/b in ", ""},
		{[]string{"put", file, "l", "--bucket", "a/b"}, "of a pipe", 0, "", ""},
		{[]string{"get", file, "l", "--bucket", "a/b"}, "", 0, "of a pipe\n", ""},
		{[]string{"check", file}, "", 0, file + ": no problems in ", ""},
		{[]string{"get", file, "m", "--bucket", "a/b"}, "", 1, "", "mapleaf: there is no key m\n"},
		{[]string{"get", file}, "", 2, "", "mapleaf: KEY is missing\n"},
		{[]string{"nosuch"}, "", 2, "", `mapleaf: unknown command "nosuch" for "mapleaf"`},
		{[]string{"help"}, "", 0, "Mapleaf keeps keys and values in one file.", ""},
	} {
		var out, errs bytes.Buffer
		cmd := program(c.args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &out, &errs
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != c.code ||
			!strings.HasPrefix(out.String(), c.out) || !strings.HasPrefix(errs.String(), c.err) ||
			(c.out == "") != (out.Len() == 0) || (c.err == "") != (errs.Len() == 0) {
			t.Errorf("%q: exit code %d, out %.200q, err %.200q", c.args, code, &out, &errs)
		}
	}
}
