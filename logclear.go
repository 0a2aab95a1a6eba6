package mapleaf

import (
	"fmt"
	"slices"
	"sync"
)

// The first write to a block of a new extent changes what the file system knows of the
// file, and an append that is durable when it returns waits for that, too. So the blocks
// of a log extent are filled with zeros ahead of the appends, in portions and beside
// the commits. When the extent is used again, all of that is done.
//
//	Z1 No record is appended to a portion that is being cleared, or behind it: who comes
//	   to it waits.
//	Z2 An extent is given back only while none of it is being cleared.
type logClearing struct {
	sync.Mutex
	extents [2]extent     // what done belongs to
	done    [2]int64      // bytes from their start that have been written
	busy    chan struct{} // closed when the portion under way is done, nil = there is none
	index   int           // which extent that is in
	from    int64         // and where
}

// The bytes of a portion: room for some records of the present size, within bounds. The
// next one begins when a part of that is left. After each one an append waits for the file
// system's journal, so they are not too small.
const (
	clearRecords = 16
	clearMin     = 256 << 10
	clearMax     = 4 << 20
	clearAtPart  = 4
)

// claim makes the log extent x, which has the index i and so many bytes, ready for an
// append that ends at end. It returns a portion that is to be cleared next, or an empty
// one.
func (c *logClearing) claim(i int, x extent, bytes, end, record int64) (from, to int64) {
	c.Lock()
	defer c.Unlock()
	for c.busy != nil && c.index == i && end > c.from { // Z1
		c.wait()
	}
	if c.extents[i] != x {
		c.extents[i], c.done[i] = x, 0
	}
	c.done[i] = max(c.done[i], end)
	portion := min(max(clearRecords*record, clearMin), clearMax)
	if c.busy != nil || c.done[i]-end > portion/clearAtPart {
		return 0, 0
	}
	return c.done[i], min(c.done[i]+portion, bytes)
}

// wait waits for the portion under way. The caller holds the mutex.
func (c *logClearing) wait() {
	busy := c.busy
	c.Unlock()
	<-busy
	c.Lock()
}

// settle waits until nothing is being cleared (Z2). No append is under way.
func (c *logClearing) settle() {
	c.Lock()
	defer c.Unlock()
	for c.busy != nil {
		c.wait()
	}
}

// begin notes that a portion is being cleared.
func (c *logClearing) begin(i int, from int64) {
	c.Lock()
	defer c.Unlock()
	c.busy, c.index, c.from = make(chan struct{}), i, from
}

// end notes that it is done.
func (c *logClearing) end(to int64) {
	c.Lock()
	defer c.Unlock()
	c.done[c.index] = to
	close(c.busy)
	c.busy = nil
}

// clearAhead is called by the committer before an append of so many bytes to log extent
// i. If clear is set, it sees to it that what follows is cleared in time.
func (s *store) clearAhead(i int, x extent, record int64, clear bool) {
	c := &s.log.clearing
	from, to := c.claim(i, x, int64(x.count)<<s.shift, s.log.off+record, record)
	if !clear || from >= to || s.bulk == nil {
		return
	}
	c.begin(i, from)
	go func() {
		defer c.end(to)
		if s.failed() != nil { // K3
			return
		}
		if err := s.clearLog(int64(x.first)<<s.shift+from, to-from); err != nil {
			s.fail(fmt.Errorf("mapleaf: clear log: %w", err)) // the next call gets it
		}
	}()
}

// clearLog writes zeros, and waits until the drive has them: else the next append would.
func (s *store) clearLog(off, n int64) error {
	zeros := slices.Repeat([][]byte{zeroPage[:]}, int(n/pageSizeMax))
	zeros = append(zeros, zeroPage[:n%pageSizeMax])
	if err := s.bulk.WriteVec(zeros, off); err != nil {
		return err
	}
	return s.bulk.WriteBack(off, n)
}
