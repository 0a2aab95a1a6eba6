// Package mapleaf is an embedded, transactional key-value store: one file of
// memory-mapped, copy-on-write B+tree pages, read without locks and without
// copies, and written by one transaction at a time.
//
// # Basics
//
// A [DB] is one file. It holds buckets; a [tx.Bucket] is a sorted collection of
// keys, each with a value or with a bucket of its own below it; a [tx.Cursor], and
// the iterators [tx.Bucket.All], [tx.Bucket.Range], [tx.Bucket.Prefix] and
// [tx.Bucket.Backward], walk over them in byte order. Programs import this package
// only: it names those types [Bucket], [Cursor] and [Tx].
//
// All access goes through a transaction, a [tx.Tx]. [DB.View] runs a function in a
// read-only transaction, [DB.Update] in a read-write one, which is committed when
// the function returns nil and rolled back otherwise. [DB.Batch] is Update under
// the name that many goroutines at once use in programs written for bbolt.
// [DB.Begin] leaves Commit and Rollback to the caller.
//
// A read-only transaction sees the state that was committed last when it began,
// and goes on seeing it whatever is written meanwhile. It takes no lock and waits
// for nobody, and nobody waits for it. Any number may be open, also in the
// goroutine that writes.
//
// # Guarantees
//
// When Update or Commit returns nil, the transaction is in the file, whole, and,
// unless [DB.NoSync] is set, has been synced to the drive: it survives the end of
// the process, a crash of the system and a loss of power. When it returns an error,
// no transaction of this DB sees anything of it; only after [ErrFailed] can it be
// there once the database is opened again. Goroutines that commit at the same time
// share a sync.
//
// Every page carries a checksum, its own number and the transaction that wrote it,
// and is verified when a process touches it first. What does not agree is a
// [*CorruptError], never other data. [tx.Tx.Check] verifies everything. If the system
// cannot serve a read of the mapped file, because somebody cut the file short or
// its drive failed, the transaction returns a [*FaultError] instead of ending the
// process.
//
// # Durability
//
// What Update waits for, and what can be lost after it has returned nil:
//
//	mode          returns when it is  kill -9 loses  a power cut loses      and the file is
//	default       durable, visible    nothing        nothing                whole
//	Options.Lazy  written, visible    nothing        at most SyncInterval,  whole
//	                                                 SyncBytes
//	DB.NoSync     written, visible    nothing        any number             perhaps damaged
//
// With Lazy the file holds, after a power cut, the state after some transaction and
// every one before it. With NoSync it may be damaged; Check and every read notice.
// [DB.Sync] makes everything durable in each mode.
//
// A commit writes the pages that it changed; or, once small commits have shown that
// this pays, its operations into a redo log, and the pages later and together
// ([Options.CheckpointBytes], [Options.LogSize]). The log lies in the file, and Close
// takes it out again. After a crash Open replays it, also for reading only, then in
// memory.
//
// # Assumptions, and how the promises are tested
//
// Of the drive and the file system: what a sync has covered stays; a sector of 512
// bytes that was not being written stays as it was; an error is reported, once at
// least. Nothing is assumed of what was written and not synced: it may be there or
// not, in any order, sector by sector, be zeros or noise, and the size of the file may
// have changed or not. After a sync that failed, what the cache shows is not taken
// for what the drive has (asked on Linux; elsewhere it is written again). A new name
// in a folder stays once the folder was synced. All processes are on one machine, and
// nobody else writes to the file: what is put there while it is open, into pages that
// were verified already, is not noticed.
//
// What is promised is tested as follows; the counts are those of the last large run, in
// which every state, call and file came out right. (The tests of power loss fail if one of
// the syncs that a commit waits for, the sync of a checkpoint, or the check of the manifest
// is left out. Where they speak of processes, these are several handles in one process,
// with the locks and the lock file of several; TestTorture has real ones.)
//
//	promise                   test                                    count
//	power loss: default,      TestPowerLoss: states of a simulated    40,122 states
//	Lazy, several processes   disk, after one loss or two
//	power loss: NoSync        the same: a state, or an error          in these
//	power loss: new files     TestNamesAreDurable,                    each way once
//	                          TestPowerLossOfCompact                  2,000 states
//	kill -9: default, Lazy,   TestKill                                2,000 kills
//	NoSync                    TestTorture, 8 processes               10,911 kills
//	a call that fails         TestEveryCallOfTheSystemFails           6,374 calls
//	                          TestFullDisk, TestFileSizeLimit,        each way once
//	                          TestInterruptedCalls
//	damage is never data      TestDamageCampaign                      10,920 files
//	                          TestDamageCommands, on 360 files        5,040 commands
//	hostile files             TestHostileFiles                        6,000 files
//	                          TestHostileCommands, on 600 files       12,600 commands
//	a cut under an open file  TestFileCutByAnotherProcess             60 files
//	salvage                   TestSalvageEveryPage: all records of    6,938 files
//	                          the pages that are not destroyed
//	any bytes                 FuzzOpen and eight other targets        30 minutes each
//
// # Errors
//
// Methods that change something return an error. [tx.Bucket.Get] and the methods of
// Cursor return only data, as in bbolt: after damage they return nil, and
// [tx.Tx.Err] tells why. View and Update return that error by themselves, and a
// transaction that has met damage cannot be committed. After a write or a sync has
// failed, all further writes return [ErrFailed] until the database is closed and
// opened again; reading goes on at the last state that was committed.
//
// A file that does not open, or in which [tx.Tx.Check] finds damage, is saved by [Salvage],
// which makes a new database of all that still verifies and reports what is missing.
// [ReadMetas], [RevertMeta] and [DropLog] are for those who want to choose the state.
//
// # Caveats
//
// Keys and values that a transaction returns lie in the database itself. They are
// valid until the transaction ends and must not be written to: in the mapped file
// that is a fault, in the pages of a running write transaction it changes what is
// committed. Copy what is needed longer. A read of such a slice outside View and
// Update is not guarded against faults.
//
// Transactions must end. A reader that stays open keeps the pages of its state
// from being used again, and [DB.Close] waits for it. A write transaction that
// stays open keeps all others waiting, and Update inside the function of another
// Update waits for itself.
//
// A write transaction keeps up to [Options.CheckpointBytes] of the pages that it changed
// in memory; beyond that it writes them early, and then again when it changes them
// again. Load large amounts of data in several transactions, or in key order: for that
// [Bucket.Load] is the fastest, which writes most pages once, while it fills the next ones.
//
// # Processes
//
// Any number of processes may have a database open, and read and write it; so may
// several DBs of one process. Write transactions take turns between all of them,
// and a reader sees at once what another process has committed. A process that is
// killed keeps nobody waiting: the next one that writes makes sure of what the file
// holds, and the pages that its readers held come back. [DB.Watch] wakes when there
// is something new, by whoever it was written; [DB.Processes] tells who is there.
//
// Beside the file lies a lock file, PATH-lock, which must not be removed while the
// database is open; otherwise it may be. Whoever may not write to both reads
// without being seen ([Options.ReadOnly]), and keeps everybody from writing
// meanwhile. A program that must be the only one sets [Options.Exclusive]. All
// processes must be on one machine: Open refuses network file systems. On systems
// without locks that belong to an open file, one process at a time has a database
// open.
//
// # Coming from bbolt
//
// The package has the names, signatures and documented behaviour of
// go.etcd.io/bbolt 1.5, but for Tx.DB and the embedded type of its Bucket. Files
// are not compatible. What differs for the better: Put copies its arguments; a
// cursor may be used on after any change, and Delete in a loop skips nothing;
// readers never block the growth of the file; functions given to Batch run exactly
// once; Commit or Rollback inside View, Update and Batch, and methods of a
// transaction that has ended, return errors instead of panicking. Options and
// fields that have no meaning here are accepted, and say so. The errors are also
// in package mapleaf/errors.
package mapleaf
