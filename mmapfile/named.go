package mmapfile

// Anonymous returns size bytes of memory that belong to no file and begin as
// zeros: a section of the page file on Windows, memfd on Linux, a file without
// a name elsewhere. Its views see each other's writes. Children share it by a
// name (MapMemory), not by inheritance.
func Anonymous(size int64) (*Mapping, error) {
	return MapMemory(MapOptions{Protection: ProtReadWrite, Size: size})
}

// MapMemory is Anonymous with options, and Size is one of them. With a name,
// the memory is shared with all processes that use the name, as long as one of
// them holds it: see OpenNamed.
//
// Windows promises the memory at once, or fails; Linux gives it when it is
// touched, and ends processes when it has no more. Elsewhere, and with a name on
// Unix, room for it is set aside where it lies, unless o.Sparse.
func MapMemory(o MapOptions) (*Mapping, error) {
	switch {
	case int(o.Protection) >= len(protections):
		return nil, wrap("map", o.Name, ErrInvalid)
	case o.Size <= 0:
		return nil, wrap("map", o.Name, ErrRange)
	case o.LargePages && o.Name != "":
		return nil, wrap("map", o.Name, ErrUnsupported)
	}
	var m *Mapping
	var err error
	if o.Name != "" {
		m, err = namedMemory(&o)
	} else {
		m, err = newMemory(&o)
	}
	return m, wrap("map", o.Name, err)
}

// OpenNamed returns the mapping of that name which some process, perhaps this
// one, made with File.Map or MapMemory and still holds; fs.ErrNotExist if there
// is none. The access says what views will be made; ErrAccess if the mapping
// does not grant it.
//
// A name may begin with `Global\` or `Local\`. On Windows the first is seen in
// all sessions, the second (and a name without prefix) in one. On Unix names
// with Global and without are different names, too; either is seen by the
// processes of one user alone, as other users' access would need a security
// descriptor on Windows. A file can be found by its name on Unix as long as it
// keeps its path.
//
// The name vanishes when the last Mapping that has it is closed; views do not
// keep it. On Windows the system sees to that. On Unix a name is a small file in
// /dev/shm, or in the folder for temporary files, whose lock its users share.
// What a crash of all users leaves there, contents included, is taken away when
// any name is made next; the empty file that serves as gate stays. Links, files of
// others and files that others may open are ErrAccess there; what this package
// cannot have written is ErrInvalid; and ErrRange means that the file of the
// mapping has become shorter. Where no lock belongs to an open file (AIX, Plan 9,
// js, wasip1) names are ErrUnsupported.
func OpenNamed(name string, a Access) (*Mapping, error) {
	if a&^(Read|Write|Execute|Copy) != 0 {
		return nil, wrap("open", name, ErrInvalid)
	}
	m, err := openNamed(name, a|Read)
	return m, wrap("open", name, err)
}
