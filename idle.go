package mapleaf

import "time"

// idleAfter is how long after the last commit a checkpoint is made. It makes the last
// commits readable without the log, whose newest record cannot be told from a torn one
// when it is damaged, and lets the memory of the resident pages go.
const idleAfter = 5 * time.Second

// checkpointWhenIdle arms the timer for that.
func (s *store) checkpointWhenIdle() {
	s.idleSince.Store(time.Now().UnixNano())
	if s.idleTimed.CompareAndSwap(false, true) {
		time.AfterFunc(s.opts.idleAfter, s.idleCheckpoint)
	}
}

func (s *store) idleCheckpoint() {
	s.idleTimed.Store(false)
	if s.published.Load() == nil || s.failed() != nil {
		return
	}
	rest := s.opts.idleAfter - time.Since(time.Unix(0, s.idleSince.Load()))
	if rest <= 0 && s.tryCheckpoint() {
		return
	}
	if s.idleTimed.CompareAndSwap(false, true) {
		time.AfterFunc(max(rest, s.opts.idleAfter/4), s.idleCheckpoint)
	}
}

// tryCheckpoint begins the checkpoint of the running epoch, unless a transaction runs or
// a batch is on its way: then it reports false.
func (s *store) tryCheckpoint() bool {
	select {
	case s.writer <- struct{}{}:
	default:
		return false
	}
	defer func() { <-s.writer }()
	s.writing.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.mu.epoch
	if s.mu.newest != nil || e.first == 0 || !s.logging() {
		s.writing.Unlock()
		return s.mu.newest == nil
	}
	s.mu.epoch, s.mu.checkpoint = &epoch{number: e.number + 1, log: 1 - e.log}, e.number
	go s.runCheckpoint(e)
	return true
}
