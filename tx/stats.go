package tx

import (
	"sync/atomic"
	"time"
)

// TxStats counts what write transactions did. Of a transaction it is returned by
// Tx.Stats, of all since Open it is part of DB.Stats. The fields are bbolt's; read
// and change them with the methods, which are atomic.
type TxStats struct {
	PageCount int64 // pages allocated
	PageAlloc int64 // bytes of them

	CursorCount int64 // cursors created in write transactions

	NodeCount int64 // node pages allocated
	NodeDeref int64 // always 0: nodes are never taken out of the mapping

	Rebalance     int64         // nodes merged with a neighbour
	RebalanceTime time.Duration // always 0: merging is part of each Delete

	Split     int64         // nodes split
	Spill     int64         // pages written before their transaction's commit
	SpillTime time.Duration // time spent on it

	Write     int64         // write calls
	WriteTime time.Duration // time from the first write of a commit to its sync
}

// copy returns a copy, read atomically.
func (s *TxStats) copy() TxStats {
	return TxStats{
		PageCount:     s.GetPageCount(),
		PageAlloc:     s.GetPageAlloc(),
		CursorCount:   s.GetCursorCount(),
		NodeCount:     s.GetNodeCount(),
		NodeDeref:     s.GetNodeDeref(),
		Rebalance:     s.GetRebalance(),
		RebalanceTime: s.GetRebalanceTime(),
		Split:         s.GetSplit(),
		Spill:         s.GetSpill(),
		SpillTime:     s.GetSpillTime(),
		Write:         s.GetWrite(),
		WriteTime:     s.GetWriteTime(),
	}
}

// Add adds other, field by field.
func (s *TxStats) Add(other *TxStats) {
	s.IncPageCount(other.GetPageCount())
	s.IncPageAlloc(other.GetPageAlloc())
	s.IncCursorCount(other.GetCursorCount())
	s.IncNodeCount(other.GetNodeCount())
	s.IncNodeDeref(other.GetNodeDeref())
	s.IncRebalance(other.GetRebalance())
	s.IncRebalanceTime(other.GetRebalanceTime())
	s.IncSplit(other.GetSplit())
	s.IncSpill(other.GetSpill())
	s.IncSpillTime(other.GetSpillTime())
	s.IncWrite(other.GetWrite())
	s.IncWriteTime(other.GetWriteTime())
}

// Copy returns a copy of the counters, each read atomically.
func (s *TxStats) Copy() TxStats { return s.copy() }

// Sub returns the difference s - other, for what happened between two readings.
func (s *TxStats) Sub(other *TxStats) TxStats {
	d := s.copy()
	d.PageCount -= other.GetPageCount()
	d.PageAlloc -= other.GetPageAlloc()
	d.CursorCount -= other.GetCursorCount()
	d.NodeCount -= other.GetNodeCount()
	d.NodeDeref -= other.GetNodeDeref()
	d.Rebalance -= other.GetRebalance()
	d.RebalanceTime -= other.GetRebalanceTime()
	d.Split -= other.GetSplit()
	d.Spill -= other.GetSpill()
	d.SpillTime -= other.GetSpillTime()
	d.Write -= other.GetWrite()
	d.WriteTime -= other.GetWriteTime()
	return d
}

func addTime(p *time.Duration, d time.Duration) time.Duration {
	return time.Duration(atomic.AddInt64((*int64)(p), int64(d)))
}

func loadTime(p *time.Duration) time.Duration {
	return time.Duration(atomic.LoadInt64((*int64)(p)))
}

// GetPageCount returns PageCount atomically.
func (s *TxStats) GetPageCount() int64 { return atomic.LoadInt64(&s.PageCount) }

// IncPageCount adds delta to PageCount atomically and returns the new value.
func (s *TxStats) IncPageCount(delta int64) int64 { return atomic.AddInt64(&s.PageCount, delta) }

// GetPageAlloc returns PageAlloc atomically.
func (s *TxStats) GetPageAlloc() int64 { return atomic.LoadInt64(&s.PageAlloc) }

// IncPageAlloc adds delta to PageAlloc atomically and returns the new value.
func (s *TxStats) IncPageAlloc(delta int64) int64 { return atomic.AddInt64(&s.PageAlloc, delta) }

// GetCursorCount returns CursorCount atomically.
func (s *TxStats) GetCursorCount() int64 { return atomic.LoadInt64(&s.CursorCount) }

// IncCursorCount adds delta to CursorCount atomically and returns the new value.
func (s *TxStats) IncCursorCount(delta int64) int64 {
	return atomic.AddInt64(&s.CursorCount, delta)
}

// GetNodeCount returns NodeCount atomically.
func (s *TxStats) GetNodeCount() int64 { return atomic.LoadInt64(&s.NodeCount) }

// IncNodeCount adds delta to NodeCount atomically and returns the new value.
func (s *TxStats) IncNodeCount(delta int64) int64 { return atomic.AddInt64(&s.NodeCount, delta) }

// GetNodeDeref returns NodeDeref atomically.
func (s *TxStats) GetNodeDeref() int64 { return atomic.LoadInt64(&s.NodeDeref) }

// IncNodeDeref adds delta to NodeDeref atomically and returns the new value.
func (s *TxStats) IncNodeDeref(delta int64) int64 { return atomic.AddInt64(&s.NodeDeref, delta) }

// GetRebalance returns Rebalance atomically.
func (s *TxStats) GetRebalance() int64 { return atomic.LoadInt64(&s.Rebalance) }

// IncRebalance adds delta to Rebalance atomically and returns the new value.
func (s *TxStats) IncRebalance(delta int64) int64 { return atomic.AddInt64(&s.Rebalance, delta) }

// GetRebalanceTime returns RebalanceTime atomically.
func (s *TxStats) GetRebalanceTime() time.Duration { return loadTime(&s.RebalanceTime) }

// IncRebalanceTime adds delta to RebalanceTime atomically and returns the new value.
func (s *TxStats) IncRebalanceTime(delta time.Duration) time.Duration {
	return addTime(&s.RebalanceTime, delta)
}

// GetSplit returns Split atomically.
func (s *TxStats) GetSplit() int64 { return atomic.LoadInt64(&s.Split) }

// IncSplit adds delta to Split atomically and returns the new value.
func (s *TxStats) IncSplit(delta int64) int64 { return atomic.AddInt64(&s.Split, delta) }

// GetSpill returns Spill atomically.
func (s *TxStats) GetSpill() int64 { return atomic.LoadInt64(&s.Spill) }

// IncSpill adds delta to Spill atomically and returns the new value.
func (s *TxStats) IncSpill(delta int64) int64 { return atomic.AddInt64(&s.Spill, delta) }

// GetSpillTime returns SpillTime atomically.
func (s *TxStats) GetSpillTime() time.Duration { return loadTime(&s.SpillTime) }

// IncSpillTime adds delta to SpillTime atomically and returns the new value.
func (s *TxStats) IncSpillTime(delta time.Duration) time.Duration {
	return addTime(&s.SpillTime, delta)
}

// GetWrite returns Write atomically.
func (s *TxStats) GetWrite() int64 { return atomic.LoadInt64(&s.Write) }

// IncWrite adds delta to Write atomically and returns the new value.
func (s *TxStats) IncWrite(delta int64) int64 { return atomic.AddInt64(&s.Write, delta) }

// GetWriteTime returns WriteTime atomically.
func (s *TxStats) GetWriteTime() time.Duration { return loadTime(&s.WriteTime) }

// IncWriteTime adds delta to WriteTime atomically and returns the new value.
func (s *TxStats) IncWriteTime(delta time.Duration) time.Duration {
	return addTime(&s.WriteTime, delta)
}
