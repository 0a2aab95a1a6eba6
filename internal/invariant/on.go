//go:build invariants || race

// Package invariant tells whether the expensive internal checks are compiled in.
//
// They are on under the build tag "invariants" and in race builds, and vanish
// from release builds. A check that can fail on a bad file never stands behind
// Enabled: it returns an error in every build.
package invariant

// Enabled is true in builds with the tag "invariants" or with the race detector.
const Enabled = true
