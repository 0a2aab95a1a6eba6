// Package mmapfile offers memory-mapped files as Windows has them, whole, on
// Windows and on Unix: opening with share modes, mappings with protections and
// names, views anywhere in a file, memory without a file, locks between
// processes, and faults that are errors.
//
// The objects are those of Windows. [Open] gives a [File], [File.Map] makes a
// [Mapping] of it, and [Mapping.View] puts a part of that into memory as a
// [View], whose bytes are a slice. They may be closed in any order, twice, and
// while others use them: who is inside a method finishes (or, in [View.ReadAt],
// is told), who comes later gets [ErrClosed]. Only slices of [View.Bytes] are up
// to the caller: they are valid until View.Close.
//
//	file, err := mmapfile.Open("data", mmapfile.Options{Access: mmapfile.ReadWrite})
//	mapping, err := file.Map(mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
//	view, err := mapping.View(mmapfile.ReadWrite, 0, 0)
//	view.Bytes()[0] = 1
//
// # What stands for what
//
//	Windows                        this package               Unix
//	CreateFile                     Open                       open
//	  desired access               Options.Access             O_RDONLY, O_WRONLY, O_RDWR
//	  share mode                   Options.Share              locks of the open file
//	  security attributes          Options.Security, Inherit  Options.Mode, FD_CLOEXEC
//	  creation disposition         Options.Disposition        O_CREAT, O_EXCL, ftruncate
//	  flags and attributes         Options.Flags              O_DSYNC, O_DIRECT, fadvise
//	CreateFileMapping              File.Map                   fallocate or ftruncate
//	  INVALID_HANDLE_VALUE         Anonymous, MapMemory       memfd, a file without name
//	  PAGE_READONLY ...            MapOptions.Protection      checked here
//	  maximum size                 MapOptions.Size            the file grows first
//	  SEC_RESERVE                  MapOptions.Reserve         a view beyond the end
//	  SEC_LARGE_PAGES              MapOptions.LargePages      MFD_HUGETLB
//	  name                         MapOptions.Name            a file in /dev/shm
//	OpenFileMapping                OpenNamed                  the same
//	MapViewOfFile                  Mapping.View               mmap
//	  FILE_MAP_READ, _WRITE ...    Access                     PROT_READ, PROT_WRITE ...
//	  FILE_MAP_COPY                Copy                       MAP_PRIVATE
//	UnmapViewOfFile, CloseHandle   Close                      munmap, close
//	FlushViewOfFile                View.Flush                 msync
//	FlushFileBuffers               File.Sync                  fdatasync, F_FULLFSYNC
//	VirtualProtect                 View.Protect               mprotect
//	VirtualLock, VirtualUnlock     View.Lock, View.Unlock     mlock, munlock
//	VirtualAlloc of reserved       View.Commit                nothing
//	PrefetchVirtualMemory          View.Prefetch, Advise      madvise
//	LockFileEx, UnlockFileEx       File.Lock, TryLock, Unlock OFD locks; flock
//	CreateMutex, CreateSemaphore   Mutex, RWMutex, Semaphore  the same, on a file
//	SetEvent, WaitForSingleObject  Event                      futex; polling
//	MoveFileEx                     Rename, RenameNew          rename, renameat2
//	SetEndOfFile, allocation       File.Truncate, Allocate    ftruncate, fallocate
//	BY_HANDLE_FILE_INFORMATION     Identity, PathIdentity     device and inode
//	EXCEPTION_IN_PAGE_ERROR        Guard, FaultError          SIGBUS, SIGSEGV
//
// Not offered: the template file of CreateFile, SEC_IMAGE, SEC_NOCACHE, and a
// view at an address of the caller's choice, which no program can rely on.
//
// # Differences that a user can notice
//
// Opening. On Windows the system enforces share modes against everybody; on Unix
// handles of this package keep them among each other (see [Share] for how far).
// A handle made by [FromOS] takes no part in them on Unix. A file that is open on
// Unix can be removed and renamed whatever its share mode. A killed process
// leaves a DeleteOnClose file behind on Unix. Security descriptors exist on
// Windows only, permission modes (beyond readonly) on Unix only.
//
// Mapping. A view on Unix can reach beyond the end of the file (Reserve), and
// sees the file grow; on Windows it cannot, and Mapping.Size tells so. A mapping
// of an empty file is valid here and has no bytes; Windows itself refuses it. A
// file under a mapping cannot be cut on Windows, by anybody; on Unix
// [File.Truncate] refuses for the mappings of this process ([ErrMapped]), and
// other programs can cut it: what is lost then is a fault. [View.Grow] works in
// place on Unix if there is room, and never on Windows. Room for a growing file
// is set aside by fallocate on Linux and F_PREALLOCATE on macOS; where neither
// works zeros are written, and on a file system that copies on write (btrfs, ZFS)
// no call can promise that a later write finds room.
//
// Names. See [OpenNamed]: on Unix the processes of one user see them, and a crash
// leaves small files until the next use.
//
// Coherence. Views, ReadAt and WriteAt of one file agree at once, in all
// processes, on all systems but OpenBSD, where views and calls agree after
// View.Flush only. Over network file systems nothing is promised.
//
// Durability. View.Flush hands changes to the system, File.Sync waits until the
// drive has them. On Windows Sync does not include what was changed through a
// view until that was flushed; on Unix it does.
//
// Locks. [File.TryLock] belongs to the File, never to a thread: by OFD locks on
// Linux, Solaris and illumos, LockFileEx on Windows, flock (on the whole file) on
// macOS and the BSDs. On Windows a lock also stops others from reading and
// writing the range by calls; elsewhere it is advice. The call [File.Lock] polls,
// since no system can end a waiting call when a context is done; [Mutex],
// [RWMutex] and [Semaphore] are woken on Linux, and poll elsewhere. A process
// that dies releases its locks everywhere. [ErrAbandoned] comes from a word that
// the holder writes, since the kernel says nothing of it.
//
// Faults. [Guard] works on the goroutine that calls it. A view of a network file,
// a removed drive, a full disk under a sparse file: all are the same fault.
//
// Sizes. Offsets and sizes have 64 bits everywhere. On a 32-bit system one view
// has less than 2 GiB, and larger files are viewed in windows.
//
// # Systems
//
// Linux, macOS, FreeBSD and Windows are what this package is made for. OpenBSD,
// NetBSD, DragonFly, Solaris and illumos have everything named above for Unix.
// AIX has no lock that belongs to an open file: locks, names and what is made of
// them are [ErrUnsupported]. Plan 9, js and wasip1 have files without mappings.
//
// Tests run on Linux (amd64 and 386; arm64 and s390x in an emulator, without
// faults) and as Windows binaries under Wine. Builds for macOS, the BSDs,
// Solaris, illumos and AIX are checked by the compiler alone: what is said of
// them here is not verified. Nor is, as Wine does not show it: large pages on
// Windows, a fault of a lost page (EXCEPTION_IN_PAGE_ERROR), the effect of
// WriteThrough, NoBuffering, Temporary and the access hints, the `Global\` names
// of other sessions, the refusal of a name for more than its mapping grants, a
// full disk, files on other than local drives, and a Rename over a file that is
// open.
package mmapfile
