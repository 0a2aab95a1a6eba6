//go:build unix && !aix && !solaris && !illumos && !linux

package mmapfile

func adviseHuge([]byte) {}
