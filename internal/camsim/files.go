package camsim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds a file that is played; it is held in memory.
const maxFile = 512 << 20

// fileSet is what Options.Files came to.
type fileSet struct {
	video      *elementary
	audio      func() audioSource // a source has state, so each stream gets its own
	transcript *transcript
}

// readFiles reads all files, at most one of each sort.
func readFiles(names []string) (fileSet, error) {
	var set fileSet
	for _, name := range names {
		if err := set.read(name); err != nil {
			return set, fmt.Errorf("play file %s: %w", name, err)
		}
	}
	if set.transcript != nil {
		return set, set.completeReplay()
	}
	return set, nil
}

var errSecond = errors.New("a second file of the same sort")

func (f *fileSet) read(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%d bytes are more than %d", info.Size(), maxFile)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".h264", ".264", ".avc", ".h265", ".265", ".hevc":
		if f.video != nil {
			return errSecond
		}
		f.video, err = readElementary(data, strings.Contains(ext, "265") || ext == ".hevc")
		return err
	case ".txt", ".sdp":
		if f.transcript != nil {
			return errSecond
		}
		f.transcript, err = readTranscript(name, data)
		return err
	}
	if f.audio != nil {
		return errSecond
	}
	if _, err := readAudio(name, data); err != nil {
		return err
	}
	f.audio = func() audioSource {
		a, _ := readAudio(name, data) // succeeded above
		return a
	}
	return nil
}

func readAudio(name string, data []byte) (audioSource, error) {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".aac", ".adts":
		return readADTS(data)
	case ".alaw", ".pcma":
		return newConstant(g711("PCMA", 8), data, 1)
	case ".ulaw", ".pcmu":
		return newConstant(g711("PCMU", 0), data, 1)
	case ".l16":
		return newConstant(linear16(toneRate, 1), data, 2)
	case ".wav":
		return readWAV(data)
	default:
		return nil, fmt.Errorf("ending %q is not one of .h264 .264 .avc .h265 .265 .hevc .aac .adts .alaw .pcma .ulaw .pcmu .l16 .wav .sdp .txt", ext)
	}
}
