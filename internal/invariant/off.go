//go:build !invariants && !race

package invariant

// Enabled is true in builds with the tag "invariants" or with the race detector.
const Enabled = false
