package mapleaf_test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file keeps the shape of the source: who may import whom, and how long
// files, functions and lines may be.

const (
	module = "github.com/mapleafdb/mapleaf"

	fileLinesMax     = 600
	testFileLinesMax = 800
	funcLinesMax     = 70
	lineColumnsMax   = 100
)

// A sourceFile is one parsed file of the checkout.
type sourceFile struct {
	path    string // with slashes, from the root
	content []byte
	set     *token.FileSet
	tree    *ast.File
}

func (f *sourceFile) dir() string          { return path.Dir(f.path) }
func (f *sourceFile) test() bool           { return strings.HasSuffix(f.path, "_test.go") }
func (f *sourceFile) line(p token.Pos) int { return f.set.Position(p).Line }

// sourceFiles parses every Go file of the checkout, of all three modules.
func sourceFiles(t *testing.T) []*sourceFile {
	t.Helper()
	var files []*sourceFile
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f := &sourceFile{path: filepath.ToSlash(name), content: content, set: token.NewFileSet()}
		f.tree, err = parser.ParseFile(f.set, name, content, parser.ParseComments)
		files = append(files, f)
		return err
	})
	must(t, err)
	if len(files) < 40 {
		t.Fatalf("found only %d files: the test runs in the wrong folder", len(files))
	}
	return files
}

// imports returns what the file imports.
func (f *sourceFile) imports(t *testing.T) (paths []string) {
	t.Helper()
	for _, spec := range f.tree.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		must(t, err)
		paths = append(paths, name)
	}
	return paths
}

// standard reports whether the import path is of the standard library.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// allowedImports says what the packages may import besides the standard library.
var allowedImports = map[string][]string{
	".": {module + "/tx", module + "/mmapfile", module + "/internal/invariant",
		"github.com/cespare/xxhash/v2", "github.com/google/btree", "golang.org/x/sys/unix"},
	"errors":             {module},
	"internal/dbtest":    {module},
	"internal/hostile":   {"github.com/cespare/xxhash/v2"},
	"internal/inject":    {module + "/internal/invariant"},
	"internal/invariant": {},
	"tx":                 {module + "/internal/invariant"},
	"mmapfile": {module + "/internal/inject", "golang.org/x/sys/unix",
		"golang.org/x/sys/windows"},
}

// forbiddenImports says what of the standard library the packages must not import.
var forbiddenImports = map[string][]string{
	".":        {"unsafe", "syscall"},
	"errors":   {"unsafe", "syscall", "os"},
	"tx":       {"os", "syscall", "net", "os/exec"},
	"mmapfile": {"net", "os/exec"},
}

// TestImports checks the packages of the root module. Tests may import what the
// root package may, and the helpers of tests.
func TestImports(t *testing.T) {
	unsafeFiles := map[string][]string{}
	for _, f := range sourceFiles(t) {
		allowed, known := allowedImports[f.dir()]
		if !known {
			if !strings.HasPrefix(f.path, "cmd/") && !strings.HasPrefix(f.path, "bench/") &&
				!strings.HasPrefix(f.path, ".ci/") {
				t.Errorf("%s is in a folder that the test does not know", f.path)
			}
			continue
		}
		for _, name := range f.imports(t) {
			switch {
			case f.test() && (standard(name) || strings.HasPrefix(name, module)):
			case slices.Contains(forbiddenImports[f.dir()], name):
				t.Errorf("%s imports %s", f.path, name)
			case !standard(name) && !slices.Contains(allowed, name) &&
				!(f.test() && slices.Contains(allowedImports["."], name)):
				t.Errorf("%s imports %s", f.path, name)
			}
			if name == "unsafe" && !f.test() {
				unsafeFiles[f.dir()] = append(unsafeFiles[f.dir()], f.path)
			}
		}
	}
	for dir, files := range unsafeFiles {
		if dir != "mmapfile" && !(dir == "tx" && len(files) == 1) {
			t.Errorf("unsafe is in %v", files)
		}
	}
}

// TestModules sees that the other two modules do not leak into the root's.
func TestModules(t *testing.T) {
	content, err := os.ReadFile("go.mod")
	must(t, err)
	var got []string
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") {
			got = append(got, fields[0])
		}
	}
	slices.Sort(got)
	want := []string{"github.com/cespare/xxhash/v2", "github.com/google/btree", "golang.org/x/sys"}
	if !slices.Equal(got, want) {
		t.Fatalf("the root module requires %v, want %v", got, want)
	}
}

// TestSizes measures files, functions and lines.
func TestSizes(t *testing.T) {
	for _, f := range sourceFiles(t) {
		limit, lines := fileLinesMax, bytes.Count(f.content, []byte("\n"))
		if f.test() {
			limit = testFileLinesMax
		}
		if lines > limit {
			t.Errorf("%s has %d lines, at most %d are allowed", f.path, lines, limit)
		}
		for _, decl := range f.tree.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > funcLinesMax {
				t.Errorf("%s:%d: %s has %d lines, at most %d are allowed", f.path, f.line(fn.Pos()),
					fn.Name.Name, n, funcLinesMax)
			}
		}
		scan := bufio.NewScanner(bytes.NewReader(f.content))
		scan.Buffer(nil, 1<<20)
		for n := 1; scan.Scan(); n++ {
			text := scan.Text()
			if columns := len([]rune(text)); columns > lineColumnsMax {
				t.Errorf("%s:%d has %d columns, at most %d are allowed", f.path, n, columns,
					lineColumnsMax)
			}
		}
		must(t, scan.Err())
	}
}

// TestNothingIsSkipped finds tests that would not run, and notes to do later.
func TestNothingIsSkipped(t *testing.T) {
	for _, f := range sourceFiles(t) {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, call.Sel.Name) && f.test() {
				t.Errorf("%s:%d skips a test", f.path, f.line(call.Pos()))
			}
			return true
		})
		for _, group := range f.tree.Comments {
			for _, word := range []string{"TO" + "DO", "FIX" + "ME", "XXX"} {
				if strings.Contains(group.Text(), word) {
					t.Errorf("%s:%d: a comment says %s", f.path, f.line(group.Pos()), word)
				}
			}
		}
	}
}

// TestExportedNamesHaveDocs finds exported names of the three packages without a
// doc comment of their own or of their group.
func TestExportedNamesHaveDocs(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if f.test() || !slices.Contains([]string{".", "tx", "mmapfile", "errors"}, f.dir()) {
			continue
		}
		for _, decl := range f.tree.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
					t.Errorf("%s:%d: %s has no doc comment", f.path, f.line(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				shared := "" // a comment may speak of the names that follow too
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && v.Doc != nil {
						shared = v.Doc.Text()
					}
					if name := undocumented(d, spec); name != "" && !strings.Contains(shared, name) {
						t.Errorf("%s:%d: %s has no doc comment", f.path, f.line(spec.Pos()), name)
					}
				}
			}
		}
	}
}

// exportedReceiver reports whether fn is a function, or a method of an exported type.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	expr := fn.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, ok := expr.(*ast.Ident)
	return ok && name.IsExported()
}

// undocumented returns the exported name that spec declares without a comment.
func undocumented(group *ast.GenDecl, spec ast.Spec) string {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && group.Doc == nil {
			return s.Name.Name
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && s.Doc == nil && s.Comment == nil && group.Doc == nil {
				return name.Name
			}
		}
	}
	return ""
}
