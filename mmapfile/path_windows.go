package mmapfile

import (
	"path/filepath"
	"strings"
)

// pathLimit is where the system begins to refuse a path without prefix; the
// room for a file name in a directory is taken off.
const pathLimit = 248

// longPath gives a path that is too long for the system the prefix that makes
// it valid. Paths that have a prefix, or cannot be made absolute, stay as they are.
func longPath(path string) string {
	if len(path) < pathLimit/2 || strings.HasPrefix(path, `\\?\`) {
		return path
	}
	full, err := filepath.Abs(path)
	switch {
	case err != nil || len(full) < pathLimit:
		return path
	case strings.HasPrefix(full, `\\.\`) || strings.HasPrefix(full, `\\?\`):
		return path
	case strings.HasPrefix(full, `\\`):
		return `\\?\UNC\` + full[2:]
	}
	return `\\?\` + full
}
