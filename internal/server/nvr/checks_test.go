package nvr_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/server/nvr"
)

// checked is what POST /checks answers.
type checked struct {
	Version                      int
	Level                        string
	Recordings, Files, BytesRead int64
	Findings, Notes              []struct{ Kind, Severity, Directory, Recording, Detail string }
}

// TestCheckWhileRecording checks the store fifty times, every byte of it, while two cameras record, the recordings of
// one end early, and the other is removed with all of its; nothing is found. Then the bytes of one are changed, and that is found.
func TestCheckWhileRecording(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{Cameras: 2})
	data := dataDirectory(t)
	s := serve(t, data)
	for i, name := range []string{"A", "B"} {
		s.must("POST", "/cameras", fields{"name": name, "main": sim.url(fmt.Sprintf("/cam%d", i)), "sub": sim.url(fmt.Sprintf("/cam%d/sub", i))}, nil)
		s.listed(name+"/main", 5)
	}
	var over atomic.Bool
	restless := make(chan error, 1)
	removed := 0
	go func() { // recordings of A end and begin again; B goes with all its recordings, and comes again
		pause := time.NewTicker(300 * time.Millisecond)
		defer pause.Stop()
		for n := 0; !over.Load(); n++ {
			<-pause.C
			steps := []answer{s.ask("PATCH", "/cameras/A/main", fields{"record": false}), s.ask("PATCH", "/cameras/A/main", fields{"record": true})}
			if n%2 == 1 {
				removed += len(s.recordings("B/main"))
				steps = append(steps, s.ask("DELETE", "/cameras/B?confirm=B", nil),
					s.ask("POST", "/cameras", fields{"name": "B", "main": sim.url("/cam1"), "sub": sim.url("/cam1/sub")}))
			}
			for _, a := range steps {
				if a.status >= 300 {
					restless <- fmt.Errorf("%d %s", a.status, a.body)
					return
				}
			}
		}
		restless <- nil
	}()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	var bytes int64
	for round := range 50 {
		<-pause.C
		var c checked
		s.must("POST", "/checks?level=hash", nil, &c)
		if c.Version != 1 || c.Level != "hash" || len(c.Findings)+len(c.Notes) > 0 {
			t.Errorf("round %d: %+v", round, c)
		}
		bytes += c.BytesRead
	}
	over.Store(true)
	if err := <-restless; err != nil {
		t.Error(err)
	}
	ended := len(s.recordings("A/main"))
	t.Logf("%d bytes read, %d recordings of A, %d of B deleted", bytes, ended, removed)
	if bytes == 0 || ended < 2 || removed == 0 {
		t.Error("the store was not busy enough")
	}

	s.must("PATCH", "/cameras/A/main", fields{"record": false}, nil)
	var victim taken
	until(t, "a recording is complete", func() bool {
		list := s.recordings("A/main")
		if len(list) > 0 {
			victim = list[len(list)-1]
		}
		return victim.Bytes > 0 && !victim.Growing
	})
	var stream, n uint64
	if _, err := fmt.Sscanf(victim.ID, "%d/%d", &stream, &n); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(nvr.DefaultDirectory(data), fmt.Sprintf("%016x", stream<<32|n))
	until(t, "its file has its final size", func() bool {
		f, err := os.Stat(name)
		return err == nil && f.Size() == victim.Bytes
	})
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("nightjar"), victim.Bytes/2); err != nil {
		t.Fatal(err)
	}
	f.Close()
	var c checked
	until(t, "the change is found", func() bool { // once the recording is sealed
		s.must("POST", "/checks?level=hash", nil, &c)
		return len(c.Findings) > 0
	})
	if len(c.Findings) != 1 || c.Findings[0].Kind != "wrong-hash" || c.Findings[0].Recording != victim.ID {
		t.Errorf("%+v", c)
	}
	s.refused(400, "POST", "/checks?level=thorough", nil)
}
