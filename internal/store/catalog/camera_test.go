package catalog

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

func TestCameras(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	bytes, days := int64(1<<40), 30
	k, err := f.AddCamera(ctx, Camera{
		Name: " yard ", Password: []byte{0, 1, 2}, Settings: CameraSettings{Username: "admin", Audio: true, Priority: 9, Transport: "udp"},
		Streams: []Stream{{Name: "ext", URL: "rtsp://h/1", RetainBytes: &bytes, RetainDays: &days}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if k.Name != "yard" || k.ID == 0 || k.UUID == (recording.UUID{}) || k.Streams[0].ID != 3 || k.Streams[0].NextN != 1 {
		t.Errorf("added %+v", k)
	}
	for _, key := range []string{"yard", "YARD", uuidText(k.UUID)} {
		got, err := f.Camera(ctx, key)
		if diff := cmp.Diff(k, got); err != nil || diff != "" {
			t.Errorf("by %q: %v\n%s", key, err, diff)
		}
	}
	if _, err := f.Camera(ctx, "roof"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such camera: %v", err)
	}
	list, err := f.Cameras(ctx)
	if err != nil || len(list) != 2 || list[0].Name != "door" {
		t.Errorf("list %+v, %v", list, err)
	}
	streams, err := f.Streams(ctx)
	if err != nil || len(streams) != 3 || streams[2].Camera != k.ID {
		t.Errorf("streams %+v, %v", streams, err)
	}
}

func uuidText(u recording.UUID) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b.WriteByte('-')
		}
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func TestCameraRefused(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	minus := int64(-1)
	for _, c := range []struct {
		camera Camera
		is     error
		words  string
	}{
		{Camera{Name: "DOOR"}, ErrExists, `named "DOOR" exists already: choose another`},
		{Camera{Name: "  "}, ErrInvalid, "needs a name"},
		{Camera{Name: "a/b"}, ErrInvalid, "slashes"},
		{Camera{Name: "01234567-89ab-cdef-0123-456789abcdef"}, ErrInvalid, "like a UUID"},
		{Camera{Name: "x", Settings: CameraSettings{Priority: 11}}, ErrInvalid, "priority 11"},
		{Camera{Name: "x", Settings: CameraSettings{Transport: "pigeon"}}, ErrInvalid, "pigeon"},
		{Camera{Name: "x", Streams: []Stream{{Name: "third"}}}, ErrInvalid, "main, sub or ext"},
		{Camera{Name: "x", Streams: []Stream{{Name: "sub"}, {Name: "sub"}}}, ErrInvalid, "two streams"},
		{Camera{Name: "x", Streams: []Stream{{Name: "sub", URL: "rtsp://admin:hunter2@h/"}}}, ErrInvalid, "credentials"},
		{Camera{Name: "x", Streams: []Stream{{Name: "sub", URL: "rtsp://admin:hunter2@h:port/"}}}, ErrInvalid, "understood"},
		{Camera{Name: "x", Streams: []Stream{{Name: "sub", RetainBytes: &minus}}}, ErrInvalid, "retention"},
		{Camera{Name: "x", Streams: []Stream{{Name: "sub", Directory: 9}}}, ErrNotFound, "directory 9"},
	} {
		_, err := f.AddCamera(ctx, c.camera)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%+v: %v", c.camera, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if list, _ := f.Cameras(ctx); len(list) != 1 {
		t.Errorf("%d cameras", len(list))
	}
}

func TestUpdateCamera(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.flush(t, f.describe(0, 1, minute))
	main := f.camera.Streams[0]
	got, err := f.UpdateCamera(ctx, f.camera.ID, func(k *Camera) error {
		k.Name, k.Settings.Audio, k.UUID = "gate", true, recording.UUID{}
		k.Streams = []Stream{{Name: "ext", URL: "rtsp://x/e"}, {Name: "main", URL: "rtsp://x/m", Record: false}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.CameraByID(ctx, f.camera.ID)
	if err != nil || again.Name != "gate" || !again.Settings.Audio || again.UUID != f.camera.UUID || len(again.Streams) != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	m := again.Streams[0]
	if m.ID != main.ID || m.UUID != main.UUID || m.URL != "rtsp://x/m" || m.Directory != 0 || m.Record || m.NextN != 2 {
		t.Errorf("main %+v", m)
	}
	if got.Streams[0].Name != "ext" || got.Streams[0].ID != 3 || again.Streams[1].ID != 3 {
		t.Errorf("a removed stream's id was used again: %+v", got.Streams)
	}
	_, err = f.UpdateCamera(ctx, f.camera.ID, func(k *Camera) error { k.Streams = nil; return nil })
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "stream main has 1 recordings") {
		t.Errorf("removed a stream with recordings: %v", err)
	}
	stop := errors.New("stop")
	if _, err = f.UpdateCamera(ctx, f.camera.ID, func(k *Camera) error { k.Name = "z"; return stop }); !errors.Is(err, stop) {
		t.Errorf("change's error: %v", err)
	}
	if _, err = f.UpdateCamera(ctx, 99, func(*Camera) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such camera: %v", err)
	}
	if again, _ := f.CameraByID(ctx, f.camera.ID); again.Name != "gate" || len(again.Streams) != 2 {
		t.Errorf("failed updates left %+v", again)
	}
}

func TestRemoveCamera(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	d := f.describe(0, 1, minute)
	f.flush(t, d)
	if err := f.RemoveCamera(ctx, f.camera.ID); !errors.Is(err, ErrInUse) {
		t.Errorf("with recordings: %v", err)
	}
	if err := f.MarkGarbage(ctx, []recording.ID{d.ID}, recording.Removed, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.RemoveCamera(ctx, f.camera.ID); !errors.Is(err, ErrInUse) {
		t.Errorf("with garbage: %v", err)
	}
	if err := f.ForgetGarbage(ctx, []recording.ID{d.ID}); err != nil {
		t.Fatal(err)
	}
	if err := f.RemoveCamera(ctx, f.camera.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.RemoveCamera(ctx, f.camera.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	f.verified(t)
	k, err := f.AddCamera(ctx, Camera{Name: "door", Streams: []Stream{{Name: "main"}}})
	if err != nil || k.Streams[0].ID != 3 || k.ID == f.camera.ID {
		t.Errorf("ids used again: %+v, %v", k, err)
	}
}

func TestDirectories(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	if f.dir.Tick != 2*media.TicksPerSecond || f.dir.LastCompleteOpen == nil || *f.dir.LastCompleteOpen != f.CurrentOpen().OpenRef {
		t.Errorf("defaults: %+v", f.dir)
	}
	free := int64(7)
	second, err := f.AddDirectory(ctx, Directory{UUID: newUUID(), Path: "/media/b", Tick: media.TicksPerSecond, MinFree: &free})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Directory{
		{UUID: newUUID(), Path: "/media/a"}, {UUID: second.UUID, Path: "/media/c"}, {UUID: newUUID()}, {Path: "/media/c"},
		{UUID: newUUID(), Path: "/media/c", Tick: 1}, {UUID: newUUID(), Path: "/media/c", Tick: 61 * media.TicksPerSecond},
	} {
		if _, err := f.AddDirectory(ctx, d); !errors.Is(err, ErrExists) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	got, err := f.Directories(ctx)
	if diff := cmp.Diff([]Directory{f.dir, second}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	second.Path, second.MinFree = "/media/a", nil
	if err := f.UpdateDirectory(ctx, second); !errors.Is(err, ErrExists) {
		t.Errorf("path taken: %v", err)
	}
	second.Path = "/media/c"
	if err := f.UpdateDirectory(ctx, second); err != nil {
		t.Fatal(err)
	}
	one, err := f.Directory(ctx, second.ID)
	if diff := cmp.Diff(second, one); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := f.RemoveDirectory(ctx, f.dir.ID); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "streams that record into it") {
		t.Errorf("in use: %v", err)
	}
	if err := f.RemoveDirectory(ctx, second.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Directory(ctx, second.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	for _, err := range []error{f.RemoveDirectory(ctx, 99), f.UpdateDirectory(ctx, Directory{ID: 99, UUID: newUUID(), Path: "/x", Tick: 90000}), f.CompleteDirectories(ctx, 99)} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("no such directory: %v", err)
		}
	}
}

// TestCompleteDirectories goes through the protocol's middle step with a second open.
func TestCompleteDirectories(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	if err := Init(ctx, options(dir, ReadWrite)); err != nil {
		t.Fatal(err)
	}
	f := openFixture(t, options(dir, ReadWrite))
	first := f.CurrentOpen().OpenRef
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := Open(ctx, options(dir, ReadWrite))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.Directories(ctx)
	if err != nil || *list[0].LastCompleteOpen != first {
		t.Errorf("before: %+v, %v", list, err)
	}
	if err := c.CompleteDirectories(ctx, f.dir.ID); err != nil {
		t.Fatal(err)
	}
	if list, err = c.Directories(ctx); err != nil || *list[0].LastCompleteOpen != c.CurrentOpen().OpenRef {
		t.Errorf("after: %+v, %v", list, err)
	}
}

func TestReserveIDs(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	var mu sync.Mutex
	seen := make(map[uint32]bool)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				first, err := f.ReserveIDs(ctx, 1, 10)
				mu.Lock()
				if err != nil || seen[first] || first%10 != 1 {
					t.Errorf("first %d, %v", first, err)
				}
				seen[first] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if err := f.RaiseNextID(ctx, 1, 5); err != nil {
		t.Fatal(err)
	}
	if first, err := f.ReserveIDs(ctx, 1, 1); err != nil || first != 401 {
		t.Errorf("first %d, %v", first, err)
	}
	if err := f.RaiseNextID(ctx, 1, 1<<32-2); err != nil {
		t.Fatal(err)
	}
	if first, err := f.ReserveIDs(ctx, 1, 1); err != nil || first != 1<<32-2 {
		t.Errorf("last id: %d, %v", first, err)
	}
	if _, err := f.ReserveIDs(ctx, 1, 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("beyond the last: %v", err)
	}
	if _, err := f.ReserveIDs(ctx, 9, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such stream: %v", err)
	}
}

func TestSettingsAndAudit(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	if _, err := f.Setting(ctx, "zone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unset: %v", err)
	}
	for _, v := range []string{`"Europe/Vienna"`, `{"a":1}`} {
		if err := f.SetSetting(ctx, "zone", v); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Setting(ctx, "zone"); err != nil || got != v {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := f.SetSetting(ctx, "zone", "not JSON"); err == nil {
		t.Error("took what is not JSON")
	}
	for _, what := range []string{"camera.add", "camera.remove", "login"} {
		if err := f.Record(ctx, Audit{Who: "eve", What: what, Subject: "door"}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := f.AuditLog(ctx, 0, 2)
	if err != nil || len(list) != 2 || list[0].What != "login" || list[0].At != media.WallTimeOf(epoch) {
		t.Errorf("%+v, %v", list, err)
	}
	list, err = f.AuditLog(ctx, list[1].ID, 10)
	if err != nil || len(list) != 1 || list[0].What != "camera.add" {
		t.Errorf("%+v, %v", list, err)
	}
}
