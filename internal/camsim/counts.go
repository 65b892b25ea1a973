package camsim

import (
	"time"
)

// Counts is what the server really sent, as GET /counts tells it.
type Counts struct {
	RTSPSessions int                    `json:"rtspSessions"` // living, playing or not
	Connections  int                    `json:"connections"`
	Reboots      int                    `json:"reboots"`
	Paths        map[string]*PathCounts `json:"paths"`
}

// PathCounts are the totals of all sessions of a stream, ended ones included.
type PathCounts struct {
	Totals
	SkippedSamples int64           `json:"skippedSamples"` // never made: the machine was more than five seconds late
	Faults         []Fault         `json:"faults"`
	Sessions       []SessionCounts `json:"sessions"` // the living ones and the latest 16 that ended, oldest first
}

// Totals count samples of which the socket has taken the last byte.
type Totals struct {
	SamplesSent         int64 `json:"samplesSent"`    // video
	KeySamplesSent      int64 `json:"keySamplesSent"` // of these
	AudioSamplesSent    int64 `json:"audioSamplesSent"`
	MetadataSamplesSent int64 `json:"metadataSamplesSent"`
	SamplesDamaged      int64 `json:"samplesDamaged"`  // sent with packets left out by fault loss
	BytesSent           int64 `json:"bytesSent"`       // on the wire, with RTP headers and interleaved framing, all tracks
	SampleBytesSent     int64 `json:"sampleBytesSent"` // video: NAL units with 4 bytes of length each
	FirstSample         int64 `json:"firstSample"`     // number of the first video sample; meaningless when SamplesSent is 0
	LastSample          int64 `json:"lastSample"`
}

func (t *Totals) add(u Totals) {
	if u.SamplesSent > 0 {
		if t.SamplesSent == 0 || u.FirstSample < t.FirstSample {
			t.FirstSample = u.FirstSample
		}
		t.LastSample = max(t.LastSample, u.LastSample)
	}
	t.SamplesSent += u.SamplesSent
	t.KeySamplesSent += u.KeySamplesSent
	t.AudioSamplesSent += u.AudioSamplesSent
	t.MetadataSamplesSent += u.MetadataSamplesSent
	t.SamplesDamaged += u.SamplesDamaged
	t.BytesSent += u.BytesSent
	t.SampleBytesSent += u.SampleBytesSent
}

// SessionCounts are those of one session.
type SessionCounts struct {
	ID        string     `json:"id"`
	Transport string     `json:"transport"`
	Playing   bool       `json:"playing"`
	Started   time.Time  `json:"started"`
	Ended     *time.Time `json:"ended,omitempty"`
	// EndReason is teardown, disconnected, slow, expired, reset, close, reboot, closed or server-stopped.
	EndReason       string `json:"endReason,omitempty"`
	ReceiverReports int64  `json:"receiverReports"` // RTCP packets from the client
	Totals
}

// Written is one completely written sample.
type Written struct {
	Kind   string    `json:"kind"` // video, audio or metadata
	Number int64     `json:"number"`
	At     time.Time `json:"at"` // when the socket had taken its last byte
}

// SessionWritten is what one session was sent.
type SessionWritten struct {
	ID      string    `json:"id"`
	Samples []Written `json:"samples"` // at least those of the last 60 seconds, oldest first
}

// Counts returns what was sent so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	c := Counts{RTSPSessions: len(s.sessions), Connections: len(s.conns), Reboots: s.reboots, Paths: map[string]*PathCounts{}}
	s.mu.Unlock()
	living := s.all()
	for _, p := range s.paths {
		c.Paths[p] = s.streams[p].countAll(living)
	}
	return c
}

func (s *stream) countAll(living []*session) *PathCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &PathCounts{Totals: s.forgotten, SkippedSamples: s.skipped, Faults: s.faultsOn(), Sessions: []SessionCounts{}}
	include := func(x *session) {
		c := x.snapshot()
		c.Playing = x.playing
		if !x.ended {
			c.Transport = x.transport()
		}
		p.Totals.add(c.Totals)
		p.Sessions = append(p.Sessions, c)
	}
	for _, x := range s.past {
		include(x)
	}
	for _, x := range living {
		if x.stream == s && !x.ended {
			include(x)
		}
	}
	return p
}

// faultsOn lists the stream's faults that are on, sorted. Called under s.mu.
func (s *stream) faultsOn() []Fault {
	on := []Fault{}
	for _, k := range Kinds() {
		if v, ok := s.faults.text[k]; ok {
			on = append(on, Fault{k, v})
		}
	}
	return on
}

// Written returns which samples of a stream were completely written to which session and when, for the living sessions
// and the latest that ended; of these but four without samples.
func (s *Server) Written(path string) []SessionWritten {
	st := s.streams[path]
	if st == nil {
		return nil
	}
	living := s.all()
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []SessionWritten
	include := func(x *session) {
		all = append(all, SessionWritten{x.id, x.list()})
	}
	for _, x := range st.past {
		include(x)
	}
	for _, x := range living {
		if x.stream == st && !x.ended {
			include(x)
		}
	}
	return all
}
