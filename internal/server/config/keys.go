package config

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

//go:embed config.go
var source string

// Key is one key of the file, as its field tells it.
type Key struct{ Name, Default, Text string }

// Keys lists the names of all keys, in the order of the struct.
func Keys() []string {
	var names []string
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("toml"))
	}
	return names
}

// Manual returns every key with its default and its comment, read from this package's source.
func Manual() ([]Key, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var keys []Key
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Config" {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
			keys = append(keys, Key{tag.Get("toml"), tag.Get("default"), strings.ReplaceAll(strings.TrimSpace(f.Doc.Text()), "\n", " ")})
		}
		return false
	})
	return keys, nil
}

// Page returns docs/ref/config.md.
func Page() (string, error) {
	keys, err := Manual()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# The configuration file\n\nStatus: **current**. Made from the comments in `internal/server/config/config.go` by `go test ./internal/server/config -update`.\n\n")
	b.WriteString("Nightjar reads `" + DefaultFile + "` if it exists, or the file named with `--config`. Every key is optional. Unknown keys are\nrefused with their line. Flags win over the file. Cameras, directories and retention are not here: change them with\n`nightjar camera`, `nightjar dir` and the API while the server runs.\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "\n## `%s`\n\nDefault: `%s`.\n\n%s\n", k.Name, k.Default, k.Text)
	}
	return b.String(), nil
}
