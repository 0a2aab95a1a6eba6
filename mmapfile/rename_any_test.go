//go:build !windows

package mmapfile_test

// alwaysReplaces: a rename replaces a file that is open.
const alwaysReplaces = true

// systemDeletes: DeleteOnClose is the system's work.
const systemDeletes = false
