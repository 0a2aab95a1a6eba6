package mapleaf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// plausible checks that whatever was salvaged of a file with any damage was written once:
// under its name, or, where the report speaks of a guess, at least somewhere. With certain
// set, nothing of it is older than the state that was taken.
func (sp *specimen) plausible(got contents, r *SalvageReport, certain bool) error {
	pairs := map[string]bool{}
	for name, values := range sp.ever {
		key := name[strings.LastIndex(name, "/")+1:]
		if i := strings.LastIndex(name, `/"`); i >= 0 {
			key = name[i+1:]
		}
		for value := range values {
			pairs[key+"="+value] = true
		}
	}
	recovered := map[string]bool{}
	for _, b := range r.Recovered {
		recovered[string(place("").below([]byte(b.Name)))] = true
	}
	v := &verdict{sp: sp, got: got, report: r}
	for _, g := range r.Guesses {
		if g.Kind == "log" {
			return nil // it could not be verified, and may be damaged
		}
	}
	for name, value := range got.records {
		head, _, _ := strings.Cut(name, "/")
		i := strings.LastIndex(name, `/"`)
		switch {
		case sp.ever[name][value]:
			if want := sp.all.records[name]; certain && want != value && sp.meta.logs[0].count == 0 &&
				r.TxID == int(sp.meta.txid) {
				return fmt.Errorf("%.80s has the older value %.20q instead of %.20q", name, value, want)
			}
		case recovered[head+"/"] || !certain && v.guessed(name):
			if !pairs[name[i+1:]+"="+value] {
				return fmt.Errorf("%.80s has a value that no such key ever had: %.20q", name, value)
			}
		default:
			return fmt.Errorf("%.80s has a value that it never had: %.20q", name, value)
		}
	}
	return nil
}

// harm damages some pages of a file in some ways.
func harm(rng *rand.Rand, file []byte, pageSize int) []byte {
	pages := len(file) / pageSize
	for range 1 + rng.IntN(8) {
		id := rng.IntN(pages)
		if rng.IntN(6) == 0 {
			id = rng.IntN(2) * metaSlotGap / pageSize
		}
		page := file[id*pageSize : (id+1)*pageSize]
		switch rng.IntN(6) {
		case 0:
			clear(page)
		case 1:
			for i := range page {
				page[i] = byte(rng.Uint32())
			}
		case 2:
			page[rng.IntN(pageSize)] ^= 1 << rng.IntN(8)
		case 3:
			page[rng.IntN(200)] ^= 1 << rng.IntN(8)
		case 4:
			other := rng.IntN(pages)
			copy(page, file[other*pageSize:(other+1)*pageSize])
		case 5:
			clear(page[rng.IntN(pageSize):])
		}
	}
	if rng.IntN(10) == 0 {
		file = file[:rng.IntN(len(file))]
	}
	return file
}

// Files with several damages, at random, give nothing that was never written.
func TestSalvageManyDamages(t *testing.T) {
	trials := 0
	for round := range *salvageRounds {
		for i, sp := range specimens(t, uint64(7200+100*round)) {
			rng := testRand(t, uint64(7300+100*round+i))
			for trial := range 24 {
				file := harm(rng, bytes.Clone(sp.file), sp.pageSize)
				o := &SalvageOptions{CertainOnly: trial%2 == 1}
				got, r, err := sp.attempt(t, file, o)
				if errors.Is(err, ErrInvalid) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				trials++
				if err := sp.plausible(got, r, o.CertainOnly); err != nil {
					t.Fatalf("%s, trial %d: %v\n%s", sp.name, trial, err, r.text())
				}
			}
		}
	}
	t.Logf("%d trials", trials)
}

// Both metas are destroyed: everything is found all the same.
func TestSalvageWithoutMetas(t *testing.T) {
	for _, sp := range specimens(t, 7400) {
		for _, noise := range []bool{false, true} {
			file := bytes.Clone(sp.file)
			rng := testRand(t, 7401)
			for i := range metaRegion {
				if file[i] = 0; noise {
					file[i] = byte(rng.Uint32())
				}
			}
			v := &verdict{sp: sp}
			v.got, v.report = sp.salvage(t, file, nil)
			if err := errors.Join(v.saved(), v.invented()); err != nil {
				t.Fatalf("%s: %v\n%s", sp.name, err, v.report.text())
			}
			if v.report.Complete() || v.report.Metas != [2]bool{} {
				t.Fatalf("%s: the report is sure of itself\n%s", sp.name, v.report.text())
			}
		}
	}
}

// Pages of another database lie among those of a file without metas, and are younger: they
// are not taken.
func TestSalvageForeignPages(t *testing.T) {
	sp := newSpecimen(t, "closed", 4096, 7450)
	other := newSpecimen(t, "twice", 4096, 7451)
	for salt := uint64(7452); !sp.unused(other.meta.root.Root.ID) ||
		!sp.unused(other.meta.chain.ID); salt++ {
		other = newSpecimen(t, "twice", 4096, salt)
	}
	file := bytes.Clone(sp.file)
	clear(file[:metaRegion])
	for _, id := range []tx.PageID{other.meta.root.Root.ID, other.meta.chain.ID} {
		file = append(file, make([]byte, max(0, int(id+1)*4096-len(file)))...)
		copy(file[int(id)*4096:], other.page(id, 1))
	}
	v := &verdict{sp: sp}
	v.got, v.report = sp.salvage(t, file, nil)
	if err := errors.Join(v.saved(), v.invented()); err != nil {
		t.Fatalf("%v\n%s", err, v.report.text())
	}
}

// The file ends at each page in turn: what is in front of that is saved.
func TestSalvageTruncated(t *testing.T) {
	for _, sp := range specimens(t, 7500) {
		for id := 1; id < len(sp.file)/sp.pageSize; id += 7 {
			file := sp.file[:id*sp.pageSize+id%7]
			v := &verdict{sp: sp, lost: map[string]bool{}, inLog: map[string]bool{}}
			for page := id; page < len(sp.file)/sp.pageSize; page++ {
				for name := range sp.lost[tx.PageID(page)] {
					v.lost[name] = true
				}
				v.buckets = append(v.buckets, sp.lostBuckets[tx.PageID(page)]...)
				sp.lostWithLog(tx.PageID(page), v.inLog)
			}
			var err error
			v.got, v.report, err = sp.attempt(t, file, nil)
			if err != nil {
				if id > 8 || !errors.Is(err, ErrInvalid) {
					t.Fatalf("%s, cut at page %d: %v", sp.name, id, err)
				}
				continue
			}
			if v.report.Complete() && id*sp.pageSize < len(sp.file) &&
				(len(v.lost) > 0 || len(v.inLog) > 0) {
				t.Fatalf("%s, cut at page %d: the report misses nothing\n%s", sp.name, id, v.report.text())
			}
			if err := v.cut(); err != nil {
				t.Fatalf("%s, cut at page %d: %v\n%s", sp.name, id, err, v.report.text())
			}
		}
	}
}

// cut checks what was salvaged of a file that many pages are missing of: every record of
// the others is somewhere, and nothing is there that was never written.
func (v *verdict) cut() error {
	values := map[string]int{}
	for name, value := range v.got.records {
		values[name[strings.LastIndex(name, `/"`)+1:]+"="+value]++
	}
	for name, value := range v.sp.pages.records {
		now, ok := v.sp.all.records[name]
		if v.lost[name] || v.inLog[name] || !ok || now != value {
			continue
		}
		if values[name[strings.LastIndex(name, `/"`)+1:]+"="+value] == 0 {
			return fmt.Errorf("%.80s is missing", name)
		}
	}
	return v.sp.plausible(v.got, v.report, false)
}

// Salvage leaves nothing behind when it fails, and changes nothing that it should not.
func TestSalvageErrors(t *testing.T) {
	sp := newSpecimen(t, "closed", 4096, 7600)
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "damaged.db"), filepath.Join(dir, "new.db")
	if err := os.WriteFile(src, sp.file, 0o640); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	steps := 0
	_, err := Salvage(ctx, dst, src, &SalvageOptions{Progress: func(SalvageProgress) {
		if steps++; steps == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled salvage returns %v", err)
	}
	if err := os.WriteFile(dst, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Salvage(context.Background(), dst, src, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("salvage over a file returns %v", err)
	}
	_, err = Salvage(context.Background(), src, src, &SalvageOptions{Overwrite: true})
	if err == nil {
		t.Error("salvage of a file into itself works")
	}
	_, err = Salvage(context.Background(), dst, src, &SalvageOptions{PageSize: 5000})
	if err == nil {
		t.Error("a page size of 5000 is accepted")
	}
	_, err = Salvage(context.Background(), dst, filepath.Join(dir, "none"), nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("salvage of no file returns %v", err)
	}
	if b, err := os.ReadFile(dst); err != nil || string(b) != "mine" {
		t.Errorf("the file at the new name holds %q, %v", b, err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("the folder holds %v, %v", names, err)
	}
	r, err := Salvage(context.Background(), dst, src, &SalvageOptions{Overwrite: true})
	if err != nil || !r.Complete() || r.PageSize != 4096 {
		t.Errorf("salvage over a file: %v, %+v", err, r)
	}
	mine, err1 := os.Stat(dst)
	its, err2 := os.Stat(src)
	if err1 != nil || err2 != nil || mine.Mode() != its.Mode() {
		t.Errorf("the new file has mode %v, %v, %v", mine, err1, err2)
	}
}

// While a database is open, salvage waits for it, and keeps others from opening it for
// writing meanwhile.
func TestSalvageWaits(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "open.db"), filepath.Join(dir, "new.db")
	db := mustOpen(t, src, nil)
	if _, err := Salvage(context.Background(), dst, src, &SalvageOptions{Timeout: 1}); !errors.Is(err,
		ErrTimeout) {
		t.Errorf("salvage of an open database returns %v", err)
	}
	mustClose(t, db)
	_, err := Salvage(context.Background(), dst, src, &SalvageOptions{
		Progress: func(SalvageProgress) {
			if db, err := Open(src, 0o600, &Options{Timeout: 1}); err == nil {
				t.Errorf("a database is opened while it is salvaged: %v", db.Close())
			}
		},
	})
	if err != nil {
		t.Error(err)
	}
}

// An unreadable file fails at some of its pages.
type unreadable struct {
	file
	pageSize int64
	bad      func(page int64) bool
}

func (u *unreadable) ReadAt(p []byte, off int64) (int, error) {
	for at := off; at < off+int64(len(p)); at += u.pageSize {
		if u.bad(at / u.pageSize) {
			return int(at - off), errors.New("input/output error")
		}
	}
	return u.file.ReadAt(p, off)
}

// A page that the drive cannot read is a page that is missing, and no more.
func TestSalvageUnreadablePages(t *testing.T) {
	for _, kind := range []string{"killed", "logged"} {
		sp := newSpecimen(t, kind, 4096, 7700)
		for id := int64(0); id < int64(len(sp.file)/sp.pageSize); id += 2 {
			v := &verdict{sp: sp, lost: sp.lost[tx.PageID(id)], inLog: map[string]bool{}}
			if v.lost == nil {
				v.lost = map[string]bool{}
			}
			v.buckets = sp.lostBuckets[tx.PageID(id)]
			sp.lostWithLog(tx.PageID(id), v.inLog)
			v.got, v.report = sp.salvage(t, sp.file, &SalvageOptions{wrapFile: func(f file) file {
				return &unreadable{f, 4096, func(page int64) bool { return page == id }}
			}})
			if err := errors.Join(v.saved(), v.invented()); err != nil {
				t.Fatalf("%s, page %d: %v\n%s", sp.name, id, err, v.report.text())
			}
			if id >= 8 && v.report.Unreadable != 1 {
				t.Fatalf("page %d: %d pages are unreadable", id, v.report.Unreadable)
			}
		}
	}
}
