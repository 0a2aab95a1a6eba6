//go:build !windows

package mmapfile_test

// alwaysReplaces: a rename replaces a file that is open.
const alwaysReplaces = true
