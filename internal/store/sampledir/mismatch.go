package sampledir

import "fmt"

// What says which mix-up was found.
type What string

// The mix-ups.
const (
	Missing        What = "directory missing"          // the path does not exist
	NotDirectory   What = "not a directory"            // something else is there
	NoMeta         What = "no meta file"               // nothing is there, or files of somebody else
	Unfinished     What = "creation unfinished"        // a meta file of zeros: never registered
	Torn           What = "meta file torn"             // its checksum or structure is broken
	ForeignFormat  What = "meta file of other program" // readable, but without our checksum
	NewerVersion   What = "meta file of newer version" // written by a later version of this program
	WrongSize      What = "meta file of wrong size"    // not 512 bytes
	ForeignCatalog What = "foreign catalog"            // belongs to another catalog
	OtherDirectory What = "other directory"            // belongs to this catalog, but is not the one expected here
	DirOlder       What = "directory older"            // an older copy than the catalog knows
	CatalogOlder   What = "catalog older"              // the directory was used by a later copy of the catalog
	Forked         What = "forked and crossed"         // same number of opens since a common past, but other ones
	Twice          What = "same directory twice"       // two paths lead to one directory
	InUse          What = "in use"                     // another process holds its lock
	NotWritable    What = "not writable"               // permissions, or mounted read-only
	Registered     What = "already registered"         // Create: a catalog keeps recordings here
	HasFiles       What = "sample files present"       // Create or Delete: sample files without an owner would be lost
)

// MismatchError says that a directory is not what it should be. Nothing was written to it.
type MismatchError struct {
	Path string
	What What
	Have string // what is there
	Want string // what the catalog expects
	Hint string // the way out, for a person
	Err  error  // what the system said, if it said anything
}

func (e *MismatchError) Error() string {
	s := fmt.Sprintf("sample file directory %s: %s", e.Path, e.What)
	if e.Have != "" {
		s += ": found " + e.Have
	}
	if e.Want != "" {
		s += ", expected " + e.Want
	}
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *MismatchError) Unwrap() error { return e.Err }

// verify compares a meta file with what the catalog expects, in the seed's order: catalog, directory, opens.
func verify(path string, m *Meta, want *Expect) error {
	if m.Catalog != want.CatalogUUID {
		return &MismatchError{
			Path: path, What: ForeignCatalog,
			Have: "catalog " + uuidString(m.Catalog), Want: "catalog " + uuidString(want.CatalogUUID),
			Hint: "start with the data directory that this disk belongs to, or mount the right disk here",
		}
	}
	if m.Dir != want.DirUUID {
		return &MismatchError{
			Path: path, What: OtherDirectory,
			Have: "directory " + uuidString(m.Dir), Want: "directory " + uuidString(want.DirUUID),
			Hint: "another directory of this catalog is mounted here: exchange the mounts, or correct the paths",
		}
	}
	return verifyOpens(path, m, want.LastCompleteOpen)
}

func verifyOpens(path string, m *Meta, want *OpenRef) error {
	switch {
	case want == nil && m.LastComplete == nil:
		return nil
	case want == nil:
		return opensMismatch(path, CatalogOlder, m, nil)
	case matches(m.LastComplete, want) || matches(m.InProgress, want):
		return nil
	}
	newest := uint32(0)
	for _, o := range []*OpenRef{m.LastComplete, m.InProgress} {
		if o == nil {
			continue
		}
		if o.ID == want.ID {
			return opensMismatch(path, Forked, m, want)
		}
		newest = max(newest, o.ID)
	}
	if newest < want.ID {
		return opensMismatch(path, DirOlder, m, want)
	}
	return opensMismatch(path, CatalogOlder, m, want)
}

func opensMismatch(path string, what What, m *Meta, want *OpenRef) error {
	e := &MismatchError{Path: path, What: what, Have: "never completely opened", Want: "never completely opened"}
	if m.LastComplete != nil {
		e.Have = "last complete " + m.LastComplete.String()
	}
	if m.InProgress != nil {
		e.Have += ", in progress " + m.InProgress.String()
	}
	if want != nil {
		e.Want = want.String()
	}
	switch what {
	case DirOlder:
		e.Hint = "an older copy of the directory is mounted here: mount the current one, or restore the catalog of the same age"
	case CatalogOlder:
		e.Hint = "the catalog is an older copy than the directory: use the current catalog, or rebuild it from its directories"
	case Forked:
		e.Hint = "catalog and directory were copied and each went on alone: bring those together that belong together"
	}
	return e
}

func matches(have, want *OpenRef) bool { return have != nil && *have == *want }
