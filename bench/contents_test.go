package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sampleIndex is a Contents index as they were, with an introduction, and with what
// happens in one.
const sampleIndex = `This file maps each file available in the distribution to
the package from which it originates.

FILE                                                    LOCATION
usr/share/doc/b/a file with spaces			misc/b
bin/a                                                   admin/a,utils/b
usr/lib/a.so                                            libs/a
usr/lib/a.so                                            libs/b
usr/tab	inside                                          libs/c
`

// pack packs text with gzip.
func pack(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadContents(t *testing.T) {
	want := "bin/a|usr/lib/a.so|usr/share/doc/b/a file with spaces"
	long := strings.Repeat("x", pathSizeMax+1) + " libs/a\n"
	for name, text := range map[string]string{
		"plain": sampleIndex, "packed": string(pack(t, sampleIndex)), "long": sampleIndex + long,
	} {
		paths, err := readContents(strings.NewReader(text))
		if got := string(bytes.Join(paths, []byte("|"))); err != nil || got != want {
			t.Errorf("%s: paths are %q, %v; want %q", name, got, err, want)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "lz4": "\x04\x22\x4d\x18\x00\x00 x", "one word": "usr/lib/a.so\n",
		"introduction": "FILE LOCATION\n",
	} {
		if paths, err := readContents(strings.NewReader(text)); !errors.Is(err, errContents) {
			t.Errorf("%s: %q, %v", name, paths, err)
		}
	}
	cut := pack(t, sampleIndex)
	if _, err := readContents(bytes.NewReader(cut[:len(cut)-9])); err == nil {
		t.Error("an index that was cut is taken")
	}
}

// TestPathLists expects every path once in each lap, and no key twice.
func TestPathLists(t *testing.T) {
	for _, count := range []int{1, 2, 3, 10, 618, 1000} {
		var paths [][]byte
		for i := range count {
			paths = append(paths, []byte("usr/"+strings.Repeat("a", i%7)+"/"+shortCount(i)))
		}
		slices.SortFunc(paths, bytes.Compare)
		name := filepath.Join(t.TempDir(), "paths")
		if _, err := writePaths(name, paths); err != nil {
			t.Fatal(err)
		}
		list, err := openPaths(name)
		if err != nil {
			t.Fatal(err)
		}
		set := keySet{kind: keysPaths, seed: 7, paths: list}
		seen := map[string]bool{}
		for i := range 3 * count {
			key := string(set.appendKey(nil, uint64(i)))
			path, _, _ := strings.Cut(key, "\t")
			_, found := slices.BinarySearchFunc(paths, []byte(path), bytes.Compare)
			if seen[key] || !found || (i < count) != (key == path) {
				t.Fatalf("key %d of %d paths is %q", i, count, key)
			}
			seen[key] = true
		}
		if err := list.close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openPaths(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a list that is not there is mapped")
	}
}

// TestRunWithContents measures with the paths of an index of its own.
func TestRunWithContents(t *testing.T) {
	dir := t.TempDir()
	var index strings.Builder
	made := keySet{kind: keysPaths, seed: 3}
	for i := range uint64(700) {
		index.Write(made.appendKey(nil, i))
		index.WriteString("  libs/some\n")
	}
	contents := filepath.Join(dir, "Contents-amd64.gz")
	if err := os.WriteFile(contents, pack(t, index.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	jsonPath := filepath.Join(dir, "result.json")
	run := func(contents string) (int, string) {
		var out, diag bytes.Buffer
		code := dispatch(context.Background(), []string{
			"smoke", "-n", "500", "-commits", "3", "-peers", "bbolt", "-base", "bbolt", "-json",
			jsonPath, "-workloads", "load-ordered,get-long,get-miss,prefix,put-1",
			"-keys", "paths", "-contents", contents,
		}, nil, &out, &diag)
		return code, out.String() + diag.String()
	}
	if code, text := run(contents); code != exitOK || !strings.Contains(text, "Contents index") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	r, err := loadResult(jsonPath)
	if err != nil || len(r.Scale.Contents) != 16 {
		t.Errorf("the sum of the index is %q, %v", r.Scale.Contents, err)
	}
	if code, text := run(jsonPath); code != exitProblem {
		t.Errorf("an index that is none: exit code %d\n%s", code, text)
	}
	if code, text := run(contents + "x"); code != exitProblem {
		t.Errorf("an index that is not there: exit code %d\n%s", code, text)
	}
}
