package main

import (
	"fmt"
	"math/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/judge"
)

// safe is how long before the kill a sample must have been written to the socket to be owed.
const safe = 500 * time.Millisecond

// TestE2EKill kills the server at random instants while it records 8 streams. After each: it starts again by itself,
// check finds nothing at level hash, what was complete is there, and so is every sample that was sent 0.5 s before.
func TestE2EKill(t *testing.T) {
	needE2E(t)
	judge.Need(t, "ffmpeg")
	const streams = 8
	rounds := either(6, 50)
	sim := launchCamsim(t, "--cameras", fmt.Sprint(streams), "--sub-size", "none", "--size", "640x360", "--bitrate", "1M", "--gop", "30")
	data := e2eData(t)
	for i := range streams {
		command(t, "camera", "add", fmt.Sprint("cam", i), "--main", sim.url(fmt.Sprint("/cam", i)), "--transport", "tcp", "--data", data)
	}
	seed := time.Now().UnixNano()
	random := rand.New(rand.NewSource(seed))
	k := &killing{t: t, sim: sim, data: data, streams: streams, complete: map[string]taken{}}
	for round := range rounds {
		k.round(round, time.Duration(1+random.Intn(either(8000, 20_000)))*time.Millisecond)
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
	figures(t, "%d kills of %d streams: %d of %d owed samples there (%d more than owed), %d complete recordings kept, %d recordings checked by hash, start after a kill %v at most, machine stalled %v at most, seed %d",
		rounds, streams, k.owed-k.lost, k.owed, k.more, len(k.complete), k.checked, k.slowest.Round(time.Millisecond), k.stalled.Round(time.Millisecond), seed)
}

// killing is what the rounds have in common.
type killing struct {
	t        *testing.T
	sim      *camera
	data     string
	streams  int
	complete map[string]taken // by id, as they were before a kill

	owed, lost, more, checked int
	slowest, stalled          time.Duration
}

// stall returns how long the machine kept the simulated cameras from sending shortly before the kill: what it keeps from
// them it keeps from the server too, which the promise does not count.
func stall(s camsim.SessionWritten, killed time.Time) (most time.Duration) {
	const usual = 100 * time.Millisecond
	previous := killed.Add(-3 * time.Second)
	for _, x := range s.Samples {
		if x.Kind == "video" && x.At.After(previous) && !x.At.After(killed) {
			if previous.After(s.Samples[0].At) {
				most = max(most, x.At.Sub(previous)-usual)
			}
			previous = x.At
		}
	}
	return max(most, killed.Sub(previous)-usual, 0)
}

// round records for a while, kills, and looks at what is left.
func (k *killing) round(round int, after time.Duration) {
	t := k.t
	began := time.Now()
	server := launchNightjar(t, "run", "--data", k.data, "--listen", "127.0.0.1:0")
	k.slowest = max(k.slowest, time.Since(began))
	before := map[string]camsim.PathCounts{}
	within(t, time.Minute, "all streams send", func() bool {
		for i := range k.streams {
			path := fmt.Sprint("/cam", i)
			before[path] = k.sim.counts(path)
			if s := last(before[path].Sessions); s == nil || s.Ended != nil || s.Started.Before(began) || s.SamplesSent == 0 {
				return false
			}
		}
		return true
	})
	<-time.After(after) // the random instant
	for i := range k.streams {
		for _, r := range recordings(t, server.base, fmt.Sprintf("cam%d/main", i)) {
			if !r.Growing {
				k.complete[r.ID] = r
			}
		}
	}
	killed := time.Now()
	must(t, server.cmd.Process.Signal(syscall.SIGKILL))
	<-server.done

	list := command(t, "camera", "list", "--data", k.data) // opening completes what was being recorded
	if strings.Count(list, "/main") != k.streams {
		t.Errorf("camera list: %s", list)
	}
	out, err := exec.Command(program(t, "nightjar"), "check", "--level", "hash", "--data", k.data).CombinedOutput()
	if err != nil {
		t.Errorf("check: %v: %s", err, out)
	}
	for i := range k.streams {
		k.look(round, i, killed)
	}
}

func last(all []camsim.SessionCounts) *camsim.SessionCounts {
	if len(all) == 0 {
		return nil
	}
	return &all[len(all)-1]
}

// look compares what is recorded of a stream with what was sent.
func (k *killing) look(round, camera int, killed time.Time) {
	t, path, stream := k.t, fmt.Sprint("/cam", camera), fmt.Sprintf("cam%d/main", camera)
	all := offlineRecordings(t, k.data, stream)
	stored := map[string]taken{}
	for _, r := range all {
		stored[r.ID] = r
		if r.Growing || r.EndReason == "" && r.ID == all[len(all)-1].ID {
			t.Errorf("%s: not complete after the start: %+v", stream, r)
		}
	}
	k.checked += len(all)
	for id, was := range k.complete {
		if strings.HasPrefix(id, fmt.Sprint(camera+1, "/")) {
			if is := stored[id]; is.VideoSamples != was.VideoSamples || is.Bytes != was.Bytes || is.StartTime90k != was.StartTime90k {
				t.Errorf("%s: complete before the kill: %+v; after: %+v", stream, was, is)
			}
		}
	}
	var written []camsim.SessionWritten
	k.sim.get("/written?path="+path, &written)
	var session camsim.SessionWritten
	for _, s := range written {
		if len(s.Samples) > 0 {
			session = s
		}
	}
	held := stall(session, killed)
	k.stalled = max(k.stalled, held)
	owed, sent := 0, 0
	for _, s := range session.Samples {
		if s.Kind == "video" {
			sent++
			if killed.Sub(s.At) >= safe+held {
				owed++
			}
		}
	}
	if len(all) == 0 {
		if owed > 0 {
			t.Errorf("%s: nothing is recorded, %d samples are owed", stream, owed)
		}
		return
	}
	have, run := 0, all[len(all)-1].Run
	var start int64
	for _, r := range all {
		if r.Run == run {
			if have == 0 {
				start = r.StartTime90k
			}
			have += r.VideoSamples
		}
	}
	k.owed += owed
	if have < owed || have > sent {
		k.lost += owed - have
		t.Errorf("%s: %d samples recorded of %d owed and %d sent", stream, have, owed, sent)
	}
	k.more += have - owed
	if camera == round%k.streams && have > 0 {
		k.decode(stream, start, all[len(all)-1].EndTime90k, have, session)
	}
}

// decode exports the whole last run of a stream: each picture is there, once, up to the last that is recorded.
func (k *killing) decode(stream string, start, end int64, have int, session camsim.SessionWritten) {
	t := k.t
	file := filepath.Join(t.TempDir(), "run.mp4")
	command(t, "export", stream, "--start", fmt.Sprintf("%dt", start), "--end", fmt.Sprintf("%dt", end), "-o", file, "--data", k.data)
	judge.FFmpegClean(t, file)
	strips := judge.Strips(t, file)
	var first int64 = -1
	for _, s := range session.Samples {
		if s.Kind == "video" {
			first = s.Number
			break
		}
	}
	if err := judge.Follow(strips); err != nil {
		t.Errorf("%s: %v", stream, err)
	}
	if len(strips) != have || int64(strips[0].Number) != first {
		t.Errorf("%s: %d pictures from number %d on, want %d from %d", stream, len(strips), strips[0].Number, have, first)
	}
}
