//go:build !linux && !solaris && !aix

package mmapfile

import "os"

// syncFile is fsync, which os makes F_FULLFSYNC on macOS and FlushFileBuffers
// on Windows.
func syncFile(f *os.File) error { return f.Sync() }
