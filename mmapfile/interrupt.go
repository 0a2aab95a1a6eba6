package mmapfile

import (
	"errors"
	"syscall"

	"github.com/mapleafdb/mapleaf/internal/inject"
)

// uninterrupted makes a call of the system, and makes it again from its start when a
// signal has interrupted it: nobody is told of that. So what was done in part, a write to
// its place say, must bear to be done again. This is where tests let calls fail.
func uninterrupted(op, path string, call func() error) error {
	for {
		err := inject.Fail(op, path)
		if err == nil {
			err = call()
		}
		if err == nil || !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
