package mapleaf

import (
	"bytes"
	"testing"
)

// The log is cleared ahead of its records, and never where one stands (Z1).
func TestLogIsClearedAhead(t *testing.T) {
	rec := &recorder{}
	o := logOptions()
	o.wrapFile = rec.wrap
	db := mustOpen(t, tempPath(t), o)
	r := testRand(t, 110)
	m := model{}
	for i := range 400 {
		m = m.mustUpdate(t, db, r, 1+i%40)
	}
	mustClose(t, db)
	type span struct{ from, to int64 }
	var records []span
	cleared, ahead := int64(0), 0
	for _, o := range rec.ops {
		s := span{o.off, o.off + max(o.size, int64(len(o.data)))}
		switch {
		case o.kind == opDurable:
			records = append(records, s)
			if s.to <= cleared {
				ahead++
			}
		case o.kind == opWrite && len(o.data) > 0 && len(bytes.Trim(o.data, "\x00")) == 0:
			for _, r := range records {
				if r.from < s.to && s.from < r.to {
					t.Fatalf("%d to %d is cleared, and a record stands at %d", s.from, s.to, r.from)
				}
			}
			cleared = max(cleared, s.to)
		}
	}
	if len(records) < 100 || ahead < len(records)/2 {
		t.Errorf("of %d records %d were cleared for", len(records), ahead)
	}
}
