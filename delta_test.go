package mapleaf

// netChanges adds up changes over a state whose high-water mark is hwm, once as
// a whole and once with half of them merged in late, which must agree.
func netChanges(changes []change, hwm uint64) ([]chainEntry, uint64, error) {
	n, err := newNetting(changes[:len(changes)/2], hwm)
	if err != nil {
		return nil, 0, err
	}
	entries, top, err := n.net(changes[len(changes)/2:])
	whole, wholeErr := newNetting(changes, hwm)
	if wholeErr != nil {
		return nil, 0, wholeErr
	}
	again, againTop, againErr := whole.net(nil)
	if (err == nil) != (againErr == nil) {
		panic("two ways of netting the same changes disagree on the error")
	}
	if err != nil {
		return nil, 0, err
	}
	if top != againTop || len(entries) != len(again) {
		panic("two ways of netting the same changes disagree")
	}
	for i := range entries {
		if entries[i] != again[i] {
			panic("two ways of netting the same changes disagree")
		}
	}
	return entries, top, nil
}
