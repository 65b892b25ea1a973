package view

import (
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/recording"
)

// Of is the archive as views need it.
func Of(a *archive.Archive) Archive { return ofArchive{a} }

type ofArchive struct{ *archive.Archive }

func (a ofArchive) OpenSamples(id recording.ID) (virtual.Source, error) {
	s, err := a.Archive.OpenSamples(id)
	if err != nil {
		return nil, err // not s, which would be an interface that is not nil
	}
	return s, nil
}

// The bytes of complete recordings go by sendfile(2).
var _ virtual.Sender = (*archive.Samples)(nil)
