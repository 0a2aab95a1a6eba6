package mapleaf

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mapleafdb/mapleaf/tx"
)

// Salvage makes a new database of what a damaged one still holds. It goes so:
//
//	read     every page of the file, and note which verify (scrap.go)
//	origin   decide which state is taken, also without metas (origin.go)
//	walk     copy what its roots lead to; where a page is missing, note the gap: a
//	         bucket and a range of keys (salvagewalk.go)
//	orphans  find the nodes that only missing pages led to, and put them into the
//	         gaps, or into buckets of their own (orphan.go, adopt.go)
//	log      do again what the redo log tells (salvagelog.go)
//	check    the new database, and give it its name (salvagecopy.go)
//
// Invariants:
//
//	V1 The damaged file is opened for reading only. Nothing is taken from it that
//	   does not agree with a checksum, but for the records of a log whose salt is
//	   lost; those are reported as guesses.
//	V2 Whatever the bytes of the file, it is read a bounded number of times: each
//	   node is copied once; long keys and values, failed attempts at checksums, and
//	   nodes of an older state are paid from budgets that a sound file does not use up.
//	   Memory is a few bytes for each page, one value, and what is reported.
//	V3 What is known to be older than the state taken, or of no transaction that was
//	   committed, is left out. What may be is taken, after all else, only where
//	   nothing newer stands, and reported as a guess.
//	V4 The new database appears under its name whole, durable and checked, or not at
//	   all.

// SalvageOptions says how Salvage works. The zero value is the default.
type SalvageOptions struct {
	// PageSize is the page size of the damaged database in bytes, if neither its
	// metas nor its pages tell. Zero means that they do.
	PageSize int

	// Overwrite lets the new database replace a file that has its name. If only the
	// last step fails, which makes that durable, the new one is there with an error,
	// and a loss of power may bring the old one back.
	Overwrite bool

	// CertainOnly leaves out everything that the report would call a guess.
	CertainOnly bool

	// Timeout is how long to wait while another process has the damaged database
	// open. Zero means no limit.
	Timeout time.Duration

	// Progress is called now and then, by the goroutine that has called Salvage.
	Progress func(SalvageProgress)

	// wrapFile puts a layer between salvage and the damaged file, for tests.
	wrapFile func(file) file
}

// SalvageProgress tells how far Salvage has come.
type SalvageProgress struct {
	Stage string // "reading", "copying" or "checking"
	Done  int64  // pages
	Total int64  // pages at most
}

// SalvagePages counts pages of a damaged file by what they are.
type SalvagePages struct {
	Branch    uint64 `json:"branch"`
	Leaf      uint64 `json:"leaf"`
	Extent    uint64 `json:"extent"` // pages of long keys and values
	FreeSpace uint64 `json:"free_space"`
	Manifest  uint64 `json:"manifest"`
}

// A SalvageRange is a range of keys of a bucket: one that is missing, or one whose
// records are a guess.
type SalvageRange struct {
	Bucket  [][]byte // names on the way from the root, the first 256; none for the root
	From    []byte   // the first key of the range; nil = it begins with the first key
	To      []byte   // the first key behind the range; nil = it ends with the last key
	Records uint64   // how many are missing, or were taken
	Counted bool     // Records is known
	Page    int      // the first page that is damaged, or that they were found in
	Kind    string   // "node", "extent", "log", "meta" or "record"
	Reason  string
}

// A SalvageBucket is a bucket of records of which nothing tells where they belong.
type SalvageBucket struct {
	Name    string // of the bucket in the new database, below the root
	Page    int    // the root of its tree
	TxID    int    // the transaction that this page was born in
	Records uint64
	Certain bool // the records are those of the state that was taken
}

// A SalvageReport tells what Salvage found.
type SalvageReport struct {
	PageSize   int    // bytes
	State      string // which state was taken, and why
	TxID       int    // the last transaction that the pages of that state hold
	LogTxID    int    // the last transaction that was taken from the log, 0 = none
	Read       uint64 // pages of the file, the metas left out
	Unreadable uint64 // pages that the system could not read
	Empty      uint64 // pages of zeros
	Other      uint64 // pages that hold nothing that verifies and that nothing refers to
	Good       SalvagePages
	Damaged    SalvagePages // that are referred to and do not verify; Leaf has unknown nodes, too
	Metas      [2]bool      // which metas verify
	Buckets    uint64       // of the new database
	Records    uint64       // of the new database, buckets not counted
	Missing    []SalvageRange
	Guesses    []SalvageRange
	Recovered  []SalvageBucket
	Notes      []string // what else was noticed
}

// Complete reports whether everything is there that the damaged file was meant to
// hold, and nothing of it is a guess.
func (r *SalvageReport) Complete() bool {
	return len(r.Missing) == 0 && len(r.Guesses) == 0 && len(r.Recovered) == 0
}

// Salvage reads every page of the damaged database at src, takes what verifies, and
// makes a new database of it at dst, with the permissions of src. It also finds the
// records of leaves that no branch leads to any more. src is not changed, and may have
// no usable meta at all. Salvage works for every file, but needs as much time and room
// as a copy; one that Open takes and Check finds nothing in needs no Salvage.
//
// With one page destroyed, the records of all other pages are in the new database. If
// the page was a leaf, the buckets that were listed in it come back under other names,
// recovered-PAGE, unless an older version of the leaf still tells theirs. The report
// says which ranges of which buckets are missing, and what is a guess: records of which
// the file does not prove that they belong to its newest state, or to that bucket.
//
// An error means that there is no new database (but see Overwrite; if the last step
// failed, it may also be there because it could not be removed): fs.ErrExist if dst
// exists, ErrTimeout if another process has src open, ErrInvalid if nothing in the file
// is of a Mapleaf database, ErrVersionMismatch, the error of ctx if that is done first,
// or what reading src or writing dst has returned. Pages that cannot be read are no
// error. Nil options are the zero value.
func Salvage(ctx context.Context, dst, src string, options *SalvageOptions) (
	_ *SalvageReport, err error) {
	var o SalvageOptions
	if options != nil {
		o = *options
	}
	if o.PageSize != 0 && !validPageSize(uint64(o.PageSize)) {
		return nil, fmt.Errorf("mapleaf: SalvageOptions.PageSize is not a power of two "+
			"from %d to %d: %d", pageSizeMin, pageSizeMax, o.PageSize)
	}
	defer func() { err = named("salvage database", err) }()
	of, err := openSource(ctx, src, o.Timeout)
	if err != nil {
		return nil, err
	}
	defer func() { err = closeSource(of, err) }()
	if o.wrapFile != nil {
		of.file = o.wrapFile(of.file)
	}
	w := &salvager{ctx: ctx, opts: o, report: &SalvageReport{}, nesting: map[*spot]bool{}}
	if err := w.read(of.file); err != nil {
		return nil, err
	}
	err = newCopy(ctx, dst, of, o.Overwrite, w.scrap.pageSize, func(db *DB) error {
		w.out = &salvageCopy{db: db}
		defer w.out.drop()
		if err := w.copy(); err != nil {
			return err
		}
		return w.check(db)
	})
	if err != nil {
		return nil, err
	}
	return w.report, nil
}

// A salvager is one run of Salvage.
type salvager struct {
	ctx    context.Context
	opts   SalvageOptions
	scrap  *scrap
	origin *origin
	out    *salvageCopy
	report *SalvageReport

	copied int64  // nodes so far
	gaps   []*gap // in the order in which they were found
	todo   []task // buckets whose trees are still to be walked
	trees  []task // the largest of those that were, the largest first
	levels [salvageDepth][]byte
	inGap  *gap   // that is being filled, nil in the walk from the roots
	spans  []span // keys of the leaves of the tree that is being put into inGap
	absent bool   // what is there already stays

	// While a gap is filled from an older state:
	seen       []uint64    // in place of the marks of scrap; nil else
	marked     []tx.PageID // in seen
	olderNodes int         // how many may still be visited

	adopting  bool           // the walk from the roots is over
	certain   bool           // and it is known which of the other nodes are old
	oldLeaves int            // orphans that were left out
	nesting   map[*spot]bool // the buckets in which others were found
}

// read reads the file, and decides which state is taken.
func (w *salvager) read(f file) (err error) {
	slots, err := readSlots(f)
	if err != nil {
		return err
	}
	if w.scrap, err = newScrap(f, w.opts.PageSize, slots); err != nil {
		return err
	}
	s := w.scrap
	err = s.scan(func(done uint64) error { return w.progress("reading", int64(done)) })
	if err != nil {
		return err
	}
	w.origin = findOrigin(s, slots)
	r := w.report
	r.PageSize, r.Read = s.pageSize, uint64(len(s.state))-min(uint64(s.first), uint64(len(s.state)))
	r.State, r.TxID, r.Notes = w.origin.what, int(w.origin.txid), w.origin.notes
	for i := range r.Metas {
		r.Metas[i] = slots[i].meta != nil
	}
	return nil
}

// copy copies all that can be found into the new database.
func (w *salvager) copy() error {
	w.out.db.store.withoutLog(+1)
	defer w.out.db.store.withoutLog(-1)
	steps := []func() error{w.walkRoots, w.adoptOrphans, w.fillOlder, w.redoLog, w.out.flush}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	w.reportGaps()
	w.scrap.count(w.report)
	return nil
}

// progress tells how far a stage has come, and returns the error of the context.
func (w *salvager) progress(stage string, done int64) error {
	if w.opts.Progress != nil {
		total := int64(len(w.scrap.state))
		w.opts.Progress(SalvageProgress{stage, min(done, total), total})
	}
	return w.ctx.Err()
}

// guess adds to the report what is taken although it is not certain. It reports false
// if the options rule that out.
func (w *salvager) guess(r SalvageRange) bool {
	if w.opts.CertainOnly {
		return false
	}
	w.report.Guesses = append(w.report.Guesses, r)
	return true
}

// miss adds to the report what is missing.
func (w *salvager) miss(r SalvageRange) { w.report.Missing = append(w.report.Missing, r) }

// note adds a line to the report.
func (w *salvager) note(format string, args ...any) {
	w.report.Notes = append(w.report.Notes, fmt.Sprintf(format, args...))
}

// check checks the new database, and counts what it holds.
func (w *salvager) check(db *DB) error {
	return db.View(func(t *Tx) error {
		if err := w.progress("checking", 0); err != nil {
			return err
		}
		var problem error
		for err := range t.Check() {
			if problem == nil {
				problem = fmt.Errorf("mapleaf: check the new database: %w", err)
			}
		}
		if problem != nil {
			return problem
		}
		stats := t.Cursor().Bucket().Stats()
		w.report.Buckets = uint64(stats.BucketN - 1)
		w.report.Records = uint64(stats.KeyN - (stats.BucketN - 1))
		return t.Err()
	})
}

// A spot is a bucket, by its place among the others. The root is nil.
type spot struct {
	up    *spot
	name  []byte
	depth int
}

// below returns the spot of the bucket of that name in p.
func (p *spot) below(name []byte) *spot {
	kid := &spot{up: p, name: name, depth: 1}
	if p != nil {
		kid.depth = p.depth + 1
	}
	return kid
}

// path returns the names on the way from the root.
func (p *spot) path() [][]byte {
	var names [][]byte
	for ; p != nil; p = p.up {
		names = append(names, p.name)
	}
	slices.Reverse(names)
	return names
}

// shownMax is how many names of a path a report has at most.
const shownMax = 256

// shown returns the path as reports have it.
func (p *spot) shown() [][]byte {
	for p != nil && p.depth > shownMax {
		p = p.up
	}
	return p.path()
}
