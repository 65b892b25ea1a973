package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// source is one parsed Go file.
type source struct {
	path    string // slash-separated, relative to the module root
	test    bool
	lines   int
	fset    *token.FileSet
	file    *ast.File
	imports []string
}

// pkg returns the package directory relative to internal/, or the path below the module root for other code.
func (s source) pkg() string {
	dir := s.path[:strings.LastIndexByte(s.path, '/')+1]
	return strings.TrimPrefix(strings.TrimSuffix(dir, "/"), "internal/")
}

// parse reads one file.
func parse(path string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{path: path, test: strings.HasSuffix(path, "_test.go"), fset: fset, file: file}
	s.lines = fset.File(file.Pos()).LineCount()
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, name)
	}
	return s, nil
}

// tree parses every Go file below internal/ and cmd/ of root.
func tree(root fs.FS) ([]source, error) {
	var all []source
	for _, top := range []string{"internal", "cmd"} {
		err := fs.WalkDir(root, top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules") {
				return fs.SkipDir
			}
			if d.IsDir() || filepath.Ext(path) != ".go" {
				return nil
			}
			text, err := fs.ReadFile(root, path)
			if err != nil {
				return err
			}
			s, err := parse(path, text)
			all = append(all, s)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
