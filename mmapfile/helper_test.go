package mmapfile_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// childEnv names the function that this test binary runs instead of its tests
// when it is started as a second process.
const childEnv = "MMAPFILE_TEST_CHILD"

// children are those functions. They say "ready" and then do as standard input
// bids, until it ends.
var children = map[string]func(c *childIO, args []string) error{}

// A childIO is the two ends that a child holds.
type childIO struct {
	in  *bufio.Reader
	out io.Writer
}

// say sends a line to the parent.
func (c *childIO) say(line string) { fmt.Fprintln(c.out, line) }

// hear waits for a line of the parent.
func (c *childIO) hear() (string, error) {
	line, err := c.in.ReadString('\n')
	return strings.TrimSpace(line), err
}

func TestMain(m *testing.M) {
	name := os.Getenv(childEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	c := &childIO{in: bufio.NewReader(os.Stdin), out: os.Stdout}
	if err := children[name](c, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "child", name, "failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A child is a second process.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
}

// startChild runs children[name] in a process of its own.
func startChild(t *testing.T, name string, args ...string) *child {
	t.Helper()
	c := newChild(t, name, args...)
	c.start()
	return c
}

// childCommand returns the command that runs children[name]. Where the tests run
// in an emulator, MAPLEAF_TEST_EXEC names it.
func childCommand(name string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line := append(strings.Fields(os.Getenv("MAPLEAF_TEST_EXEC")), exe)
	line = append(line, args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd, nil
}

// newChild prepares a child that start then runs.
func newChild(t *testing.T, name string, args ...string) *child {
	t.Helper()
	cmd, err := childCommand(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd}
	c.cmd.Stderr = &c.errs
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	return c
}

func (c *child) start() {
	c.t.Helper()
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { c.kill() })
}

// hear waits for a line of the child.
func (c *child) hear() string {
	c.t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.cmd.Wait()
		c.t.Fatalf("child ended: %v: %s", err, c.errs.String())
	}
	return strings.TrimSpace(line)
}

// expect waits for a line of the child and compares it.
func (c *child) expect(want string) {
	c.t.Helper()
	if got := c.hear(); got != want {
		c.t.Fatalf("child said %q, want %q", got, want)
	}
}

// say sends a line to the child.
func (c *child) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		c.t.Fatalf("child does not listen: %v", err)
	}
}

// finish lets the child end by itself.
func (c *child) finish() {
	c.t.Helper()
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("child: %v: %s", err, c.errs.String())
	}
}

// kill ends the child without a chance to clean up.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// create opens a new file for reading and writing, to be closed at the end.
func create(t *testing.T, size int) (*mmapfile.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	f := openT(t, path, mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew,
	})
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	return f, path
}

func openT(t *testing.T, path string, o mmapfile.Options) *mmapfile.File {
	t.Helper()
	f, err := mmapfile.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, f)
	return f
}

func mapT(t *testing.T, f *mmapfile.File, o mmapfile.MapOptions) *mmapfile.Mapping {
	t.Helper()
	m, err := f.Map(o)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, m)
	return m
}

func viewT(t *testing.T, m *mmapfile.Mapping, a mmapfile.Access, off int64, n int) *mmapfile.View {
	t.Helper()
	v, err := m.View(a, off, n)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, v)
	return v
}

// closeLater closes c at the end of the test unless the test did.
func closeLater(t *testing.T, c io.Closer) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, mmapfile.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
}

// wantErr fails unless err is each of the targets.
func wantErr(t *testing.T, what string, err error, targets ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: got %v, want %v", what, err, target)
		}
	}
	if !strings.HasPrefix(err.Error(), "mmapfile: ") {
		t.Errorf("%s: text %q has no prefix", what, err)
	}
}

func noErr(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// newRand returns a random source whose seed is printed if the test fails.
func newRand(t *testing.T, seed uint64) *rand.Rand {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// eventually waits until ok holds, for ten seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}
