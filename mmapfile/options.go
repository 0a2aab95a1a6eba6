package mmapfile

import "io/fs"

// Access says what a handle or a view may do. Bits are combined with |.
type Access uint8

const (
	// Read allows reading. It is what a zero Access means.
	Read Access = 1 << iota
	// Write allows writing. A view that may write may also read.
	Write
	// Execute allows mapping the file as code. It implies Read.
	Execute
	// Copy is for views alone: writes go to private copies of the touched
	// pages, are seen through this view only, and never reach the file.
	Copy

	// ReadWrite allows both.
	ReadWrite = Read | Write
	// AllAccess is what FILE_MAP_ALL_ACCESS means for a view: reading and writing.
	AllAccess = Read | Write
)

// Share says what other handles may do while this one is open, and thereby
// which handles may be open already. Bits are combined with |.
//
// On Windows the system enforces it against everybody. On Linux, Solaris and
// illumos handles of this package enforce it among each other, in all
// processes, by kernel locks that vanish with their holder; other programs are
// not bound by it. On macOS and the BSDs it holds between the handles of one
// process, and two handles of different processes exclude each other if
// neither shares everything. Elsewhere it holds within one process.
type Share uint8

const (
	// ShareRead lets others open the file for reading.
	ShareRead Share = 1 << iota
	// ShareWrite lets others open the file for writing.
	ShareWrite
	// ShareDelete lets others open the file with DeleteOnClose; on Windows also
	// rename and remove it.
	ShareDelete
	// ShareNone lets nobody else open the file. The other bits are ignored.
	ShareNone

	// ShareAll lets others do everything. It is what a zero Share means.
	ShareAll = ShareRead | ShareWrite | ShareDelete
)

// granted returns the plain bits of s: what others may do.
func (s Share) granted() Share {
	switch {
	case s&ShareNone != 0:
		return 0
	case s == 0:
		return ShareAll
	}
	return s & ShareAll
}

// Disposition says what Open does with a file that exists, and with one that
// does not.
type Disposition uint8

const (
	// OpenExisting opens a file, and fails with fs.ErrNotExist if there is none.
	OpenExisting Disposition = iota
	// OpenAlways opens a file, or creates it empty if there is none.
	OpenAlways
	// CreateNew creates a file, and fails with fs.ErrExist if there is one.
	CreateNew
	// CreateAlways creates a file, or empties the one that is there. It needs Write.
	CreateAlways
	// TruncateExisting empties a file, and fails with fs.ErrNotExist if there
	// is none. It needs Write.
	TruncateExisting
)

// Flags are the attributes and hints of an open file. Bits are combined with |.
type Flags uint16

const (
	// DeleteOnClose removes the file when this handle is closed. On Windows the
	// system does it, also for a killed process, and no new handle can be opened
	// that does not share deletion; on Unix Close unlinks the path if it still
	// names this file, and a killed process leaves the file behind.
	DeleteOnClose Flags = 1 << iota
	// Temporary asks the system to keep the file in memory if it can. A hint on
	// Windows, nothing elsewhere.
	Temporary
	// WriteThrough makes each write through the handle durable before it
	// returns. On macOS the drive may still hold it in its cache: use Sync.
	WriteThrough
	// NoBuffering bypasses the system's cache; buffers, offsets and sizes must
	// then be multiples of the sector size. A hint where the system lacks it.
	NoBuffering
	// RandomAccess tells that reading ahead is useless. A hint.
	RandomAccess
	// SequentialScan tells that the file will be read from front to back. A hint.
	SequentialScan
	// ReadOnlyFile creates the file with its write permission (on Windows: with
	// the readonly attribute) turned off; this handle may still write.
	ReadOnlyFile
	// Hidden creates the file with the hidden attribute on Windows, nothing elsewhere.
	Hidden
	// Inherit lets child processes inherit the handle. Without it they do not.
	Inherit
)

// Options are the arguments of Open. The zero value opens an existing file for
// reading and shares it with everybody.
//
// CreateFile's template file is not offered: it would copy extended attributes,
// which no system but Windows has in that form, and it has no use for a file
// that is going to be mapped.
type Options struct {
	Access      Access      // zero means Read
	Share       Share       // zero means ShareAll
	Disposition Disposition // zero means OpenExisting
	Flags       Flags

	// Mode holds the permission bits of a new file on Unix, before umask. Zero
	// means 0o666. On Windows a mode without any write bit creates the file
	// with the readonly attribute.
	Mode fs.FileMode

	// Security is a security descriptor in SDDL for a new file on Windows.
	// Elsewhere anything but the empty string is ErrUnsupported: use Mode.
	Security string
}

// normalize fills in what zero values stand for and refuses contradictions.
func (o *Options) normalize() error {
	if o.Access&^(Read|Write|Execute) != 0 || o.Share&^(ShareAll|ShareNone) != 0 ||
		o.Disposition > TruncateExisting || o.Flags >= Inherit<<1 {
		return ErrInvalid
	}
	if o.Access == 0 || o.Access&Execute != 0 {
		o.Access |= Read
	}
	truncates := o.Disposition == CreateAlways || o.Disposition == TruncateExisting
	if truncates && o.Access&Write == 0 {
		return ErrInvalid
	}
	if o.Flags&RandomAccess != 0 && o.Flags&SequentialScan != 0 {
		return ErrInvalid
	}
	if o.Mode == 0 {
		o.Mode = 0o666
	}
	if o.Flags&ReadOnlyFile != 0 {
		o.Mode &^= 0o222
	}
	return nil
}
