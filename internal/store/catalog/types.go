package catalog

import (
	"errors"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
)

// CameraID and DirectoryID number rows within one catalog; never reused. At borders their UUIDs are used.
type (
	CameraID    int64
	DirectoryID int64
)

// OpenRow is one opening of the catalog for writing.
type OpenRow struct {
	sampledir.OpenRef
	BootID   string
	Start    media.WallTime
	End      media.WallTime     // 0: not known yet
	Duration media.WallDuration // by the monotonic clock
}

// Directory is a sample file directory.
type Directory struct {
	ID               DirectoryID
	UUID             recording.UUID
	Path             string
	Tick             media.WallDuration // how often open recordings are made durable; 0 in AddDirectory: 2 s
	MinFree          *int64             // bytes of free space to keep; nil: the larger of 5 % and 5 GB
	LastCompleteOpen *sampledir.OpenRef // nil: never
}

// Camera is a device with its streams.
type Camera struct {
	ID       CameraID
	UUID     recording.UUID
	Name     string
	Settings CameraSettings
	Password []byte // sealed; nil: none
	Streams  []Stream
}

// CameraSettings is what is stored of a camera beside its name: one JSON object, whose keys only grow.
type CameraSettings struct {
	Description string `json:"description,omitempty"`
	Username    string `json:"username,omitempty"`
	Transport   string `json:"transport,omitempty"` // "auto" (also ""), "tcp" or "udp"
	Audio       bool   `json:"audio,omitempty"`     // record the audio track
	Priority    int    `json:"priority,omitempty"`  // 1 … 10; 0: 5
	Disabled    bool   `json:"disabled,omitempty"`  // leave the camera alone
	ONVIF       string `json:"onvif,omitempty"`     // base URL of the ONVIF device service; "": not used
}

// Stream is one encoded feed of a camera.
type Stream struct {
	ID          recording.StreamID
	UUID        recording.UUID
	Camera      CameraID
	Name        string      // "main", "sub" or "ext"
	URL         string      // without credentials
	Directory   DirectoryID // where new recordings go; 0: nowhere
	Record      bool
	RetainBytes *int64 // most bytes of disk to keep; nil: no such limit
	RetainDays  *int   // most days to keep; nil: no such limit

	NextN            uint32         // ids from here on are free; read only
	CumMediaDuration media.Duration // of all recordings there ever were; read only
	CumRuns          int64          // number of runs there ever were; read only
}

// Gap is a span without recording, and why.
type Gap struct {
	Stream recording.StreamID
	Start  media.WallTime
	End    media.WallTime // meaningless if Open
	Open   bool           // it goes on
	Reason recording.Reason
	Detail string // one sentence for people; never holds credentials
}

// NewRecording is a complete recording on its way into the catalog.
type NewRecording struct {
	*recording.Description
	Directory DirectoryID
}

// Batch is what one flush adds.
type Batch struct {
	Recordings []NewRecording
	Gaps       []Gap // one that starts with a stored gap of its stream replaces it: so an open gap is closed
}

// Garbage is a sample file whose recording is deleted.
type Garbage struct {
	ID        recording.ID
	Directory DirectoryID
	Reason    recording.Reason
	Bytes     int64
	At        media.WallTime
}

// Usage totals recordings.
type Usage struct {
	Recordings int64
	Bytes      int64 // sizes of the sample files
	DiskBytes  int64 // the same, each rounded up to whole blocks of the disk
	Duration   media.WallDuration
}

// Brief is what retention and checks need to know of a recording; lists of it come from an index alone.
type Brief struct {
	ID        recording.ID
	Directory DirectoryID
	Start     media.WallTime
	Duration  media.WallDuration
	Bytes     int64 // size of the sample file; DiskBytes tells the room it takes
}

// Hour totals one stream and one UTC hour. A recording counts in the hour in which it starts; its duration is divided.
type Hour struct {
	Hour       int64 // since 1970-01-01T00:00:00Z
	Duration   media.WallDuration
	Recordings int64
	Bytes      int64
	Samples    int64 // video samples
}

// Audit is one entry of the audit log.
type Audit struct {
	ID      int64
	At      media.WallTime
	Who     string
	What    string
	Subject string
	Detail  string
}

// Errors that callers tell apart; each comes wrapped in a sentence.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists already")
	ErrInUse     = errors.New("in use")
	ErrInvalid   = errors.New("invalid")
	ErrNoCatalog = errors.New("no catalog")
	ErrReadOnly  = errors.New("catalog is open read-only")
	ErrDamaged   = errors.New("catalog is damaged")
)

// MaxDuration bounds the wall duration of a recording; lists by time rely on it.
const MaxDuration media.WallDuration = 5 * 60 * media.TicksPerSecond

// DiskBlock is what a file's size is rounded up to on disk.
const DiskBlock = 4096

// DiskBytes returns how much room a sample file of a size takes.
func DiskBytes(size int64) int64 { return (size + DiskBlock - 1) / DiskBlock * DiskBlock }
