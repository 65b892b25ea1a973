-- The catalog, schema version 1. Times and durations are ticks of 90 kHz (wall times since 1970-01-01 UTC) unless the
-- name says otherwise; UUIDs are 16 raw bytes. docs/format/catalog.md tells how the tables hang together.

-- The catalog itself; one row.
create table meta (
  id integer primary key check (id = 1),
  uuid blob not null check (length(uuid) = 16),  -- identity of this catalog; sample file directories name it
  created_90k integer not null                   -- when it was made
);

-- One row per opening of the catalog for writing. Rows are never deleted: recordings and directories refer to them.
create table open (
  id integer primary key check (id between 1 and 4294967295),  -- number of the open, from 1
  uuid blob unique not null check (length(uuid) = 16),  -- identity
  boot_id text not null,              -- the machine's boot (Linux boot_id), to tell a killed server from a power cut
  start_90k integer not null,         -- the server's clock when it was opened
  end_90k integer,                    -- the server's clock at the last transaction that touched it
  duration_90k integer                -- how long it has been open by the monotonic clock, at the same transaction
);

-- A sample file directory.
create table directory (
  id integer primary key autoincrement,  -- never reused
  uuid blob unique not null check (length(uuid) = 16),  -- identity; the directory's meta file names it
  path text unique not null,  -- where it is mounted
  tick_90k integer not null check (tick_90k between 45000 and 5400000),  -- how often open recordings are made durable
  min_free_bytes integer check (min_free_bytes >= 0),  -- free space to keep; null: the larger of 5 % and 5 GB
  last_complete_open_id integer references open (id)   -- see the open protocol; null: never
);

-- A device with one address and one or more streams.
create table camera (
  id integer primary key autoincrement,  -- never reused
  uuid blob unique not null check (length(uuid) = 16),  -- identity at every border
  name text unique not null collate nocase check (name <> ''),  -- what people call it; upper and lower case are the same (ASCII)
  settings text not null check (json_valid(settings)),  -- JSON object: description, username, transport, audio, …
  password blob                          -- sealed, see docs/format/secret.md; null: none
);

-- One encoded feed of a camera.
create table stream (
  id integer primary key autoincrement check (id between 1 and 4294967295),  -- upper half of recording ids; never reused
  uuid blob unique not null check (length(uuid) = 16),  -- identity at every border
  camera_id integer not null references camera (id),  -- whose it is
  name text not null check (name in ('main', 'sub', 'ext')),  -- which of the camera's feeds
  url text not null,                                -- where the camera serves it; without credentials
  directory_id integer references directory (id),   -- where new recordings go; null: nowhere
  record integer not null check (record in (0, 1)), -- whether it is recorded
  retain_bytes integer check (retain_bytes >= 0),   -- most bytes of disk to keep; null: no such limit
  retain_days integer check (retain_days >= 1),     -- most days to keep; null: no such limit
  next_n integer not null default 1 check (next_n between 1 and 4294967296),  -- ids below are, or may be, used
  cum_media_duration_90k integer not null default 0, -- media duration of all recordings there ever were
  cum_runs integer not null default 0,               -- number of runs there ever were
  unique (camera_id, name)
);

-- The coding parameters of a track, each distinct set once.
create table sample_entry (
  id integer primary key,  -- number of the entry
  digest blob unique not null check (length(digest) = 16),  -- first 16 bytes of SHA-256 over all other columns
  codec text not null,           -- h264, h265, aac, …
  clock_rate integer not null,   -- unit of the track's durations, ticks a second
  data blob,                     -- the sample entry box, ISO/IEC 14496-12 section 8.5.2
  rfc6381 text not null,         -- value of a MIME codecs parameter; '' where none is defined
  width integer not null,  -- cropped picture size in luma samples; 0 for sound
  height integer not null,  -- the same
  aspect_h integer not null,     -- pixel aspect ratio; 0: square
  aspect_v integer not null,  -- vertical spacing
  channels integer not null,  -- of sound; 0 for pictures
  bytes_per_frame integer not null,  -- sound of constant size per sampling instant; else 0
  reorder_depth integer not null  -- most pictures that precede another in decoding and follow it in output
);

-- Consecutive recordings of one stream from one RTSP session. Deleted with its last recording, unless it is the
-- stream's newest.
create table run (
  id integer primary key,  -- number of the run
  uuid blob unique not null check (length(uuid) = 16),  -- identity
  stream_id integer not null references stream (id),  -- whose it is
  camera_name text not null,     -- as it was when the first recording of the run began
  recordings integer not null,   -- how many rows of recording name it
  clocks_offset integer,         -- run_offset of the recording that carries the clock readings; null: there are none
  clock_wall_ns integer,         -- server's clock at the first sample, nanoseconds since 1970; null here and below: unknown
  clock_synced integer,          -- whether the kernel called it synchronised
  clock_uptime_ns integer,       -- since boot, at the same instant
  clock_play_ns integer,         -- the camera's clock as its answer to PLAY told it
  clock_sender_ns integer,       -- NTP time of the latest RTCP sender report
  clock_sender_media_90k integer -- media time of that report's RTP timestamp
);
create index run_stream on run (stream_id);

-- About one minute of one stream.
create table recording (
  id integer primary key,        -- stream_id << 32 | n
  stream_id integer not null references stream (id),  -- upper half of id
  directory_id integer not null,            -- where its sample file lies; not a foreign key: usage guards it
  open_id integer not null references open (id),            -- the open that wrote it
  run_id integer not null,                  -- not a foreign key: a run without recordings is deleted unsearched
  run_offset integer not null,  -- position in the run, from 0
  start_90k integer not null,  -- when the first video sample was taken, by the server's clock
  wall_duration_90k integer not null check (wall_duration_90k between 0 and 27000000),  -- at most 5 min: lists rely on it
  media_duration_90k integer not null check (media_duration_90k >= 0),  -- the camera's view of the same span
  prev_media_duration_90k integer not null,  -- sum over all earlier recordings of the stream
  start_correction_90k integer not null,     -- least-delayed arrival minus the start that the run's arithmetic gives
  flags integer not null,        -- recording.RecordingFlags
  end_reason text,               -- why the run ended with it; null: it did not
  end_detail text,               -- one sentence for people
  camera_name text,              -- as it was when it began; null: as in run
  bytes integer not null check (bytes >= 0),  -- size of the sample file
  check (id >> 32 = stream_id and id & 4294967295 > 0)
);
-- Lists by time, and retention without touching the rows.
create index recording_start on recording (stream_id, start_90k, wall_duration_90k, directory_id, bytes);

-- One track of a recording.
create table recording_track (
  recording_id integer not null references recording (id),  -- whose it is
  number integer not null,       -- position among the recording's tracks, from 0
  kind integer not null,         -- media.Kind: 1 video, 2 audio, 3 metadata
  sample_entry_id integer not null references sample_entry (id),  -- how its samples are coded
  playback_id integer not null,  -- its row in recording_playback, deleted with this one
  start_offset_90k integer not null,  -- first sample's presentation after the recording's start
  samples integer not null,  -- number of samples
  sync_samples integer not null,  -- number of key samples
  chunks integer not null,  -- stretches of the sample file that hold this track alone
  bytes integer not null,  -- sum of the sample sizes
  duration integer not null,     -- in units of sample_entry.clock_rate
  primary key (recording_id, number)
) without rowid;

-- What is needed to serve a track, and not to list it. Rows are appended in the order of flushes, so that a flush
-- writes one stretch of pages.
create table recording_playback (
  id integer primary key,  -- order of insertion
  video_index blob,              -- durations, sizes, key flags: docs/format/sample-index.md; null here and below: empty
  extra blob,                    -- composition offsets and per-sample flags
  layout blob,                   -- where the track's chunks lie in the sample file
  block_sums blob                -- with track 0: CRC32C of each block of the file, 4 bytes each, little-endian
);

-- Sample files whose row is gone but that may still be on disk.
create table garbage (
  directory_id integer not null references directory (id),  -- where the file lies
  recording_id integer not null,  -- its name, in hex
  reason text not null,          -- recording.Reason of the deletion
  bytes integer not null,        -- size of the file
  at_90k integer not null,       -- when the row was deleted
  primary key (directory_id, recording_id)
) without rowid;
create index garbage_recording on garbage (recording_id);

-- Seconds without recording, with the reason: the gap ledger. Deleted recordings leave one too.
create table gap (
  stream_id integer not null references stream (id),  -- whose it is
  start_90k integer not null,  -- first missing instant
  end_90k integer check (end_90k >= start_90k),  -- null: it goes on
  reason text not null,          -- recording.Reason
  detail text not null,          -- one sentence for people
  primary key (stream_id, start_90k)
) without rowid;

-- Totals per stream and directory, kept by every transaction that adds or deletes recordings.
create table usage (
  stream_id integer not null references stream (id),  -- of these recordings
  directory_id integer not null references directory (id),  -- of these files
  recordings integer not null,  -- how many there are
  bytes integer not null,        -- sizes of the sample files
  disk_bytes integer not null,   -- the same, each rounded up to 4,096
  duration_90k integer not null, -- sum of the wall durations
  primary key (stream_id, directory_id)
) without rowid;

-- Totals per stream and UTC hour. A recording counts in the hour in which it starts; its duration is divided.
create table hour (
  stream_id integer not null references stream (id),  -- whose it is
  hour integer not null,         -- hours since 1970-01-01T00:00:00Z
  duration_90k integer not null,  -- recorded within the hour; overlaps count twice
  recordings integer not null,  -- that start in the hour
  bytes integer not null,  -- sizes of the sample files of those
  samples integer not null,      -- video samples
  primary key (stream_id, hour)
) without rowid;

-- Settings of the whole server, by key.
create table setting (
  key text primary key,  -- its name
  value text not null check (json_valid(value)),  -- JSON
  changed_90k integer not null  -- when it was set
) without rowid;

-- Who changed what.
create table audit (
  id integer primary key autoincrement,  -- order of entry
  at_90k integer not null,  -- when
  who text not null,             -- user, token or "system"
  what text not null,            -- a verb and its object, such as "camera.delete"
  subject text not null,         -- the uuid or name of the object; '' if there is none
  detail text not null           -- one sentence, or JSON
);
