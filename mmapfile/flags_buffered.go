//go:build unix && !linux && !freebsd && !netbsd && !dragonfly && !aix

package mmapfile

const noBufferingFlag = 0
