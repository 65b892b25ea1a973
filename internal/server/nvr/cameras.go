package nvr

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/internal/camera"
	"nightjar/internal/camera/recorder"
	"nightjar/internal/media"
	"nightjar/internal/server/api"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// running is a camera that is being received.
type running struct {
	camera  *camera.Camera
	streams []recording.StreamID
	cancel  context.CancelCauseFunc // set when launched is closed

	launched, done chan struct{}
}

// start begins to receive a camera, if it has a stream that records.
func (n *NVR) start(ctx context.Context, c catalog.Camera) error {
	if n.o.SocketOnly || n.config.ReadOnly || c.Settings.Disabled {
		return nil
	}
	priority := c.Settings.Priority
	if priority == 0 {
		priority = 5
	}
	o := camera.Options{Name: c.Name, Priority: priority, Gate: &n.gate, Log: n.o.Log}
	r := &running{launched: make(chan struct{}), done: make(chan struct{})}
	for _, st := range c.Streams {
		if !st.Record {
			continue
		}
		source, err := n.source(&c, &st)
		if err != nil {
			return err
		}
		rec, err := n.recorder(ctx, st)
		if err != nil {
			return err
		}
		o.Streams = append(o.Streams, camera.Stream{Name: st.Name, Source: source, Recorder: rec})
		r.streams = append(r.streams, st.ID)
		n.measureStream(c.Name, st.Name, st.ID, source)
	}
	if len(o.Streams) == 0 {
		return nil
	}
	r.camera = camera.New(o)
	n.mu.Lock()
	n.running[c.ID] = r
	n.mu.Unlock()
	n.replan()
	select {
	case n.launch <- r:
		<-r.launched
		return nil
	case <-n.quit:
		n.mu.Lock()
		delete(n.running, c.ID)
		n.mu.Unlock()
		return errStopping
	}
}

// errStopping answers changes that come while the server stops.
var errStopping = &recording.Error{Reason: recording.ServerStopped, Err: errors.New("the server is being stopped")}

// supervise runs the cameras that are launched until ctx ends, and returns when all have ended.
func (n *NVR) supervise(ctx context.Context) error {
	defer close(n.quit)
	var cameras errgroup.Group
	for {
		select {
		case r := <-n.launch:
			run, cancel := context.WithCancelCause(ctx)
			r.cancel = cancel
			close(r.launched)
			cameras.Go(func() error {
				defer close(r.done)
				defer cancel(nil)
				return r.camera.Run(run)
			})
		case <-ctx.Done():
			return cameras.Wait()
		}
	}
}

// recorder makes the recorder of a stream, which goes on with the gap that an earlier process left open.
func (n *NVR) recorder(ctx context.Context, st catalog.Stream) (*recorder.Recorder, error) {
	o := recorder.Options{
		Archive: n.archive, Stream: st.ID, Slot: func() recorder.Slot { return n.slot(st.ID) }, NewUUID: newUUID, Log: n.o.Log,
	}
	g, err := n.openGap(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	if g != nil && g.Reason == recording.ModeOff { // it is switched on now, whether or not the camera answers
		on := *g
		on.Start = max(media.WallTimeOf(time.Now()), g.Start)
		on.Reason, on.Detail = recording.SettingsChange, "recording was switched on"
		g.End, g.Open = on.Start, false
		if err := errors.Join(n.archive.Gap(*g), n.archive.Gap(on)); err != nil {
			return nil, fmt.Errorf("note that stream %d is switched on: %w", st.ID, err)
		}
		g = &on
	}
	o.Gap = g
	return recorder.New(o), nil
}

// openGap returns the gap of a stream that goes on, nil if there is none. One that the clock, set back since, puts into
// the future counts too.
func (n *NVR) openGap(ctx context.Context, id recording.StreamID) (open *catalog.Gap, err error) {
	gaps, err := n.archive.Gaps(ctx, id, math.MaxInt64-1, math.MaxInt64)
	if err != nil {
		return nil, fmt.Errorf("gaps of stream %d: %w", id, err)
	}
	for _, g := range gaps {
		if g.Open {
			open = &g
		}
	}
	return open, nil
}

// switchedOff notes that from now on nothing is recorded of a stream because nobody wants it to be.
func (n *NVR) switchedOff(ctx context.Context, id recording.StreamID) error {
	g, err := n.openGap(ctx, id)
	if err != nil || g == nil {
		return err
	}
	if g.Reason != recording.SettingsChange { // else it began with this change
		off := *g
		off.Start = max(media.WallTimeOf(time.Now()), g.Start)
		g.End, g.Open = off.Start, false
		if err := n.archive.Gap(*g); err != nil {
			return err
		}
		g = &off
	}
	g.Reason, g.Detail = recording.ModeOff, "recording was switched off"
	return n.archive.Gap(*g)
}

// change makes one change after the other. What has begun goes on when the client that asked for it goes away; only the
// end of the server cuts it short.
func (n *NVR) change(ctx context.Context, f func(context.Context) error) error {
	if err := n.writable(); err != nil {
		return err
	}
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := ctx.Err(); err != nil {
		return err // nobody waits any more
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	n.mu.Lock()
	closing := n.closing
	n.abort = cancel
	n.mu.Unlock()
	if closing {
		return errStopping
	}
	return f(ctx)
}

// settle ends the change that goes on, if there is one, and refuses those that would follow.
func (n *NVR) settle() {
	n.mu.Lock()
	n.closing = true
	if n.abort != nil {
		n.abort()
	}
	n.mu.Unlock()
	n.changing.Lock()
	defer n.changing.Unlock()
}

// stop ends a camera and waits until its runs have ended, for reason.
func (n *NVR) stop(id catalog.CameraID, reason recording.Reason, detail string) {
	n.mu.Lock()
	r := n.running[id]
	delete(n.running, id)
	n.mu.Unlock()
	if r == nil {
		return
	}
	r.cancel(&recording.Error{Reason: reason, Err: errors.New(detail)})
	<-r.done
	n.replan()
}

// replan gives every stream that records its place in the minute.
func (n *NVR) replan() {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []recording.StreamID
	for _, r := range n.running {
		ids = append(ids, r.streams...)
	}
	slices.Sort(ids)
	slots := make(map[recording.StreamID]recorder.Slot, len(ids))
	for i, id := range ids {
		slots[id] = recorder.Slot{Index: i, Of: len(ids)}
	}
	n.slots = slots
}

// slot returns the place of a stream.
func (n *NVR) slot(id recording.StreamID) recorder.Slot {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.slots[id]
}

// StreamState tells what a stream is doing.
func (n *NVR) StreamState(id recording.StreamID) camera.State {
	n.mu.Lock()
	var of *running
	at := -1
	for _, r := range n.running {
		if i := slices.Index(r.streams, id); i >= 0 {
			of, at = r, i
		}
	}
	n.mu.Unlock()
	if of == nil {
		return camera.State{Phase: camera.Stopped, Since: n.began}
	}
	return of.camera.State()[at]
}

// Ready is nil while every stream that should record does and every directory can be used.
func (n *NVR) Ready() error {
	n.mu.Lock()
	all := make([]*running, 0, len(n.running))
	for _, r := range n.running {
		all = append(all, r)
	}
	n.mu.Unlock()
	var wrong []string
	for _, r := range all {
		for _, st := range r.camera.State() {
			if st.Phase != camera.Receiving {
				wrong = append(wrong, fmt.Sprintf("%s/%s is %s: %s", r.camera.Name(), st.Stream, st.Phase, st.Detail))
			}
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// AddCamera stores a camera and starts to record it.
func (n *NVR) AddCamera(ctx context.Context, given api.NewCamera) (c catalog.Camera, err error) {
	err = n.change(ctx, func(ctx context.Context) error {
		c, err = n.addCamera(ctx, given)
		return err
	})
	return c, err
}

func (n *NVR) addCamera(ctx context.Context, given api.NewCamera) (catalog.Camera, error) {
	directories, err := n.catalog.Directories(ctx)
	if err != nil {
		return catalog.Camera{}, err
	}
	if len(directories) == 0 {
		return catalog.Camera{}, fmt.Errorf("there is no sample file directory to record into; add one with `nightjar dir add PATH`: %w", catalog.ErrInvalid)
	}
	c := catalog.Camera{UUID: newUUID(), Name: given.Name, Settings: catalog.CameraSettings{
		Description: given.Description, Username: given.Username, Transport: given.Transport, Audio: given.Audio, Priority: given.Priority,
	}}
	if !given.Password.IsZero() {
		c.Password = n.key.Seal(given.Password, passwordContext(c.UUID))
	}
	names, urls := given.Streams()
	for i, name := range names {
		c.Streams = append(c.Streams, catalog.Stream{
			Name: name, URL: urls[i], Directory: directories[0].ID, Record: true, RetainDays: given.RetainDays, RetainBytes: given.RetainBytes,
		})
	}
	if c, err = n.catalog.AddCamera(ctx, c); err != nil {
		return c, err
	}
	n.audit(ctx, "camera added", c.Name)
	return c, n.start(ctx, c)
}

// RemoveCamera stops a camera, deletes what is recorded of it, and forgets it.
func (n *NVR) RemoveCamera(ctx context.Context, c catalog.Camera) error {
	return n.change(ctx, func(ctx context.Context) error {
		err := n.removeCamera(ctx, c)
		if err == nil {
			return nil
		}
		// It is still there: then it records.
		if c, known := n.catalog.CameraByID(ctx, c.ID); known == nil {
			if again := n.start(ctx, c); again != nil {
				n.o.Log.Error("camera that could not be removed does not record again", "camera", c.Name, "err", again)
			}
		}
		return err
	})
}

func (n *NVR) removeCamera(ctx context.Context, c catalog.Camera) error {
	n.stop(c.ID, recording.Removed, "the camera was removed")
	for _, st := range c.Streams {
		err := n.archive.DeleteStream(ctx, st.ID, recording.Removed)
		if err == nil {
			err = n.archive.Sweep(ctx, st.ID)
		}
		if err != nil {
			return fmt.Errorf("delete the recordings of %s/%s: %w", c.Name, st.Name, err)
		}
	}
	if err := n.catalog.RemoveCamera(ctx, c.ID); err != nil {
		return err
	}
	n.metrics.Remove("camera", c.Name)
	n.audit(ctx, "camera removed", c.Name)
	return nil
}

// SetStream stores what a stream was changed to and starts its camera anew if that changes what runs.
func (n *NVR) SetStream(ctx context.Context, s catalog.Stream) error {
	return n.change(ctx, func(ctx context.Context) error { return n.setStream(ctx, s) })
}

func (n *NVR) setStream(ctx context.Context, s catalog.Stream) error {
	restart, off := false, false
	c, err := n.catalog.UpdateCamera(ctx, s.Camera, func(c *catalog.Camera) error {
		for i := range c.Streams {
			if c.Streams[i].ID == s.ID {
				restart = c.Streams[i].Record != s.Record || c.Streams[i].Directory != s.Directory
				off = c.Streams[i].Record && !s.Record
				c.Streams[i] = s
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	n.audit(ctx, "stream changed", c.Name+"/"+s.Name)
	if restart {
		n.stop(c.ID, recording.SettingsChange, "the stream's settings were changed")
		if off {
			err = n.switchedOff(ctx, s.ID)
		}
		err = errors.Join(err, n.start(ctx, c))
	}
	n.retention.Wake() // the limits may be other ones
	return err
}

// AddDirectory makes a directory a sample file directory, if it lies where they may.
func (n *NVR) AddDirectory(ctx context.Context, path string) (d catalog.Directory, err error) {
	err = n.change(ctx, func(ctx context.Context) error {
		d, err = n.addDirectory(ctx, path)
		return err
	})
	return d, err
}

func (n *NVR) addDirectory(ctx context.Context, path string) (catalog.Directory, error) {
	if err := n.allowed(path); err != nil {
		return catalog.Directory{}, err
	}
	known, err := n.catalog.Directories(ctx)
	if err != nil {
		return catalog.Directory{}, err
	}
	for _, d := range known {
		if d.Path == path {
			return d, fmt.Errorf("%s is a sample file directory already: %w", path, catalog.ErrExists)
		}
	}
	d, err := n.archive.AddDirectory(ctx, path)
	if err == nil {
		n.measureDirectory(d)
		n.audit(ctx, "directory added", path)
	}
	return d, err
}

// allowed refuses paths outside the media roots, also through symbolic links.
func (n *NVR) allowed(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s does not exist; make it first, on the disk that shall hold the recordings: %w", path, catalog.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	roots := append([]string{n.config.Data}, n.config.MediaRoots...)
	for _, root := range roots {
		if r, err := filepath.EvalSymlinks(root); err == nil {
			root = r
		}
		if rest, err := filepath.Rel(root, real); err == nil && rest != ".." && !strings.HasPrefix(rest, "../") {
			return nil
		}
	}
	return fmt.Errorf("%s lies outside the directories that may hold recordings (%s); add its parent to media_roots in the configuration: %w", path, strings.Join(roots, ", "), catalog.ErrInvalid)
}

// RemoveDirectory forgets a directory that holds no recordings.
func (n *NVR) RemoveDirectory(ctx context.Context, d catalog.Directory) error {
	return n.change(ctx, func(ctx context.Context) error { return n.removeDirectory(ctx, d) })
}

func (n *NVR) removeDirectory(ctx context.Context, d catalog.Directory) error {
	if users, err := n.recordingInto(ctx, d.ID); err != nil || len(users) > 0 {
		if err == nil {
			err = fmt.Errorf("%s record into %s; give them another directory or remove their cameras first: %w", strings.Join(users, ", "), d.Path, catalog.ErrInUse)
		}
		return err
	}
	if err := n.archive.RemoveDirectory(ctx, d.ID); err != nil {
		return err
	}
	n.metrics.Remove("directory", d.Path)
	n.audit(ctx, "directory removed", d.Path)
	return nil
}

// recordingInto names the streams whose directory is id.
func (n *NVR) recordingInto(ctx context.Context, id catalog.DirectoryID) (names []string, err error) {
	cameras, err := n.catalog.Cameras(ctx)
	for _, c := range cameras {
		for _, st := range c.Streams {
			if st.Directory == id {
				names = append(names, c.Name+"/"+st.Name)
			}
		}
	}
	return names, err
}

// writable refuses changes in read-only mode.
func (n *NVR) writable() error {
	if n.config.ReadOnly {
		return fmt.Errorf("the server runs read-only and changes nothing: %w", catalog.ErrReadOnly)
	}
	return nil
}

// audit notes who changed what; with no logins, everybody is the owner of the machine's account.
func (n *NVR) audit(ctx context.Context, what, subject string) {
	err := n.catalog.Record(ctx, catalog.Audit{At: media.WallTimeOf(time.Now()), Who: "local", What: what, Subject: subject})
	if err != nil {
		n.o.Log.Error("audit entry could not be written", "what", what, "err", err)
	}
}

// passwordContext binds a sealed password to its camera.
func passwordContext(camera recording.UUID) string { return fmt.Sprintf("camera %x", camera[:]) }

// password opens a camera's sealed password.
func (n *NVR) password(c *catalog.Camera) (secret.String, error) {
	if len(c.Password) == 0 {
		return secret.String{}, nil
	}
	p, err := n.key.Open(c.Password, passwordContext(c.UUID))
	if err != nil {
		return p, fmt.Errorf("password of camera %q: %w", c.Name, err)
	}
	return p, nil
}
