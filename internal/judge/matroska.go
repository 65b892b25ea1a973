package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Container is what mkvmerge says about a file, of whatever format it knows.
type Container struct {
	Type   string
	Tracks []ContainerTrack
}

// ContainerTrack is one track of it.
type ContainerTrack struct {
	ID         int
	Kind       string // "video", "audio", "subtitles"
	Codec      string
	CodecID    string
	Dimensions string // of the picture: "640x360"
}

// Identify runs mkvmerge --identify, which must recognise and support the file and neither warn nor fail.
func Identify(ctx context.Context, file string) (Container, error) {
	var out bytes.Buffer
	_, err := run(ctx, &out, "mkvmerge", "-J", file)
	var j struct {
		Container struct {
			Recognized bool   `json:"recognized"`
			Supported  bool   `json:"supported"`
			Type       string `json:"type"`
		} `json:"container"`
		Errors, Warnings []string
		Tracks           []struct {
			ID         int    `json:"id"`
			Kind       string `json:"type"`
			Codec      string `json:"codec"`
			Properties struct {
				CodecID    string `json:"codec_id"`
				Dimensions string `json:"pixel_dimensions"`
			} `json:"properties"`
		} `json:"tracks"`
	}
	if jsonErr := json.Unmarshal(out.Bytes(), &j); jsonErr != nil {
		return Container{}, fmt.Errorf("identify %s with mkvmerge: %w", file, errors.Join(err, jsonErr))
	}
	c := Container{Type: j.Container.Type}
	for _, t := range j.Tracks {
		c.Tracks = append(c.Tracks, ContainerTrack{t.ID, t.Kind, t.Codec, t.Properties.CodecID, t.Properties.Dimensions})
	}
	if said := append(j.Errors, j.Warnings...); len(said) > 0 {
		err = errors.Join(err, errors.New(strings.Join(said, "; ")))
	}
	if !j.Container.Recognized || !j.Container.Supported {
		err = errors.Join(err, errors.New("not recognised or not supported"))
	}
	if err != nil {
		return c, fmt.Errorf("identify %s with mkvmerge: %w", file, err)
	}
	return c, nil
}

// Mkvmerge is Identify for tests.
func Mkvmerge(t testing.TB, file string) Container {
	t.Helper()
	c, err := Identify(testContext(t), file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
