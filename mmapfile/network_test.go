package mmapfile_test

import "testing"

// Tests run on a local file system.
func TestNetwork(t *testing.T) {
	f, _ := create(t, 1)
	name, err := f.Network()
	noErr(t, "network", err)
	if name != "" {
		t.Errorf("the temporary folder lies on %s", name)
	}
}
