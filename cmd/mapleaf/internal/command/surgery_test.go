package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mapleafdb/mapleaf"
)

var fileID = regexp.MustCompile(`[0-9a-f]{32}`)

// killedFile returns the file of a process that was killed after a few commits.
func killedFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "killed.db")
	db, err := mapleaf.Open(file+".running", fileMode, &mapleaf.Options{LogSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"first", "second", "third"} {
		err := db.Update(func(tx *mapleaf.Tx) error {
			b, err := makeBucket(tx, bucketPath{[]byte("a")})
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), []byte(value))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, fileMode); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSurgery(t *testing.T) {
	killed := killedFile(t)
	scrub := func(s string) string {
		s = strings.ReplaceAll(s, killed, "killed.db")
		return fileID.ReplaceAllString(s, "(id)")
	}
	session(t, scrub,
		step{line: "surgery meta '" + killed + "'"},
		step{line: "surgery meta '" + killed + "' --format json"},
		step{line: "surgery revert-meta '" + killed + "' older.db"},
		step{line: "get older.db k --bucket a"},
		step{line: "check older.db"},
		step{line: "surgery meta older.db"},
		step{line: "surgery revert-meta older.db oldest.db"},
		step{line: "put older.db k again --bucket a"},
		step{line: "check older.db"},
		step{line: "surgery drop-log '" + killed + "' older.db"},
		step{line: "surgery drop-log '" + killed + "' older.db --force"},
		step{line: "get older.db k --bucket a"},
		step{line: "surgery"},
		step{line: "surgery amputate f.db"},
		step{line: "surgery meta none.db"},
		step{line: "surgery meta"},
	)
}

// A copy at a state with a destroyed page opens, and its problems are told.
func TestSurgeryOnDamage(t *testing.T) {
	file, content := damagedFile(t, "the value of number 1500")
	slot := content[16384:]
	clear(slot[:4096])
	if err := os.WriteFile(file, content, fileMode); err != nil {
		t.Fatal(err)
	}
	r := mapleafCommand("", "surgery", "meta", file)
	if r.code != ExitFine || !strings.Contains(r.out, "meta 1\n  damaged ") ||
		!strings.Contains(r.out, "meta 0 counts: the other one is damaged\n") {
		t.Errorf("meta: exit code %d, %s%s", r.code, r.out, r.err)
	}
	for _, name := range []string{"revert-meta", "drop-log"} {
		to := filepath.Join(t.TempDir(), "copy.db")
		r := mapleafCommand("", "surgery", name, file, to)
		if r.code != ExitProblem || r.err != "" || !strings.Contains(r.out, "\nproblem: page ") {
			t.Errorf("%s: exit code %d, %s%s", name, r.code, r.out, r.err)
		}
		if out := must(t, "", "get", to, "key 0001", "--bucket", "a/b"); out !=
			"the value of number 0001\n" {
			t.Errorf("%s: a sound page yields %q", name, out)
		}
	}
	clear(content[:4096])
	if err := os.WriteFile(file, content, fileMode); err != nil {
		t.Fatal(err)
	}
	r = mapleafCommand("", "surgery", "meta", file)
	if r.code != ExitProblem || !strings.Contains(r.out, "neither counts: ") {
		t.Errorf("meta: exit code %d, %s%s", r.code, r.out, r.err)
	}
	for _, name := range []string{"revert-meta", "drop-log"} {
		r := mapleafCommand("", "surgery", name, file, file+".copy")
		if r.code != ExitProblem || !strings.HasPrefix(r.err, "mapleaf: ") || r.out != "" {
			t.Errorf("%s: exit code %d, %s%s", name, r.code, r.out, r.err)
		}
	}
}
