package mmapfile_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// smallDisk is the size of the file system that the child fills.
const smallDisk = 512 << 10

// inMountNamespace lets the child mount what it likes, also without being root.
func inMountNamespace(cmd *exec.Cmd) {
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = mapID(uid)
		cmd.SysProcAttr.GidMappings = mapID(os.Getegid())
	}
}

func init() {
	// fill DIR: mounts a small disk on the folder and fills it.
	children["fill"] = func(c *childIO, args []string) error {
		err := errors.Join(
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("tmpfs", args[0], "tmpfs", 0, fmt.Sprintf("size=%d", smallDisk)))
		if err != nil {
			return err
		}
		if err := fillSparse(filepath.Join(args[0], "sparse")); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(args[0], "sparse")); err != nil {
			return err
		}
		if err := fillAllocated(filepath.Join(args[0], "allocated")); err != nil {
			return err
		}
		c.say("as promised")
		return nil
	}
}

var newFile = mmapfile.Options{Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew}

// fillSparse writes to a sparse file through a view until the disk is full.
func fillSparse(path string) error {
	f, err := mmapfile.Open(path, newFile)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := f.Map(mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite, Size: 2 * smallDisk, Sparse: true,
	})
	if err != nil {
		return err
	}
	defer m.Close()
	v, err := m.View(mmapfile.Write, 0, 0)
	if err != nil {
		return err
	}
	defer v.Close()
	written := 0
	err = mmapfile.Guard(func() error {
		for i := 0; i < v.Len(); i += 4096 {
			v.Bytes()[i] = 1
			written = i + 4096
		}
		return nil
	})
	var fault *mmapfile.FaultError
	if !errors.As(err, &fault) || fault.Path != path || fault.Offset != int64(written) {
		return fmt.Errorf("after %d bytes: %w", written, err)
	}
	if written == 0 || written > smallDisk {
		return fmt.Errorf("%d bytes fitted", written)
	}
	return nil
}

// fillAllocated asks for more room than there is, and is refused at once.
func fillAllocated(path string) error {
	f, err := mmapfile.Open(path, newFile)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Allocate(smallDisk / 2); err != nil {
		return err
	}
	if err := f.Allocate(2 * smallDisk); !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("allocate: %w", err)
	}
	_, err = f.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite, Size: 2 * smallDisk})
	if !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("map: %w", err)
	}
	if size, err := f.Size(); size != smallDisk/2 {
		return fmt.Errorf("size %d, %w", size, err)
	}
	return f.Allocate(smallDisk * 3 / 4)
}

// On a full disk a sparse file is a fault, and an allocated one an error before.
func TestFaultFullDisk(t *testing.T) {
	c := newChild(t, "fill", t.TempDir())
	inMountNamespace(c.cmd)
	c.start()
	c.expect("as promised")
	c.finish()
}
