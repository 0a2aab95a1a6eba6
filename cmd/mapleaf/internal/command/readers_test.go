package command

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/mapleafdb/mapleaf"
)

func TestReaders(t *testing.T) {
	file := makeFile(t, "k=v")
	if out := must(t, "", "readers", file); out != "0 processes, 0 states in use\n" {
		t.Errorf("nobody has the file, and the output is %q", out)
	}
	db, err := mapleaf.Open(file, fileMode, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := db.Update(func(tx *mapleaf.Tx) error {
			_, err := tx.Bucket([]byte("a")).NextSequence()
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	r := mapleafCommand("", "readers", file, "--format", "json")
	var line processLine
	if err := json.Unmarshal([]byte(r.out), &line); err != nil {
		t.Fatalf("%v: %+v", err, r)
	}
	if line.Process != os.Getpid() || len(line.Readers) != 1 ||
		line.Readers[0].Transaction != reader.ID() || line.Readers[0].Lag != 3 ||
		line.Readers[0].PagesHeld < 1 {
		t.Errorf("got %+v", line)
	}
	out := must(t, "", "readers", file)
	want := fmt.Sprintf("process %d", os.Getpid())
	if len(out) < len(want) || out[:len(want)] != want {
		t.Errorf("got %q", out)
	}
	if err := reader.Rollback(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
