//go:build unix && !linux && !darwin

package mmapfile

func renameNew(from, to string) error { return linkNew(from, to) }
