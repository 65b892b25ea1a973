package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func TestHouse(t *testing.T) {
	files, err := tree(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files found", len(files))
	}
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, line := range rule(files) {
				t.Error(line)
			}
		})
	}
}

// TestPlanted shows each rule a violation and expects it to be found, and the same file without it passed.
func TestPlanted(t *testing.T) {
	const doc = "// Package x is long enough a comment to say what this package is for and what it holds.\n"
	long := strings.Repeat("\t_ = 0\n", maxFunc)
	for _, c := range []struct{ rule, path, text, want string }{
		{"order of packages", "internal/media/mp4/a.go", `package mp4; import _ "nightjar/internal/store/archive"`, "stands above"},
		{"order of packages", "internal/media/new/a.go", `package new`, "no place"},
		{"order of packages", "internal/store/archive/a.go", `package archive; import _ "nightjar/internal/crashfs"`, "beside"},
		{"order of packages", "internal/camsim/a.go", `package camsim; import _ "nightjar/internal/media/rtp"`, "both sides"},
		{"third-party imports", "internal/media/mp4/a.go", `package mp4; import _ "github.com/google/uuid"`, "not on the list"},
		{"sizes", "internal/media/mp4/a.go", "package mp4\nfunc f() {\n" + long + "}\n", "at most 150"},
		{"sizes", "internal/media/mp4/a.go", "package mp4\n" + strings.Repeat("// line\n", maxFile), "at most 1000"},
		{"goroutines", "internal/media/mp4/a.go", "package mp4\nfunc f() { go f() }\n", "starts a goroutine"},
		{"goroutines", "internal/camera/a.go", "package camera\nfunc f() {\n" + strings.Repeat("go f()\n", goBudget+1) + "}\n", "at 41 places"},
		{"disk and clock", "internal/store/archive/a.go", `package archive; import _ "os"`, "through vfs only"},
		{"disk and clock", "internal/store/archive/a.go", "package archive\nimport \"time\"\nvar _ = time.Now()\n", "Now function"},
		{"package documents", "internal/media/mp4/a.go", "package mp4\n", "does not say"},
		{"contexts in structs", "internal/media/mp4/a.go", "package mp4\nimport \"context\"\ntype t struct { c context.Context }\n", "kept in a struct"},
		{"programs not started", "internal/server/nvr/a.go", `package nvr; import _ "os/exec"`, "never starts"},
		{"package names", "internal/store/util/a.go", "package util\n", "after nothing"},
	} {
		s, err := parse(c.path, []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		found := rules[c.rule]([]source{s})
		if !slices.ContainsFunc(found, func(line string) bool { return strings.Contains(line, c.want) }) {
			t.Errorf("%s: planted %q not found; got %v", c.rule, c.want, found)
		}
	}
	clean, err := parse("internal/media/mp4/a.go", []byte(doc+"package mp4\n\nimport _ \"nightjar/internal/media\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, rule := range rules {
		if found := rule([]source{clean}); len(found) > 0 {
			t.Errorf("%s: a clean file has findings: %v", name, found)
		}
	}
}

// TestLinks finds links between documents that lead nowhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) == 0 {
		t.Fatal("no pages found")
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: link to %s leads nowhere", page, m[1])
			}
		}
	}
}

// TestReadme holds the README to its length.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, at most 150", n)
	}
}
