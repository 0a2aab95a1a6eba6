// Package tx holds transactions, buckets and cursors over a copy-on-write B+tree.
//
// Users import the root package, which names all of this by alias; what they
// need is documented at Tx, Bucket and Cursor. Package tx knows nothing of
// files: it reads pages through a Snapshot and writes them through a Pager
// (pager.go), both of which the page manager provides.
//
// # Terms
//
//	page       bytes on disk at id * page size
//	extent     a run of pages {first, count}
//	node       a branch or leaf page
//	cell       one record in a node
//	slot       its index
//	meta       one of the two root records of a file
//	txid       the number of a write transaction, and of the state it made
//	snapshot   a mapping, its roots and a txid
//	dirty      said of a page of a running write transaction, in memory
//	overlay    the set of dirty pages of one transaction over its parent
//	resident   said of a page in memory that counts instead of the one on disk
//	pending    freed, but still visible to some reader
//	published  visible to new readers
//	durable    survives a loss of power
//	stamp      the low half of the txid in which a page was born
//
// # Invariants
//
//	I1 A page reachable from a published root is never written.
//	I2 Every reachable node holds at least one record or child; an empty tree
//	   has no page.
//	I3 Keys in a node strictly ascend; every key under child i is >= separator
//	   i-1 and < separator i.
//	I4 All leaves of a tree are at one depth.
//	I5 A node is changed only by the transaction that it was born in; each page
//	   that it replaces is freed exactly once.
//	I6 Bytes handed to the user stay unchanged until the transaction ends.
//	I7 Commit and Rollback end a transaction exactly once; afterwards every
//	   method returns ErrTxClosed or nothing.
//	I8 After its end no object of a transaction leads into the mapping.
//
// # Reading the source
//
// pager.go is the seam. node.go has the page layout; leaf.go and branch.go edit
// it in place, build.go builds it anew. tree.go finds records and copies paths;
// insert.go, delete.go, range.go and clear.go change the tree. ahead.go asks for memory that a
// search or a scan is about to touch. bucket.go, nested.go, cursor.go and iter.go
// are the API; overlay.go is the table of dirty pages.
package tx
