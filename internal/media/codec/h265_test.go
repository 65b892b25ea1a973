package codec

import "testing"

// sps265 writes an H.265 SPS with everything that stands between the size and the VUI: three sub-layers, scaling lists,
// PCM, predicted reference picture sets, long-term pictures, HRD parameters with sub-pictures.
func sps265() []byte {
	w := new(bitWriter)
	w.u(4, 2).u(3, 2).u(1, 0) // VPS 2, three sub-layers
	w.u(2, 1).u(1, 1).u(5, 2).u(32, 0x20000000).u(32, 0xb0000000).u(16, 0x0001).u(8, 120)
	w.u(2, 3).u(2, 1).u(12, 0) // presence flags, padding
	w.u(32, 0xffffffff).u(32, 0).u(24, 0).u(8, 30)
	w.u(8, 60)
	w.ue(5).ue(1).ue(1928).ue(1096)
	w.u(1, 1).ue(1).ue(3).ue(2).ue(6)                               // window: 1920x1080
	w.ue(2).ue(2).ue(4)                                             // 10 bits, 8 bits of POC
	w.u(1, 1).ue(1).ue(0).ue(0).ue(2).ue(1).ue(0).ue(4).ue(3).ue(0) // ordering of each sub-layer
	w.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0)                           // block sizes
	w.u(1, 1).u(1, 1)                                               // scaling lists
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for matrix := 0; matrix < 6; matrix += step {
			if matrix%2 == 1 {
				w.u(1, 0).ue(uint32(matrix / step))
				continue
			}
			w.u(1, 1)
			if size > 1 {
				w.se(-3)
			}
			for range min(64, 16<<(2*size)) {
				w.se(2)
			}
		}
	}
	w.u(2, 3)                                     // AMP, SAO
	w.u(1, 1).u(4, 7).u(4, 7).ue(0).ue(1).u(1, 0) // PCM
	w.ue(3)
	w.ue(2).ue(1).ue(0).u(1, 1).ue(1).u(1, 1).ue(0).u(1, 0)       // two before, one after
	w.u(1, 1).u(1, 1).ue(0).u(1, 1).u(2, 0b01).u(2, 0b00).u(1, 1) // predicted from 3: 3 stay
	w.u(1, 1).u(1, 0).ue(2).u(1, 1).u(2, 0b01).u(1, 1).u(1, 1)    // predicted from 3
	w.u(1, 1).ue(2).u(8, 17).u(1, 1).u(8, 33).u(1, 0)             // long-term pictures
	w.u(2, 3)                                                     // temporal MVP, smoothing
	w.u(1, 1)                                                     // VUI
	w.u(1, 1).u(8, 255).u(16, 4).u(16, 3)                         // SAR
	w.u(1, 1).u(1, 0)                                             // overscan
	w.u(1, 1).u(3, 5).u(1, 1).u(1, 1).u(8, 9).u(8, 16).u(8, 9)    // colour
	w.u(1, 1).ue(2).ue(2)                                         // chroma location
	w.u(3, 0b010)                                                 // field_seq_flag
	w.u(1, 1).ue(0).ue(0).ue(0).ue(0)                             // display window
	w.u(1, 1).u(32, 1001).u(32, 60000).u(1, 1).ue(0)              // timing
	w.u(1, 1).u(2, 3).u(1, 1).u(19, 0).u(8, 0).u(4, 0).u(15, 0)   // HRD
	for i := range 3 {
		if i == 1 {
			w.u(1, 0).u(1, 0).u(1, 0).ue(1) // neither rate is fixed
		} else {
			w.u(1, 1).ue(0).ue(1)
		}
		for range 2 * 2 {
			w.ue(100).ue(200).ue(300).ue(400).u(1, 1)
		}
	}
	w.u(1, 1).u(3, 0).ue(17).ue(0).ue(0).ue(0).ue(0) // restriction
	w.u(1, 0)                                        // no extension
	return w.nal(0x42, 0x01)
}

func TestH265SPSFull(t *testing.T) {
	nal := sps265()
	s, err := ParseH265SPS(nal)
	if err != nil {
		t.Fatal(err)
	}
	want := H265SPS{
		ID: 5, VPSID: 2, SubLayers: 3,
		Profile: H265Profile{
			Space: 1, HighTier: true, Profile: 2, Compatibility: 0x20000000,
			Constraints: [6]byte{0xb0, 0, 0, 0, 0, 1}, Level: 120,
		},
		ChromaFormat: 1, BitDepthLuma: 10, BitDepthChroma: 10,
		CodedWidth: 1928, CodedHeight: 1096, Width: 1920, Height: 1080, MaxReorder: 3,
		VUI: VUI{
			Present: true, SARWidth: 4, SARHeight: 3, FullRange: true, Colour: true, Primaries: 9, Transfer: 16, Matrix: 9,
			UnitsInTick: 1001, TimeScale: 60000, FieldSequence: true, Restriction: true, MinSegmentSize: 17,
		},
	}
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if s.FrameDuration(nil) != 1502 || !s.Interlaced() || s.MaxTemporalID() != 2 {
		t.Errorf("duration %d", s.FrameDuration(nil))
	}
	if got := h265Codecs(&s.Profile); got != "hvc1.A2.4.H120.B0.0.0.0.0.1" {
		t.Errorf("codecs %s", got)
	}

	vps := []byte{0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5d, 0x95, 0x98, 0x09}
	w := new(bitWriter)
	w.ue(0).ue(5).u(1, 0).u(1, 0).u(3, 2).u(2, 0).ue(0).ue(0).se(0).u(2, 0).u(1, 1).ue(1).se(0).se(0).u(4, 0).u(1, 1).u(1, 0)
	pps := w.nal(0x44, 0x01)
	p, err := ParseH265PPS(pps)
	if err != nil || p != (H265PPS{SPSID: 5, ExtraHeaderBits: 2, Tiles: true}) {
		t.Errorf("PPS %+v, %v", p, err)
	}
	track, err := H265Track(0, [][]byte{vps}, [][]byte{nal}, [][]byte{pps})
	if err != nil {
		t.Fatal(err)
	}
	again, err := TrackOf(0, track.SampleEntry)
	if err != nil || again.RFC6381 != track.RFC6381 || again.ReorderDepth != 3 || again.AspectH != 4 {
		t.Errorf("read back as %+v, %v", again, err)
	}
	// Every shorter set has the same size or is refused.
	for n := range len(nal) {
		if s, err := ParseH265SPS(nal[:n]); err == nil && (s.Width != 1920 || !s.Incomplete && !s.VUI.Broken && n < len(nal)-2) {
			t.Errorf("%d of %d bytes: %+v", n, len(nal), s)
		}
	}
}

func TestH265VPSTiming(t *testing.T) {
	for layers := range uint32(2) {
		w := new(bitWriter)
		w.u(4, 1).u(2, 3).u(6, 0).u(3, 0).u(1, 1).u(16, 0xffff)
		w.u(8, 1).u(32, 0x60000000).u(32, 0x90000000).u(16, 0).u(8, 93)
		w.u(1, 1).ue(4).ue(0).ue(0)
		w.u(6, layers).ue(1)
		w.u(int(layers)+1, 1) // layer_id_included_flag of one more set
		w.u(1, 1).u(32, 1).u(32, 25).u(1, 0).ue(0).u(1, 0)
		v, err := ParseH265VPS(w.nal(0x40, 0x01))
		if err != nil || v.UnitsInTick != 1 || v.TimeScale != 25 || v.SubLayers != 1 || v.Profile.Level != 93 {
			t.Errorf("%+v, %v", v, err)
		}
		s := H265SPS{}
		if d := s.FrameDuration(&v); d != 3600 {
			t.Errorf("duration %d", d)
		}
	}
}

func TestH265Classification(t *testing.T) {
	for nalType := range uint8(64) {
		nal := []byte{nalType << 1, 1, 0x80}
		if H265NALType(nal) != nalType {
			t.Fatalf("type %d became %d", nalType, H265NALType(nal))
		}
		kind := NoIRAP
		switch nalType {
		case 16, 17, 18:
			kind = BLA
		case 19, 20:
			kind = IDR
		case 21:
			kind = CRA
		case 22, 23:
			kind = ReservedIRAP
		}
		if got := H265IRAP(nalType); got != kind {
			t.Errorf("type %d: %v, want %v", nalType, got, kind)
		}
		var u Unit
		if err := u.AnalyzeH265(AppendNAL(nil, nal), 0); err != nil {
			t.Fatal(err)
		}
		if u.Key != (kind != NoIRAP) || u.IRAP != kind || u.RASL != (nalType == 8 || nalType == 9) ||
			u.Droppable != (nalType < 15 && nalType%2 == 0) || (u.Slices == 1) != (nalType < 32) ||
			u.HasSets() != (nalType >= 32 && nalType <= 34) {
			t.Errorf("type %d: %+v", nalType, u)
		}
		// The same in another layer says nothing, and in a lower sub-layer is never droppable.
		if err := u.AnalyzeH265(AppendNAL(nil, []byte{nalType<<1 | 1, 1, 0x80}), 0); err != nil || u.Slices != 0 || u.Key || u.HasSets() {
			t.Errorf("type %d of layer 32: %+v", nalType, u)
		}
		if err := u.AnalyzeH265(AppendNAL(nil, nal), 1); err != nil || u.Droppable {
			t.Errorf("type %d of the lower sub-layer: %+v", nalType, u)
		}
		if err := u.AnalyzeH265(AppendNAL(nil, []byte{nalType << 1, 2, 0x80}), 1); err != nil || u.Droppable != (nalType < 15 && nalType%2 == 0) {
			t.Errorf("type %d of the higher sub-layer: %+v", nalType, u)
		}
	}
	if H265NALType([]byte{0x40}) != h265Unspecified || H265Layer(nil) != 0 || H265TemporalID([]byte{0, 0}) != 0 || H265FirstSlice([]byte{2, 1}) {
		t.Error("a unit that is too short has a type")
	}
}
