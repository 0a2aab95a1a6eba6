package tx

import "runtime/debug"

// Touching the mapping can fault: the file may be cut by somebody, or its device
// fail. A goroutine that is armed gets a panic instead of dying, which the
// transaction turns into its error. View and Update arm once; every method of
// a transaction begun by hand arms itself, which costs a few nanoseconds.

// armFaults makes faults on this goroutine panics, and returns what to restore.
func armFaults() bool { return debug.SetPanicOnFault(true) }

func disarmFaults(old bool) { debug.SetPanicOnFault(old) }

// guard ends an armed stretch: it restores the goroutine's setting and turns a
// fault inside the mapping into the transaction's error. Use it deferred.
func (t *Tx) guard(old bool) {
	disarmFaults(old)
	if r := recover(); r != nil {
		t.caught(r)
	}
}

// guardErr is guard for a method that returns an error.
func (t *Tx) guardErr(old bool, errp *error) {
	disarmFaults(old)
	if r := recover(); r != nil {
		t.caught(r)
		*errp = t.Err()
	}
}

// caught notes a fault, and lets every other panic go on.
func (t *Tx) caught(r any) {
	err := t.host.Fault(r)
	if err == nil {
		panic(r)
	}
	t.fail(err)
}
