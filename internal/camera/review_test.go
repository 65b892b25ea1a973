package camera

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/store/recording"
)

// TestNotRecorded lets samples come that the recorder can't keep: the stream does not claim to record.
func TestNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &ledger{}
		cam := New(Options{Name: "door", Streams: []Stream{{"main", &script{}, rec}}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- cam.Run(ctx) }()
		for _, want := range []recording.Reason{"", recording.DiskFull, recording.DiskMissing, ""} {
			rec.lose(want)
			time.Sleep(10 * time.Second)
			st := cam.State()[0]
			if (st.Phase == Receiving) != (want == "") || st.Reason != want {
				t.Errorf("with %q: %+v", want, st)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
