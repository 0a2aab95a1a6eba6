package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/record"
)

// tally counts what became of the records of an input.
type tally struct {
	stored   uint64 // under a key of their own or in the place of another
	added    uint64 // of the stored ones: under a new key
	left     uint64 // left out, since their key was there
	appended uint64 // of the stored ones: under the other key
	bad      uint64
}

// importer stores batches.
type importer struct {
	*importing
	app   *app
	in    *input
	bar   *progressbar.ProgressBar // nil if nobody would see it
	total tally                    // of the transactions that are durable
}

// importInto does the work of the command: one goroutine reads and parses
// while this one writes.
func (a *app) importInto(ctx context.Context, i *importing) (err error) {
	in, err := a.openInput(i.input)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	records, err := record.NewReader(in, record.Format(i.format.value), i.options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &importer{importing: i, app: a, in: in, bar: a.newBar("importing", in.size)}
	start := a.Now()
	err = a.create(i.file, func(db *mapleaf.DB) error {
		batches := make(chan batch, 2)
		go produce(ctx, records, i.maker(), i.batch, i.skipBad, batches)
		return p.storeAll(ctx, db, batches)
	})
	p.endBar()
	if err != nil {
		return fmt.Errorf("%w (%s stored and kept)", err, plural(p.total.stored, "record"))
	}
	p.report(a.Now().Sub(start))
	if p.total.bad > 0 {
		return fmt.Errorf("%s left out", plural(p.total.bad, "bad record"))
	}
	return nil
}

// storeAll stores one batch after the other, until the last.
func (p *importer) storeAll(ctx context.Context, db *mapleaf.DB, batches <-chan batch) error {
	for {
		var b batch
		select {
		case b = <-batches:
		case <-ctx.Done():
			return errInterrupted
		}
		p.showBad(b.bad)
		if err := p.store(db, b.entries); err != nil {
			return err
		}
		p.showProgress()
		switch {
		case b.last == io.EOF:
			return nil
		case errors.Is(b.last, context.Canceled):
			return errInterrupted
		case b.last != nil:
			return fmt.Errorf("%s: %w", inputName(p.input), b.last)
		}
	}
}

var errInterrupted = errors.New("interrupted")

// store puts the entries of one batch in one transaction, and counts them once
// it is durable.
func (p *importer) store(db *mapleaf.DB, entries []entry) error {
	if len(entries) == 0 && p.total.stored > 0 {
		return nil
	}
	total := p.total
	err := db.Update(func(tx *mapleaf.Tx) error {
		b, err := makeBucket(tx, p.bucket)
		if err != nil {
			return err
		}
		before := b.Count()
		for i := range entries {
			if err := p.put(b, &entries[i], &total); err != nil {
				return fmt.Errorf("%s: line %d: %s", inputName(p.input), entries[i].line,
					strings.TrimPrefix(err.Error(), "mapleaf: "))
			}
		}
		total.added += b.Count() - before
		return nil
	})
	if err == nil {
		p.total = total
	}
	return err
}

// put stores one entry as the policy for duplicates says.
func (p *importer) put(b *mapleaf.Bucket, e *entry, total *tally) error {
	key := e.key
	if p.duplicates.value != duplicatesLast && b.Get(key) != nil {
		switch p.duplicates.value {
		case duplicatesFirst:
			total.left++
			return nil
		case duplicatesError:
			return fmt.Errorf("key %s is there already", appendText(nil, key, textName))
		}
		if e.appended == nil {
			return fmt.Errorf("key %s is there already, and the record has no %s to tell it apart",
				appendText(nil, key, textName), p.appending)
		}
		key = e.appended
		total.appended++
	}
	total.stored++
	return put(b, key, e.value)
}

// report prints what was done, and how fast.
func (p *importer) report(took time.Duration) {
	t := p.total
	text := p.in.text.count.Load()
	p.app.printf("imported %s into %s in %s: %s records/s, %s MiB/s\n",
		plural(t.stored, "record"), p.bucket.String(), timeText(took),
		perSecond(float64(t.stored), took), perSecond(mebibytes(text), took))
	notes := []string{commas(t.added) + " new"}
	if replaced := t.stored - t.added; replaced > 0 {
		notes = append(notes, commas(replaced)+" in the place of others")
	}
	if t.appended > 0 {
		notes = append(notes, commas(t.appended)+" under key"+p.joint+p.appending)
	}
	if t.left > 0 {
		notes = append(notes, commas(t.left)+" left out, since their key was there")
	}
	if t.bad > 0 {
		notes = append(notes, commas(t.bad)+" bad")
	}
	p.app.printf("%s\n", strings.Join(notes, ", "))
}

// showBad reports records that were left out.
func (p *importer) showBad(bad []error) {
	if len(bad) > 0 && p.bar != nil {
		p.bar.Clear()
	}
	for _, err := range bad {
		fmt.Fprintf(p.app.Err, "mapleaf: %s: %v\n", inputName(p.input), err)
	}
	p.total.bad += uint64(len(bad))
}
