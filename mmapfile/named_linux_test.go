package mmapfile_test

import (
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// A name is not found for more than its mapping grants. (Windows refuses it as
// well, Wine does not.)
func TestNamedFileGrantsNoMore(t *testing.T) {
	f, _ := create(t, 3000)
	o := mmapfile.MapOptions{Name: freshName()}
	mapT(t, f, o)
	o.Protection = mmapfile.ProtReadWrite
	_, err := f.Map(o)
	wantErr(t, "map for writing", err, mmapfile.ErrAccess)
	_, err = mmapfile.OpenNamed(o.Name, mmapfile.ReadWrite)
	wantErr(t, "open for writing", err, mmapfile.ErrAccess)
	m, err := mmapfile.OpenNamed(o.Name, mmapfile.Read)
	noErr(t, "open for reading", err)
	noErr(t, "close", m.Close())
}
