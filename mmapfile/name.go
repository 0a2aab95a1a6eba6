//go:build unix || windows

package mmapfile

import "strings"

// nameMax is the greatest length of a name in bytes, without its prefix.
const nameMax = 200

// splitName checks a name and takes its prefix off.
func splitName(name string) (global bool, rest string, err error) {
	rest, global = strings.CutPrefix(name, `Global\`)
	if !global {
		rest, _ = strings.CutPrefix(name, `Local\`)
	}
	if rest == "" || len(rest) > nameMax || strings.ContainsAny(rest, "\\\x00") {
		return false, "", ErrInvalid
	}
	return global, rest, nil
}

// protectionFor returns the least protection that grants a.
func protectionFor(a Access) Protection {
	p := ProtRead
	if a&Write != 0 {
		p = ProtReadWrite
	}
	if a&Execute != 0 {
		p += ProtExecuteRead - ProtRead
	}
	return p
}
