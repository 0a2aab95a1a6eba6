package command

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// newBar returns a progress bar for size bytes of input (-1: nobody knows how
// many), nil if the error stream is no terminal. It goes when the work ends.
func (a *app) newBar(what string, size int64) *progressbar.ProgressBar {
	if !a.ErrTerminal {
		return nil
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(a.Err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		// Zero: no goroutine turns the spinner, so that all writing is ours.
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish(),
	)
}

// showProgress moves the bar to where the input was read. A bar that cannot be
// drawn is no reason to stop.
func (p *importer) showProgress() {
	if p.bar == nil {
		return
	}
	read := p.in.source.count.Load()
	if p.in.size >= 0 {
		// The bar ends itself at its maximum, but the work goes on to the last
		// transaction.
		read = min(read, max(p.in.size-1, 0))
	}
	_ = p.bar.Set64(read)
}

func (p *importer) endBar() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
