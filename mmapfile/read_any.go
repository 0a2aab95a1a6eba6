//go:build !unix || race || !(386 || amd64 || s390x)

package mmapfile

// loadsInOrder: another processor may see loads in another order. On Windows a
// load that comes too late may take the guard page from the stack of a thread.
const loadsInOrder = false
