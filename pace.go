package mapleaf

// A pacer keeps a checkpoint from filling the queue of the drive, where the commits
// beside it would have to wait. What is written becomes a portion after the other; one
// is on its way to the drive while the next is written, and is awaited before the next
// sets out. The last ones are left to the sync at the end; with a nil pacer, all are.
//
// By a commit, which has nobody beside it, portions are only sent: the drive is at work
// while the rest is written, and the sync finds less to do.
//
// The many small writes of a portion go to the drive together: to await each by itself
// would take the drive's latency every time, and a processor with it, since the call
// blocks.
type pacer struct {
	f       file
	size    int64     // of a portion, in bytes
	waits   bool      // for the portion before
	portion byteRange // being written
	bytes   int64
	calls   int
	sent    byteRange // on its way
}

// A byteRange is a part of the file, from its first byte to behind its last.
type byteRange struct{ from, to int64 }

// What is written before a portion sets out: so many bytes, by a checkpoint or by a commit,
// or so many calls.
const (
	portionBytes  = 1 << 20
	commitPortion = 256 << 10
	portionCalls  = 64
)

// writeBytes is how many bytes go to the file in one call at most without a pacer.
const writeBytes = 4 << 20

// limit returns how many bytes go to the file in one call at most.
func (p *pacer) limit() int64 {
	if p == nil {
		return writeBytes
	}
	return p.size
}

// wrote notes that n bytes at off were written, behind all those before.
func (p *pacer) wrote(off, n int64) error {
	if p == nil {
		return nil
	}
	if p.calls == 0 {
		p.portion.from = off
	}
	p.portion.to = off + n
	p.bytes += n
	p.calls++
	if p.bytes < p.size && p.calls < portionCalls {
		return nil
	}
	return p.send()
}

// send puts the portion on its way, and waits for the one before if it is to.
func (p *pacer) send() error {
	next := p.portion
	if err := p.f.StartWriteBack(next.from, next.to-next.from); err != nil {
		return err
	}
	if p.bytes, p.calls = 0, 0; !p.waits {
		return nil
	}
	err := p.await()
	p.sent = next
	return err
}

// await waits for the portion that is on its way. Others may be written between its
// first byte and its last, and are waited for as well.
func (p *pacer) await() error {
	if p.sent.from == p.sent.to {
		return nil
	}
	return p.f.WriteBack(p.sent.from, p.sent.to-p.sent.from)
}
