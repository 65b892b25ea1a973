package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/store/recording"
)

// TestE2ETranscripts lets simulated cameras answer as real ones did: each is recorded, or the reason is named.
func TestE2ETranscripts(t *testing.T) {
	needE2E(t)
	var files []string
	for _, pattern := range []string{"rtsp/retina/*_describe*.txt", "rtsp/retina/*_sdp.txt", "sdp/*.sdp"} {
		found, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "testdata", pattern))
		must(t, err)
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skip("no transcripts beside the repository")
	}
	var table []string
	recorded := 0
	for batch := range slices.Chunk(files, 12) {
		for _, line := range transcripts(t, batch) {
			if strings.Contains(line, " records ") {
				recorded++
			}
			table = append(table, line)
		}
	}
	fmt.Println(strings.Join(table, "\n"))
	figures(t, "%d transcripts: %d record, %d end in a named reason", len(files), recorded, len(table)-recorded)
	if recorded < len(files)/2 {
		t.Errorf("only %d of %d are recorded", recorded, len(files))
	}
}

// transcripts tries a batch side by side and returns a line for each.
func transcripts(t *testing.T, files []string) (table []string) {
	data := e2eData(t)
	type trial struct {
		name  string
		sim   *camera
		state state
	}
	var trials []*trial
	for i, file := range files {
		name := fmt.Sprintf("%02d", i)
		sim := launchCamsim(t, "--file", file, "--size", "320x192", "--bitrate", "300k", "--gop", "15", "--sub-size", "none")
		command(t, "camera", "add", name, "--main", sim.url("/cam0"), "--transport", "tcp", "--audio", "on", "--data", data)
		trials = append(trials, &trial{name: name, sim: sim})
	}
	server := launchNightjar(t, "run", "--data", data, "--listen", "127.0.0.1:0")
	within(t, time.Minute, "each is received or says why not", func() bool {
		for _, x := range trials {
			if x.state = stateOf(t, server.base, x.name); x.state.Phase != "recording" && x.state.Reason == "" {
				return false
			}
		}
		return true
	})
	within(t, 30*time.Second, "what is received is recorded, or says why not", func() bool {
		for _, x := range trials {
			if x.state.Phase != "recording" {
				continue
			}
			x.state = stateOf(t, server.base, x.name)
			if x.state.Phase == "recording" && samples(t, server.base, x.name+"/main") == 0 {
				return false
			}
		}
		return true
	})
	server.end(syscall.SIGTERM)
	if said := server.err.String(); strings.Contains(said, "panic") || strings.Contains(said, "goroutine ") {
		t.Errorf("the server: %s", said)
	}
	for i, x := range trials {
		if said := x.sim.err.String(); strings.Contains(said, "panic") {
			t.Errorf("camsim with %s: %s", files[i], said)
		}
		x.sim.end(syscall.SIGTERM)
		table = append(table, verdict(t, data, x.name, files[i], x.state))
	}
	return table
}

// verdict says what became of a transcript, and finds fault with what is neither.
func verdict(t *testing.T, data, camera, file string, s state) string {
	n := 0
	text := ""
	for _, r := range offlineRecordings(t, data, camera+"/main") {
		n += r.VideoSamples
		text = fmt.Sprintf("%s %dx%d %s", r.RFC6381, r.Width, r.Height, r.Audio)
	}
	name := filepath.Base(file)
	switch {
	case n > 0:
		return fmt.Sprintf("  %-66s records %s", name, text)
	case !recording.Reason(s.Reason).Valid() || s.Reason == string(recording.Unknown) || s.Detail == "" || strings.Contains(s.Detail, "unexpected"):
		t.Errorf("%s: nothing is recorded, and the reason is no good: %+v", name, s)
	}
	return fmt.Sprintf("  %-66s %s: %s", name, s.Reason, s.Detail)
}
