// Package camsim is a simulated camera, or a hundred of them: an RTSP 1.0 server (RFC 2326) that sends what real cameras
// send and goes wrong in the ways real cameras go wrong, so that the recorder can be tested on the wire. It uses nothing
// of the recorder's own code: its RTSP parser, RTP packetiser, SDP and clock are its own, so that one mistake cannot
// stand on both sides and cancel out.
//
// A Server has streams (/cam0, /cam0/sub, /cam1, …). A stream has a source of video (pictures made on the fly, or an
// elementary stream file that loops), perhaps a source of audio, a clock and faults. An RTSP session plays one stream
// over one transport: interleaved on its TCP connection, or a pair of UDP ports per track.
//
// Invariants:
//
//   - Sample n of a stream is due at start + n/rate on the stream's clock, whether anybody watches or not, and its RTP
//     timestamp follows from n alone. A late timer delays the sending, never the timestamp. A stream that falls more than
//     five seconds behind (a suspended machine) leaves out what it missed.
//   - One picture is made per stream and tick, however many sessions play it. A stream without a playing session costs
//     nothing.
//   - All packets of a picture go into one buffer per session and leave in one write of a TCP socket.
//   - A session's video begins with a key sample: made for it, or in a file the next one. RTP-Info names its timestamp.
//   - A sample counts as sent when the socket has taken its last byte; the time of that is kept for 60 seconds.
//
// A slow reader never delays another session. What it has not taken waits in a queue of Options.QueueBytes; when that is
// full, or a single write hangs for Options.WriteTimeout, the connection is closed and its sessions end with the reason
// "slow". Nothing is thinned on the way.
//
// Everything random (SSRC, first sequence numbers, lost packets) comes from Options.Seed.
//
// Server's exported methods may be called concurrently. Lock order: Server.mu, or stream.mu, then conn.mu, then
// session.countMu; Server.mu and stream.mu are never held together. Time comes from package time alone, so a Server runs
// inside a testing/synctest bubble with ServeConn and net.Pipe.
//
// Standards: RTSP RFC 2326; SDP RFC 4566; RTP and RTCP RFC 3550; H.264 RFC 6184; H.265 RFC 7798; AAC RFC 3640; G.711 and
// L16 RFC 3551; Digest RFC 2617 and RFC 7616. The operator's page is docs/guide/camsim.md.
package camsim
