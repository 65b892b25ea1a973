package lint

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// rules are all rules that look at the whole tree; each returns one line per violation.
var rules = map[string]func([]source) []string{
	"order of packages":    checkOrder,
	"third-party imports":  checkThirdParty,
	"sizes":                checkSizes,
	"goroutines":           checkGoroutines,
	"disk and clock":       checkPureClock,
	"package documents":    checkDocs,
	"contexts in structs":  checkContexts,
	"programs not started": checkExec,
	"package names":        checkNames,
}

// checkOrder finds imports that run against the order, packages without a place, and the house importing what stands
// beside it.
func checkOrder(files []source) (found []string) {
	for _, s := range files {
		from := s.pkg()
		at := slices.Index(order, from)
		isBeside := slices.Contains(beside, from)
		if strings.HasPrefix(s.path, "internal/") && at < 0 && !isBeside {
			found = append(found, s.path+": package "+from+" has no place in the order of the house")
			continue
		}
		if s.test {
			continue
		}
		for _, name := range s.imports {
			to, ours := strings.CutPrefix(name, "nightjar/internal/")
			switch {
			case !ours:
			case slices.Contains(beside, to):
				if !isBeside && !slices.Contains(commands[from], to) {
					found = append(found, s.path+": imports "+to+", which stands beside the house")
				}
			case at >= 0 && slices.Index(order, to) >= at:
				found = append(found, s.path+": "+from+" imports "+to+", which stands above it")
			case strings.HasPrefix(from, "camsim") && !strings.HasPrefix(to, "sys/"):
				found = append(found, s.path+": the simulated camera uses "+to+": a bug could hide on both sides")
			}
		}
	}
	return found
}

// checkThirdParty finds imports of modules that the package may not use.
func checkThirdParty(files []source) (found []string) {
	for _, s := range files {
		if s.test || slices.Contains(beside, s.pkg()) && s.pkg() != "judge" {
			continue
		}
		for _, name := range s.imports {
			host, _, _ := strings.Cut(name, "/")
			if !strings.Contains(host, ".") {
				continue
			}
			allowed := slices.ContainsFunc(thirdParty[s.pkg()], func(m string) bool { return name == m || strings.HasPrefix(name, m+"/") })
			if !allowed {
				found = append(found, s.path+": imports "+name+", not on the list of its package")
			}
		}
	}
	return found
}

// checkSizes finds files and functions that are too long.
func checkSizes(files []source) (found []string) {
	functions, long := 0, []string{}
	for _, s := range files {
		if s.test || ast.IsGenerated(s.file) {
			continue
		}
		if s.lines > maxFile {
			found = append(found, fmt.Sprintf("%s: %d lines, at most %d", s.path, s.lines, maxFile))
		}
		for _, decl := range s.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			functions++
			lines := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1
			if lines > longFunc {
				long = append(long, fmt.Sprintf("%s: %s has %d lines", s.path, fn.Name.Name, lines))
			}
			if lines > maxFunc {
				found = append(found, fmt.Sprintf("%s: %s has %d lines, at most %d", s.path, fn.Name.Name, lines, maxFunc))
			}
		}
	}
	if functions > 0 && len(long)*100 > functions*longFuncPercent {
		found = append(found, fmt.Sprintf("%d of %d functions are longer than %d lines, at most %d %%:", len(long), functions, longFunc, longFuncPercent))
		found = append(found, long...)
	}
	return found
}

// checkGoroutines finds goroutines where none belong, and counts all of them.
func checkGoroutines(files []source) (found []string) {
	total := 0
	for _, s := range files {
		if s.test || slices.Contains(beside, s.pkg()) || strings.HasPrefix(s.path, "cmd/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if !startsGoroutine(n) {
				return true
			}
			total++
			if slices.ContainsFunc(noGo, func(p string) bool {
				return s.pkg() == p || strings.HasSuffix(p, "/") && strings.HasPrefix(s.pkg(), p)
			}) {
				found = append(found, fmt.Sprintf("%s: starts a goroutine", s.fset.Position(n.Pos())))
			}
			return true
		})
	}
	if total > goBudget {
		found = append(found, fmt.Sprintf("the house starts goroutines at %d places, at most %d", total, goBudget))
	}
	return found
}

// startsGoroutine reports go statements and calls of a method named Go (errgroup.Group, sync.WaitGroup).
func startsGoroutine(n ast.Node) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Go"
}

// checkPureClock finds the storage packages reaching past vfs and past their Now function.
func checkPureClock(files []source) (found []string) {
	for _, s := range files {
		if s.test || !slices.Contains(pureClock, s.pkg()) {
			continue
		}
		for _, name := range s.imports {
			if name == "os" || name == "io/ioutil" || name == "syscall" && s.pkg() == "store/recording" {
				found = append(found, s.path+": imports "+name+": the disk is reached through vfs only")
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since" || sel.Sel.Name == "Until") {
					found = append(found, fmt.Sprintf("%s: time.%s: the clock is read through a Now function only", s.fset.Position(n.Pos()), sel.Sel.Name))
				}
			}
			return true
		})
	}
	return found
}

// checkDocs finds packages without a document comment.
func checkDocs(files []source) (found []string) {
	documented := map[string]bool{}
	var seen []string
	for _, s := range files {
		if s.test {
			continue
		}
		if !slices.Contains(seen, s.pkg()) {
			seen = append(seen, s.pkg())
		}
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 60 {
			documented[s.pkg()] = true
		}
	}
	for _, pkg := range seen {
		if !documented[pkg] {
			found = append(found, pkg+": the package does not say what it is")
		}
	}
	return found
}

// checkContexts finds contexts kept in structs.
func checkContexts(files []source) (found []string) {
	for _, s := range files {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			st, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range st.Fields.List {
				if sel, ok := f.Type.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == "context" && sel.Sel.Name == "Context" {
						found = append(found, fmt.Sprintf("%s: a context is kept in a struct", s.fset.Position(f.Pos())))
					}
				}
			}
			return true
		})
	}
	return found
}

// checkExec finds the product starting other programs: only the judges of tests do.
func checkExec(files []source) (found []string) {
	for _, s := range files {
		if !s.test && s.pkg() != "judge" && slices.Contains(s.imports, "os/exec") {
			found = append(found, s.path+": imports os/exec: the server never starts another program")
		}
	}
	return found
}

// checkNames finds packages named after nothing.
func checkNames(files []source) (found []string) {
	for _, s := range files {
		switch s.file.Name.Name {
		case "util", "utils", "common", "types", "base", "manager", "core", "defs", "model", "service", "handler", "helpers":
			found = append(found, s.path+": package "+s.file.Name.Name+" is named after nothing")
		}
	}
	return found
}
