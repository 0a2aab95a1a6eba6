//go:build unix && !aix && !solaris && !illumos && !linux

package mmapfile

func adviseHuge([]byte) {}

const mapSparse = 0
