package check

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// Live is the store of the running server in this process. All of it is required.
type Live struct {
	Catalog *catalog.Catalog
	Flush   func(context.Context) error // gives rows to what is sealed by now
	Writing func() []recording.ID       // what is being recorded: not in the tail log yet, or not sealed
}

// maxSuspects bounds what is remembered to be looked at again.
const maxSuspects = 10_000

// suspects collects what a check of a running store finds. What may come from things moving on in between counts once it
// is found a second time.
type suspects struct {
	list    []suspect
	dropped int64 // beyond maxSuspects
}

type suspect struct {
	Finding
	sure bool
}

// matter is what two findings about the same have in common.
type matter struct {
	kind      Kind
	dir       string
	recording recording.ID
	detail    string // where there is no recording to tell by
}

func (f *Finding) matter() matter {
	m := matter{f.Kind, f.Dir, f.Recording, ""}
	if f.Recording == 0 && f.Kind != Quarantined {
		m.detail = f.Detail
	}
	return m
}

func (s *suspects) add(f Finding) {
	if len(s.list) == maxSuspects {
		s.dropped++
		return
	}
	s.list = append(s.list, suspect{f, f.Kind.sure()})
}

// sure reports whether one look settles it: the catalog is read as of one instant, so nothing can move on within what it
// says about itself.
func (k Kind) sure() bool { return k == CatalogDamaged || k == CatalogMismatch || k.unread() }

// unread reports whether a directory was left out, after several attempts.
func (k Kind) unread() bool { return k == DirectoryWrong || k == DirectoryError }

// runLive checks a running store. A recording's life goes one way (in progress, logged, sealed, row, garbage, gone), and
// what a look takes for a contradiction because the recording took a step between two of its readings can't look so in
// the next, which begins after that step. So the second look, at the suspects alone, settles it.
func runLive(ctx context.Context, o Options, yield func(Finding)) (Summary, error) {
	var s suspects
	first := &checker{options: o, catalog: o.Live.Catalog, yield: s.add}
	if err := first.run(ctx); err != nil {
		return first.summary, err
	}
	if slices.ContainsFunc(s.list, func(x suspect) bool { return !x.sure }) {
		if err := o.Live.Flush(ctx); err != nil {
			return first.summary, fmt.Errorf("enter complete recordings into the catalog: %w", err)
		}
		if err := s.confirm(ctx, o); err != nil {
			return first.summary, err
		}
	}
	last := &checker{summary: first.summary, yield: yield}
	last.summary.Findings = 0
	for _, x := range s.list {
		if x.sure {
			last.report(x.Finding)
		}
	}
	if s.dropped > 0 {
		last.report(Finding{
			Kind: Unconfirmed, Severity: Error, Detail: fmt.Sprintf("%d more contradictions were seen and not looked at twice", s.dropped),
			Hint: "stop the server and check again for all of them",
		})
	}
	return last.summary, nil
}

// confirm looks at the suspects once more.
func (s *suspects) confirm(ctx context.Context, o Options) error {
	only, again := make(map[recording.ID]bool), make(map[matter]bool)
	for _, x := range s.list {
		if x.Recording != 0 {
			only[x.Recording] = true
		}
	}
	var sure []Finding
	o.Progress = nil
	second := &checker{options: o, catalog: o.Live.Catalog, only: only, yield: func(f Finding) {
		again[f.matter()] = true
		if f.Kind.sure() {
			sure = append(sure, f)
		}
	}}
	if err := second.run(ctx); err != nil {
		return err
	}
	for i := range s.list {
		x := &s.list[i]
		x.sure = x.sure || again[x.matter()] || slices.ContainsFunc(sure, func(f Finding) bool { return f.Kind.unread() && f.Dir == x.Dir })
	}
	for _, f := range sure { // trouble that was not there the first time
		if !slices.ContainsFunc(s.list, func(x suspect) bool { return x.Kind == f.Kind && x.Dir == f.Dir }) {
			s.list = append(s.list, suspect{f, true})
		}
	}
	return nil
}

// rowsAgain compares the rows of suspects with their files.
func (c *checker) rowsAgain(ctx context.Context) error {
	for id := range c.only {
		dir, err := c.catalog.DirectoryOf(ctx, id)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := c.row(ctx, catalog.Brief{ID: id, Directory: dir}); err != nil {
			return err
		}
	}
	return nil
}
