package recording

import "nightjar/internal/media"

// Description is everything there is to know about one recording but its samples: what the tail log seals when the
// recording ends (from then on it is complete and survives any crash) and what the catalog keeps as rows. It suffices
// to rebuild the catalog from a sample file directory alone.
type Description struct {
	ID ID

	// Who it belongs to, by identities that outlive a catalog.
	CameraUUID UUID
	StreamUUID UUID
	CameraName string // as it was when the recording began; for people who rebuild
	StreamName string // "main", "sub" or "ext"

	// The open that wrote it.
	OpenID   uint32
	OpenUUID UUID

	// Run: consecutive recordings from one RTSP session without a gap. RunUUID is new for each run; RunOffset counts
	// its recordings from 0.
	RunUUID   UUID
	RunOffset uint32

	// Start is when the first video sample was taken, by the server's clock; WallDuration how long the recording lasts
	// by it, so that the next of the run starts at Start + WallDuration exactly. MediaDuration is the camera's clock's
	// view of the same span: the sum of the video durations. PrevMediaDuration sums the media durations of all earlier
	// recordings of the stream, so that media timelines continue over recordings.
	Start             media.WallTime
	WallDuration      media.WallDuration
	MediaDuration     media.Duration
	PrevMediaDuration media.Duration

	// StartCorrection is how far the least-delayed sample's arrival lies after the start that the run's arithmetic
	// gives: near 0 while the clocks agree; what the slow correction works against.
	StartCorrection media.WallDuration

	Flags     RecordingFlags
	EndReason Reason // set on the last recording of a run; empty while the run goes on
	EndDetail string // one sentence for people; never holds credentials

	Bytes     int64 // size of the sample file
	Tracks    []Track
	BlockSums []uint32 // CRC32C of each BlockSize bytes of the sample file, see BlockSum

	Clocks *media.Clocks // in the first recording of a run; nil in others
}

// RecordingFlags marks what is particular about a recording.
type RecordingFlags uint32

// The flags of a recording, with the values that are stored.
const (
	// LastDurationGuessed: nothing followed the last video sample, so its duration is the stream's usual one.
	LastDurationGuessed RecordingFlags = 1 << iota
	// Recovered: completed at start-up from the tail log after a crash.
	Recovered
	// UnsyncedClock: begun before the server's clock was first synchronised in its boot.
	UnsyncedClock
	// HasLoss: at least one sample is flagged Damaged or AfterLoss.
	HasLoss
)

// Track describes one track of a recording.
type Track struct {
	Kind  media.Kind
	Entry SampleEntry

	// StartOffset is how long after the recording's start the first sample of the track is presented.
	StartOffset media.Duration

	Samples     int32
	SyncSamples int32
	Chunks      int32 // runs of this track's bytes in the sample file that no other track interrupts
	Bytes       int64
	Duration    int64 // sum of the sample durations, in units of Entry.ClockRate

	Index  []byte // video_index of the seed: durations (unit Entry.ClockRate), sizes, key flags
	Extra  []byte // composition offsets and per-sample flags; nil for ordinary tracks
	Layout []byte // where the chunks lie in the sample file; nil for the first track, which has what the others leave
}

// SampleEntry is the stored form of a media.Track's coding parameters.
type SampleEntry struct {
	Codec         media.Codec
	ClockRate     uint32
	Data          []byte // the sample entry box
	RFC6381       string
	Width, Height uint16
	AspectH       uint16
	AspectV       uint16
	Channels      uint8
	BytesPerFrame uint16
	ReorderDepth  uint8
}

// End returns the instant at which the recording ends.
func (d *Description) End() media.WallTime { return d.Start.Add(d.WallDuration) }
