package main

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// TestE2EFootprint measures memory and start-up. On a busy machine only four times the limits are an error; the long form
// holds them exactly.
func TestE2EFootprint(t *testing.T) {
	needE2E(t)
	slack := either[int64](4, 1)
	var starts []time.Duration
	for range 5 {
		data := e2eData(t)
		began := time.Now()
		p := launch(t, exec.Command(program(t, "nightjar"), "run", "--data", data, "--listen", "127.0.0.1:0"))
		for len(p.out.String()) == 0 && time.Since(began) < time.Minute {
			<-time.After(time.Millisecond)
		}
		starts = append(starts, time.Since(began))
		p.end(15)
	}
	slices.Sort(starts)
	start := starts[len(starts)/2]

	idle := launchNightjar(t, "run", "--data", e2eData(t), "--listen", "127.0.0.1:0")
	var status map[string]any
	ask(t, idle.base, "/status", &status)
	<-time.After(either(5*time.Second, time.Minute))
	idleBytes := idle.memory()
	idle.end(15)

	const cameras = 16
	sim := launchCamsim(t, "--cameras", fmt.Sprint(cameras), "--sub-size", "none")
	data := e2eData(t)
	for i := range cameras {
		command(t, "camera", "add", fmt.Sprint("cam", i), "--main", sim.url(fmt.Sprint("/cam", i)), "--transport", "tcp", "--data", data)
	}
	server := launchNightjar(t, "run", "--data", data, "--listen", "127.0.0.1:0")
	within(t, time.Minute, "all are received", func() bool {
		ask(t, server.base, "/status", &status)
		return status["recording"] == float64(cameras)
	})
	seconds := either(60, 600)
	ticks, bytes := processorTicks(t, server.process), int64(0)
	for range seconds {
		<-time.After(time.Second)
		bytes = max(bytes, server.memory())
	}
	ticks = processorTicks(t, server.process) - ticks
	perMinute := float64(ticks) / 100 / float64(seconds) * 60 / cameras
	figures(t, "start to ready %v (median of 5, all %v), idle %.1f MB, %d cameras 1080p30 for %d s: at most %.1f MB, %.3f CPU s per stream-minute",
		start.Round(time.Millisecond), starts, float64(idleBytes)/1e6, cameras, seconds, float64(bytes)/1e6, perMinute)
	if start > time.Duration(slack)*300*time.Millisecond {
		t.Errorf("start to ready takes %v, %v allowed", start, 300*time.Millisecond)
	}
	if idleBytes > slack*25<<20 {
		t.Errorf("an idle server takes %d bytes", idleBytes)
	}
	if bytes > slack*64<<20 {
		t.Errorf("%d cameras take %d bytes", cameras, bytes)
	}
	ask(t, server.base, "/status", &status)
	if status["recording"] != float64(cameras) {
		t.Errorf("status: %v", status)
	}
}
