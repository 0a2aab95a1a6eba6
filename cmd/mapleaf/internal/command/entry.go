package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mapleafdb/mapleaf"
	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/record"
)

// columnPrefix tells a column named "raw" or "json" from these words.
const columnPrefix = "column:"

// What the value of an imported record can be, besides a column.
const (
	valueJSON = "json"
	valueRaw  = "raw"
)

// entry is a record as it will be stored.
type entry struct {
	line     int
	key      []byte
	appended []byte // the key if key is taken; nil if the record has none
	value    []byte
}

// maker makes entries of records.
type maker struct {
	keys   []string // columns that make the key
	joint  string   // between them
	append string   // column that makes the other key, "" for none
	value  string   // valueJSON, valueRaw or a column
}

// entry copies what it needs of r, which the next record overwrites.
func (m *maker) entry(r *record.Record) (entry, error) {
	e := entry{line: r.Line}
	used := make([]int, 0, len(m.keys))
	for i, column := range m.keys {
		text, at, err := keyText(r, column)
		if err != nil {
			return e, err
		}
		if i > 0 {
			e.key = append(e.key, m.joint...)
		}
		e.key = append(e.key, text...)
		used = append(used, at)
	}
	if m.append != "" {
		if text, _, err := keyText(r, m.append); err == nil {
			e.appended = append(append(bytes.Clone(e.key), m.joint...), text...)
		}
	}
	if longest := max(len(e.key), len(e.appended)); longest > mapleaf.MaxKeySize {
		return e, badRecord(r, "a key of %d bytes: the limit is %d", longest, mapleaf.MaxKeySize)
	}
	value, err := m.valueOf(r, used)
	e.value = value
	return e, err
}

func (m *maker) valueOf(r *record.Record, used []int) ([]byte, error) {
	switch m.value {
	case valueRaw:
		return bytes.Clone(r.Raw), nil
	case valueJSON:
		return r.AppendJSON(nil, used)
	}
	column := strings.TrimPrefix(m.value, columnPrefix)
	i, ok := r.Lookup(column)
	if !ok {
		return nil, noColumn(r, column)
	}
	return bytes.Clone(r.Fields[i].Text()), nil
}

// keyText returns the text of a column that is to be (part of) a key.
func keyText(r *record.Record, column string) (text []byte, at int, err error) {
	at, ok := r.Lookup(column)
	if !ok {
		return nil, 0, noColumn(r, column)
	}
	f := &r.Fields[at]
	if f.JSON && len(f.Data) > 0 && strings.IndexByte("{[n", f.Data[0]) >= 0 {
		return nil, 0, badRecord(r, "%s is no key: %.40s", column, f.Data)
	}
	if text = f.Text(); len(text) == 0 {
		return nil, 0, badRecord(r, "%s is empty, so there is no key", column)
	}
	return text, at, nil
}

func noColumn(r *record.Record, column string) error {
	const namesMax = 12
	names := make([]string, 0, namesMax+1)
	for i := range r.Fields {
		if i == namesMax {
			names = append(names, "...")
			break
		}
		names = append(names, r.Fields[i].Name)
	}
	return badRecord(r, "there is no %s here, only %s", column, strings.Join(names, ", "))
}

func badRecord(r *record.Record, format string, args ...any) error {
	return &record.LineError{Line: r.Line, Reason: fmt.Sprintf(format, args...)}
}

// batchBytesMax ends a batch, whatever the number of its records, so that a
// transaction stays small in memory.
const batchBytesMax = 32 << 20

// batch is what one transaction stores.
type batch struct {
	entries []entry
	bad     []error // records that were left out
	last    error   // why no batch follows; nil if one does
}

// produce reads records and sends them in batches of count records, until the
// input ends or ctx is done. The last batch sent has its last error set, to
// io.EOF if all went well. Without skipBad the first bad record is the end.
func produce(ctx context.Context, r record.Reader, m *maker, count int, skipBad bool,
	out chan<- batch) {
	for {
		b := fill(ctx, r, m, count, skipBad)
		select {
		case out <- b:
		case <-ctx.Done():
			return
		}
		if b.last != nil {
			return
		}
	}
}

func fill(ctx context.Context, r record.Reader, m *maker, count int, skipBad bool) batch {
	var b batch
	bytesTotal := 0
	for len(b.entries) < count && len(b.bad) < count && bytesTotal < batchBytesMax {
		if b.last = ctx.Err(); b.last != nil {
			return b
		}
		var e entry
		rec, err := r.Next()
		if err == nil {
			e, err = m.entry(rec)
		}
		var bad *record.LineError
		switch {
		case err == nil:
			b.entries = append(b.entries, e)
			bytesTotal += len(e.key) + len(e.value)
		case err != io.EOF && skipBad && errors.As(err, &bad):
			b.bad = append(b.bad, err)
		default:
			b.last = err
			return b
		}
	}
	return b
}
