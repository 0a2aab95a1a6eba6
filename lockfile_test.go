package mapleaf

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
	"github.com/mapleafdb/mapleaf/tx"
)

func testLockFile(t *testing.T, path string) *lockFile {
	t.Helper()
	o, err := (&Options{}).filled()
	if err != nil {
		t.Fatal(err)
	}
	lf, err := openLockFile(path, &o, 0o600, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lf.close(); err != nil {
			t.Error(err)
		}
	})
	return lf
}

// The head and a block, as the table says. Words are in the order of the machine,
// so the golden bytes are those of a little-endian one.
func TestLockFileGolden(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return
	}
	path := filepath.Join(t.TempDir(), "golden-lock")
	lf := testLockFile(t, path)
	id := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	data := mmapfile.Identity{Volume: 0x1122334455667788, Index: 0x99aabbccddeeff00}
	if err := lf.reset(id, data); err != nil {
		t.Fatal(err)
	}
	var table slotTable
	table.init(true, func() {})
	sl, err := lf.claim(0x0102030405060708, &table)
	if err != nil {
		t.Fatal(err)
	}
	sl.set(0x0102030405060708)
	sl.begun.Store(2)
	sl.since.Store(3)
	sl.noted.Store(4)
	lf.published.Store(0x0203040506070809)
	for i, w := range []interface{ Store(uint32) }{
		lf.recoveries, lf.watchers, lf.dirty, lf.writerPid, lf.waiter, lf.wish, lf.alonePid,
	} {
		w.Store(uint32(0x10 + i))
	}
	for _, e := range []*mmapfile.Event{
		lf.changed, lf.released, lf.released, lf.advanced, lf.advanced, lf.advanced, lf.call,
	} {
		if err := e.Signal(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off  int
		want string
	}{
		{0, "4d61706c6561664c" + "01000000" + "01000000" + "0102030405060708090a0b0c0d0e0f10"},
		{32, "8877665544332211" + "00ffeeddccbbaa99" + "02000000" + "10000000"},
		{64, "0908070605040302" + "01000000" + "11000000"},
		{128, "12000000" + "13000000" + "14000000" + "02000000" + "03000000"},
		{192, "15000000" + "16000000" + "01000000"},
	} {
		if got := hex.EncodeToString(b[c.off : c.off+len(c.want)/2]); got != c.want {
			t.Errorf("offset %d: %s, want %s", c.off, got, c.want)
		}
	}
	if pid := binary.LittleEndian.Uint32(b[4096:]); pid != uint32(os.Getpid()) {
		t.Errorf("block 0 belongs to process %d", pid)
	}
	found := false
	for off := 4096 + 64; off < 8192; off += 64 {
		slot := hex.EncodeToString(b[off : off+32])
		found = found || slot == "0807060504030201"+"0200000000000000"+"0300000000000000"+
			"0400000000000000"
	}
	if !found || len(b) != 4096*3 {
		t.Errorf("the slot is not there, in %d bytes", len(b))
	}
}

// More readers than a block holds: the file grows, also beside another database,
// and everybody sees all of them.
func TestLockFileGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "growing-lock")
	first := testLockFile(t, path)
	if err := first.reset([16]byte{1}, mmapfile.Identity{}); err != nil {
		t.Fatal(err)
	}
	second := testLockFile(t, path)
	var table slotTable
	table.init(true, func() {})
	var slots []*peerSlot
	for i := range 10 * peerSlotCount {
		lf := first
		if i%2 == 1 {
			lf = second
		}
		sl, err := lf.claim(tx.TxID(i+1), &table)
		if err != nil {
			t.Fatal(err)
		}
		sl.set(tx.TxID(i + 1))
		slots = append(slots, sl)
	}
	for _, lf := range []*lockFile{first, second} {
		live, err := lf.live(nil)
		if err != nil || len(live) != len(slots) {
			t.Errorf("%d readers are seen of %d, %v", len(live), len(slots), err)
		}
	}
	for _, sl := range slots {
		sl.End()
	}
	if live, err := first.live(nil); err != nil || len(live) != 0 {
		t.Errorf("%d readers are left, %v", len(live), err)
	}
}

// Whatever stands in the lock file: opening and using it beside others gives an
// error or works, and touches nothing outside.
func TestLockFileHostile(t *testing.T) {
	r := testRand(t, 95)
	path := tempPath(t)
	a := mustOpen(t, path, nil)
	mustCount(t, a, 1)
	mustClose(t, a)
	lock := path + lockFileSuffix
	whole, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		b := append([]byte(nil), whole...)
		for range 1 + r.IntN(8) {
			at := 8 + r.IntN(lockHeadSize/16-8)
			if r.IntN(3) == 0 {
				at = 8 + r.IntN(len(b)-8)
			}
			b[at] = byte(r.Uint32())
		}
		if r.IntN(4) == 0 {
			b = b[:r.IntN(len(b))]
		}
		if err := os.WriteFile(lock, b, 0o600); err != nil {
			t.Fatal(err)
		}
		lf, err := openForeign(lock)
		if err == nil {
			_, err = lf.live(nil)
			err = errors.Join(err, lf.check([16]byte{}, mmapfile.Identity{}))
			if err := lf.close(); err != nil {
				t.Fatal(err)
			}
		}
		if err == nil {
			t.Fatal("a spoilt lock file is that of a database without an id")
		}
	}
	db := mustOpen(t, path, nil) // which is alone, and makes it anew
	mustCount(t, db, 2)
}

// openForeign opens the lock file as one who is not alone does.
func openForeign(lock string) (*lockFile, error) {
	o, err := (&Options{}).filled()
	if err != nil {
		return nil, err
	}
	return openLockFile(lock, &o, 0o600, false)
}

// A scan that meets a file which grows looks at the blocks that it has mapped.
func TestLockFileGrowsUnderScan(t *testing.T) {
	var table slotTable
	table.init(true, func() {})
	for round := range 20 {
		path := filepath.Join(t.TempDir(), fmt.Sprint("growing", round))
		first := testLockFile(t, path)
		if err := first.reset([16]byte{1}, mmapfile.Identity{}); err != nil {
			t.Fatal(err)
		}
		second := testLockFile(t, path)
		grown := make(chan error, 1)
		go func() {
			var err error
			for n := 0; n < 40 && err == nil; n++ {
				err = second.addBlock(n, &table)
			}
			grown <- err
		}()
		for done := false; !done; {
			if _, err := first.live(nil); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-grown:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			default:
			}
		}
	}
}
