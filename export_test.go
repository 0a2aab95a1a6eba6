package mapleaf

// WithLog makes the redo log begin with the first commit, in small extents that a
// checkpoint soon follows, for the tests outside of the package.
func WithLog(o *Options) {
	o.logAtOnce = true
	o.LogSize = 256 << 10
	o.CheckpointBytes = 1 << 20
}

// WithShrink makes Close shrink the file whatever that brings.
func WithShrink(o *Options) { o.shrinkAtOnce = true }
