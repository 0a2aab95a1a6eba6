//go:build linux || freebsd || netbsd || dragonfly || aix

package mmapfile

import "golang.org/x/sys/unix"

const noBufferingFlag = unix.O_DIRECT
