package rtsp

import "sync/atomic"

// Stats are counts since the Client was made, over all its runs.
type Stats struct {
	Packets    int64 // RTP packets that were read
	Bytes      int64 // in them
	Lost       int64 // packets that never came
	Late       int64 // packets that came after they had been given up
	Duplicates int64
	Foreign    int64 // packets of other senders, or of payload types that were not announced
	Broken     int64 // packets that could not be parsed
	Skipped    int64 // bytes between messages that belong to none

	Video, Audio, Metadata int64 // samples handed on
	Damaged                int64 // of them flagged Damaged

	Transport string // "tcp" or "udp": what the current or last session used; "" before the first
}

// counters are the live form of Stats.
type counters struct {
	packets, bytes, lost, late, duplicates, foreign, broken, skipped atomic.Int64
	samples                                                          [4]atomic.Int64 // by media.Kind
	damaged                                                          atomic.Int64
	transport                                                        atomic.Int32
}

func (c *counters) stats() Stats {
	return Stats{
		Packets: c.packets.Load(), Bytes: c.bytes.Load(), Lost: c.lost.Load(), Late: c.late.Load(),
		Duplicates: c.duplicates.Load(), Foreign: c.foreign.Load(), Broken: c.broken.Load(), Skipped: c.skipped.Load(),
		Video: c.samples[1].Load(), Audio: c.samples[2].Load(), Metadata: c.samples[3].Load(), Damaged: c.damaged.Load(),
		Transport: Transport(c.transport.Load()).String(),
	}
}
