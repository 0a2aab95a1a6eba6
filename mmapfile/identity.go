//go:build !windows

package mmapfile

import "os"

func pathIdentity(path string) (Identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Identity{}, err
	}
	return identityOf(info)
}
